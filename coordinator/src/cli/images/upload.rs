//! Uploads images to the coordinator.

use std::{
    io::{self, Read, stdin},
    path::Path,
};

use common::job::outcome::{FailureReason, ItemFailure};
use futures::{StreamExt, stream};

use super::argument::ImageSource;
use crate::{
    api::UploadedImage,
    cli::{
        client::Client,
        exit::{CliError, Exit},
    },
};

const CONCURRENT_UPLOADS: usize = 4;

/// An uploaded image, or the item's name and its error.
pub(in crate::cli) type Upload = Result<UploadedImage, (String, String)>;

/// Uploads images concurrently and returns the results in the order of `sources`. The outer error fails all of them,
/// the inner one a single image.
pub(in crate::cli) async fn upload_all(
    client: &Client,
    sources: &[ImageSource],
    on_progress: impl Fn(usize),
) -> Result<Vec<Upload>, CliError> {
    let mut uploads = stream::iter(sources).map(|source| upload(client, source)).buffered(CONCURRENT_UPLOADS);
    let mut uploaded = Vec::with_capacity(sources.len());
    while let Some(upload) = uploads.next().await {
        uploaded.push(upload?);
        on_progress(uploaded.len());
    }
    Ok(uploaded)
}

pub(in crate::cli) async fn upload(client: &Client, source: &ImageSource) -> Result<Upload, CliError> {
    let item = source.name();
    let limit = client.max_image_bytes;
    let stored = match source {
        ImageSource::Url(url) => match client.fetch_image(url).await {
            Ok(stored) => stored,
            // A bad URL fails only its image.
            Err(error) if [Exit::NotAllowed, Exit::Usage].contains(&error.exit) => {
                return Ok(Err((item, error.message)));
            }
            Err(error) => return Err(error),
        },
        ImageSource::Rejected { reason, .. } => return Ok(Err((item, reason.clone()))),
        ImageSource::File(path) | ImageSource::Listed { path, .. } => match read_file(path, limit).await {
            Ok(bytes) => client.upload(bytes).await?,
            Err(failure) => return Ok(Err((item, failure.to_string()))),
        },
        ImageSource::Stdin => {
            let reading = tokio::task::spawn_blocking(move || read_stdin(limit));
            match reading.await.expect("reading does not panic") {
                Ok(bytes) => client.upload(bytes).await?,
                Err(failure) => return Ok(Err((item, failure.to_string()))),
            }
        }
    };
    Ok(Ok(UploadedImage { item, sha256: stored.sha256 }))
}

async fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ItemFailure> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| missing(&error))?;
    if !metadata.is_file() {
        return Err(ItemFailure::new(FailureReason::Undecodable, "not a regular file"));
    }
    require_size(metadata.len(), limit)?;
    tokio::fs::read(path).await.map_err(|error| missing(&error))
}

fn read_stdin(limit: u64) -> Result<Vec<u8>, ItemFailure> {
    let mut bytes = Vec::new();
    stdin().lock().take(limit + 1).read_to_end(&mut bytes).map_err(|error| missing(&error))?;
    require_size(bytes.len() as u64, limit)?;
    Ok(bytes)
}

fn missing(error: &io::Error) -> ItemFailure {
    ItemFailure::new(FailureReason::Missing, error.to_string())
}

fn require_size(bytes: u64, limit: u64) -> Result<(), ItemFailure> {
    let failure = |reason, detail: String| Err(ItemFailure::new(reason, detail));
    match bytes {
        0 => failure(FailureReason::Empty, "0 bytes".to_owned()),
        bytes if bytes > limit => {
            failure(FailureReason::TooLarge, format!("exceeds the limit of {limit} bytes"))
        }
        _ => Ok(()),
    }
}
