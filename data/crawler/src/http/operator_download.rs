//! Downloads a file from a URL of the operator's, such as the weights of a model.
//!
//! Owns the limits of that: https only, redirects included; bounded bytes, and bounded silence rather than bounded
//! time, since the file may be large. The URL comes from the settings, so the server may be at any address, and a
//! proxy that the environment names is used. Never for a URL that a user gives.

use std::{error::Error, time::Duration};

use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use super::public_client::{FetchError, REDIRECTS};

/// How long a connection may take to open, and how long it may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Downloads at most `max_bytes` from `url`. Tells `progress` how many bytes have come so far, and of how many, where the
/// server says.
///
/// # Errors
/// When the server does not answer with a success, or with more bytes than allowed. The error does not name the URL.
pub async fn download(
    url: &Url,
    max_bytes: u64,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<Vec<u8>, FetchError> {
    // Another part of the program may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .https_only(true)
        .redirect(Policy::limited(REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .build()
        .map_err(|error| FetchError::Failed(chain(&error)))?;
    let failed = |error: reqwest::Error| FetchError::Failed(chain(&error.without_url()));
    let answer = client.get(url.clone()).send().await.and_then(Response::error_for_status);
    let mut answer = answer.map_err(failed)?;
    let length = answer.content_length();
    let mut bytes = Vec::new();
    progress(0, length);
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&piece);
        progress(bytes.len() as u64, length);
        if bytes.len() as u64 > max_bytes {
            return Err(FetchError::TooLarge(format!("it is over the limit of {max_bytes} bytes")));
        }
    }
    Ok(bytes)
}

/// An error with its causes: reqwest's own words alone rarely say what happened.
fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
