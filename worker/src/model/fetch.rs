//! Weights from the network, once.
//!
//! Owns the cache of downloaded files. Invariants: https only, redirects included; a file is in the cache
//! only whole and with the right hash; its size is bounded.

use std::{
    fs,
    io::{IsTerminal, Write, stderr},
    path::{Path, PathBuf},
    time::Duration,
};

use common::digest::Digest;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, redirect::Policy};
use url::Url;

/// Largest file fetched.
const MAX_BYTES: u64 = 1 << 30;
/// Redirects followed.
const MAX_REDIRECTS: usize = 5;
/// How long a connection may take to open, and how long it may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the path of the cached file, fetching it first where it is not there. Blocks.
pub(super) fn fetch(url: &Url, sha256: &str, cache: &Path) -> Result<PathBuf, String> {
    let name = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or("weights");
    let path = cache.join(format!("{}-{name}", &sha256[..8]));
    if let Ok(bytes) = fs::read(&path) {
        if Digest::of(&bytes).to_string().starts_with(sha256) {
            return Ok(path);
        }
        tracing::warn!(path = %path.display(), "the cached weights are damaged and are fetched again");
    }
    tracing::info!(%url, "fetching weights");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let bytes =
        runtime.block_on(download(url)).map_err(|error| format!("{url} cannot be fetched ({error})"))?;
    let digest = Digest::of(&bytes);
    if !digest.to_string().starts_with(sha256) {
        return Err(format!("the bytes of {url} have SHA-256 {digest}, which does not begin with {sha256}"));
    }
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(cache)?;
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(&bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|error| format!("the weights cannot be kept in {}: {error}", cache.display()))?;
    Ok(path)
}

async fn download(url: &Url) -> Result<Vec<u8>, String> {
    // Another part of the program may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::limited(MAX_REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .build()
        .map_err(|error| chain(&error))?;
    let answer = client.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| chain(&error.without_url()))?;
    let bar = progress_bar(answer.content_length());
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| chain(&error.without_url()))? {
        bytes.extend_from_slice(&piece);
        bar.inc(piece.len() as u64);
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("it is over the limit of {MAX_BYTES} bytes"));
        }
    }
    bar.finish_and_clear();
    Ok(bytes)
}

fn progress_bar(length: Option<u64>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("weights {bar:30} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(length.unwrap_or(0)).with_style(style.expect("the template is right"))
}

/// An error with its causes: reqwest's own words alone rarely say what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
