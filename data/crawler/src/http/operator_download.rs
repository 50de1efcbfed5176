//! Downloads a file from a URL in the settings, such as model weights.
//!
//! The limits: https only, also after redirects; a maximum size; a timeout on inactivity rather than on the whole
//! download, since the file may be large. The operator's URL may lead to any address, through the proxy of the
//! environment. Not for URLs from users.

use std::{error::Error, time::Duration};

use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use super::public_client::{FetchError, MAX_REDIRECTS};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const INACTIVITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Downloads at most `max_bytes` from `url`. Calls `progress` with the bytes received so far, and the total if known.
///
/// # Errors
/// If the status is not a success or the file exceeds `max_bytes`. The error does not contain the URL.
pub async fn download(
    url: &Url,
    max_bytes: u64,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<Vec<u8>, FetchError> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::limited(MAX_REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(INACTIVITY_TIMEOUT)
        .build()
        .map_err(|error| FetchError::Failed(chain(&error)))?;
    let failed = |error: reqwest::Error| FetchError::Failed(chain(&error.without_url()));
    let response = client.get(url.clone()).send().await.and_then(Response::error_for_status);
    let mut response = response.map_err(failed)?;
    let length = response.content_length();
    let mut bytes = Vec::new();
    progress(0, length);
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&piece);
        progress(bytes.len() as u64, length);
        if bytes.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge(format!("the file exceeds {max_bytes} bytes")));
        }
    }
    Ok(bytes)
}

/// Joins an error with its causes: reqwest's top-level message alone rarely says what happened.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
