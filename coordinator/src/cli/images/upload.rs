//! How the bytes of images reach the coordinator.

use std::{
    io::{self, Read, stdin},
    path::Path,
};

use common::job::outcome::{FailureReason, ItemFailure};
use futures::{StreamExt, stream};

use super::given::ImageSource;
use crate::{
    api::UploadedImage,
    cli::{
        client::Client,
        exit::{CliError, Exit},
    },
};

/// Images sent at once.
const UPLOADS: usize = 4;

/// An image that reached the coordinator, or the item and what is wrong with it.
pub(in crate::cli) type Upload = Result<UploadedImage, (String, String)>;

/// Brings images to the coordinator, several at a time, in their order. The inner error is an image's own.
///
/// # Errors
/// When the coordinator cannot be reached.
pub(in crate::cli) async fn upload_all(
    client: &Client,
    sources: &[ImageSource],
    sent: impl Fn(usize),
) -> Result<Vec<Upload>, CliError> {
    let mut uploads = stream::iter(sources).map(|source| upload(client, source)).buffered(UPLOADS);
    let mut uploaded = Vec::with_capacity(sources.len());
    while let Some(one) = uploads.next().await {
        uploaded.push(one?);
        sent(uploaded.len());
    }
    Ok(uploaded)
}

/// Brings one image to the coordinator.
///
/// # Errors
/// When the coordinator cannot be reached.
pub(in crate::cli) async fn upload(client: &Client, source: &ImageSource) -> Result<Upload, CliError> {
    let item = source.name();
    let limit = client.max_image_bytes;
    let stored = match source {
        ImageSource::Url(url) => match client.fetch_image(url).await {
            Ok(stored) => stored,
            // What is wrong with the URL concerns this image alone.
            Err(error) if [Exit::NotAllowed, Exit::Usage].contains(&error.exit) => {
                return Ok(Err((item, error.message)));
            }
            Err(error) => return Err(error),
        },
        ImageSource::File(path) => match read_file(path, limit).await {
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
        return Err(ItemFailure::new(FailureReason::Undecodable, "it is neither a file nor a folder"));
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
        0 => failure(FailureReason::Empty, "there are no bytes".to_owned()),
        bytes if bytes > limit => {
            failure(FailureReason::TooLarge, format!("over the limit of {limit} bytes"))
        }
        _ => Ok(()),
    }
}
