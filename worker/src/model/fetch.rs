//! Downloaded weights, with a cache.
//!
//! Invariants: a file in the cache is complete and has the right hash; its size is bounded.

use std::{
    fs,
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
};

use common::digest::Digest;
use crawler::http::{self, FetchError};
use indicatif::{ProgressBar, ProgressStyle};
use url::Url;

use super::foreign_file;

/// Largest file that is downloaded.
const MAX_BYTES: u64 = 1 << 30;

/// Returns the path of the cached file, downloading it first if necessary. Blocks.
pub(super) fn fetch(url: &Url, sha256: Digest, cache: &Path) -> Result<PathBuf, String> {
    let name = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or("weights");
    let path = cache.join(format!("{}-{name}", sha256.prefix(8)));
    if let Ok(bytes) = fs::read(&path) {
        if Digest::of(&bytes) == sha256 {
            return Ok(path);
        }
        tracing::warn!(path = %path.display(), "the cached weights are corrupt; downloading them again");
    }
    tracing::info!(%url, "downloading weights");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let bytes =
        runtime.block_on(download(url)).map_err(|error| format!("cannot download {url} ({error})"))?;
    let digest = Digest::of(&bytes);
    if digest != sha256 {
        let hint = foreign_file::reason(&bytes).map_or_else(String::new, |reason| format!(" ({reason})"));
        return Err(format!("the SHA-256 of {url} is {digest}, not {sha256}{hint}"));
    }
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(cache)?;
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(&bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| format!("cannot cache the weights in {}: {error}", cache.display()))?;
    Ok(path)
}

async fn download(url: &Url) -> Result<Vec<u8>, FetchError> {
    let mut bar = None;
    let bytes = http::download(url, MAX_BYTES, |bytes, length| {
        bar.get_or_insert_with(|| progress_bar(length)).set_position(bytes);
    })
    .await?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(bytes)
}

fn progress_bar(length: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("weights {bar:30} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(length.unwrap_or(0)).with_style(style.expect("the template is valid"))
}
