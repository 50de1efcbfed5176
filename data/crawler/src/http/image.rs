//! Fetches an image that a user names by URL.
//!
//! Owns how many redirects are followed; what may be fetched at all is [`public_client`]'s.

use std::time::Duration;

use reqwest::{Method, Request, Response};

use super::public_client::{self, FetchError, GuardedClient, REDIRECTS};

/// How long one request may take.
const FETCH_LIMIT: Duration = Duration::from_secs(20);

/// Fetches images by URL.
pub struct ImageFetcher {
    client: GuardedClient,
    max_bytes: u64,
}

impl ImageFetcher {
    /// Makes a fetcher of images of at most `max_bytes`; `allowed` are hosts, separated by
    /// commas, that need not be public.
    #[must_use]
    pub fn new(allowed: &str, max_bytes: u64) -> Self {
        Self { client: GuardedClient::new(allowed, &public_client::user_agent(None), FETCH_LIMIT), max_bytes }
    }

    /// Fetches the bytes at `text`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, text: &str) -> Result<Vec<u8>, FetchError> {
        let mut url = public_client::parse(text)?;
        for _ in 0..=REDIRECTS {
            let answer = self.client.send(Request::new(Method::GET, url.clone())).await?;
            match public_client::redirect(&answer)? {
                Some(target) => url = target,
                None => return self.read(answer).await,
            }
        }
        Err(FetchError::Failed(format!("'{text}' redirects more than {REDIRECTS} times")))
    }

    async fn read(&self, answer: Response) -> Result<Vec<u8>, FetchError> {
        let (url, status) = (answer.url().clone(), answer.status());
        if !status.is_success() {
            return Err(FetchError::Failed(format!("{url} answers {status}")));
        }
        let bytes = public_client::read(answer, self.max_bytes).await?;
        if bytes.is_empty() { Err(FetchError::Failed(format!("{url} has no bytes"))) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_public_is_refused_before_it_is_reached() {
        let fetcher = ImageFetcher::new("", 1000);
        for url in [
            "http://127.0.0.1/a.jpg",
            "http://localhost/a.jpg",
            "http://[::1]/a.jpg",
            "http://169.254.169.254/latest",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(
                matches!(&refused, FetchError::Refused(text) if text.contains("no public address")),
                "{url}: {refused}"
            );
        }
        let long = fetcher.fetch(&format!("http://8.8.8.8/{}", "a".repeat(5000))).await.unwrap_err();
        assert_eq!(long.to_string(), "a URL of 5015 bytes is not fetched: the limit is 4096");
        for url in ["ftp://example.com/a", "file:///etc/passwd", "http://me:secret@example.com/", "no url"] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(matches!(refused, FetchError::Refused(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
