//! Fetches images by URL for users, following redirects. [`public_client`] decides which URLs are allowed.

use std::time::Duration;

use reqwest::{Method, Request, Response};

use super::public_client::{self, FetchError, GuardedClient, MAX_REDIRECTS};

/// Limit on one request.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

pub struct ImageFetcher {
    client: GuardedClient,
    max_bytes: u64,
}

impl ImageFetcher {
    /// `allowed` lists hosts that need not have a public address, separated by commas.
    #[must_use]
    pub fn new(allowed: &str, max_bytes: u64) -> Self {
        Self {
            client: GuardedClient::new(allowed, &public_client::user_agent(None), FETCH_TIMEOUT),
            max_bytes,
        }
    }

    pub async fn fetch(&self, text: &str) -> Result<Vec<u8>, FetchError> {
        let mut url = public_client::parse(text)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.send(Request::new(Method::GET, url.clone())).await?;
            match public_client::redirect(&response)? {
                Some(target) => url = target,
                None => return self.read(response).await,
            }
        }
        Err(FetchError::Failed(format!("'{text}' redirects more than {MAX_REDIRECTS} times")))
    }

    async fn read(&self, response: Response) -> Result<Vec<u8>, FetchError> {
        let (url, status) = (response.url().clone(), response.status());
        if !status.is_success() {
            return Err(FetchError::Failed(format!("{url} returned {status}")));
        }
        let bytes = public_client::read(response, self.max_bytes).await?;
        if bytes.is_empty() { Err(FetchError::Failed(format!("{url} is empty"))) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn non_public_address_is_refused_before_connecting() {
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
                matches!(&refused, FetchError::Refused(text) if text.contains("does not have a public address")),
                "{url}: {refused}"
            );
        }
        let long = fetcher.fetch(&format!("http://8.8.8.8/{}", "a".repeat(5000))).await.unwrap_err();
        assert_eq!(long.to_string(), "the URL has 5015 bytes; the limit is 4096");
        for url in ["ftp://example.com/a", "file:///etc/passwd", "http://me:secret@example.com/", "no url"] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(matches!(refused, FetchError::Refused(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
