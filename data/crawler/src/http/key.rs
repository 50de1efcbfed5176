//! The Data API key: the hosts that receive it, and its daily quota.
//!
//! Invariant: a server named in a submission does not receive the operator's key.

use common::{
    config::CrawlSettings,
    digest::Digest,
    store::{Spending, Store, StoreError},
};
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{WebError, pacific_day::pacific_day, public_client::GuardedClient};

/// Hex digits of the key's hash that identify the key in messages.
const HASH_PREFIX_LEN: usize = 12;
const HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
const REDACTED: &str = "***";
const API_NAME: &str = "the YouTube Data API";

pub(super) struct ApiKey {
    secret: SecretString,
    hash: String,
    units_a_day: u64,
}

impl ApiKey {
    pub(super) fn new(settings: &CrawlSettings) -> Option<Self> {
        let secret = settings.youtube_api_key.clone()?;
        let hash = Digest::of(secret.expose_secret().as_bytes()).prefix(HASH_PREFIX_LEN);
        Some(Self { secret, hash, units_a_day: settings.youtube_quota_units })
    }

    /// Returns the header with the key, if the server of `url` may receive it.
    pub(super) fn header(
        &self,
        url: &Url,
        client: &GuardedClient,
    ) -> Result<(HeaderName, HeaderValue), WebError> {
        let host = url.host_str().unwrap_or_default();
        if !is_google(url) && !client.allows(host) {
            return Err(WebError::Refused(format!(
                "the Data API key is not sent to {url}: only https://*.googleapis.com and the hosts of \
                 SUBWATCH_FETCH_ALLOW receive it"
            )));
        }
        let mut value =
            HeaderValue::from_str(self.secret.expose_secret()).expect("the settings were validated");
        value.set_sensitive(true);
        Ok((HEADER, value))
    }

    /// Redacts the key in a response body: the API quotes a rejected key in full.
    pub(super) fn redact(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let secret = self.secret.expose_secret().as_bytes();
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(secret.len().max(1)).position(|part| part == secret) {
            bytes.splice(from + at..from + at + secret.len(), REDACTED.bytes());
            from += at + REDACTED.len();
        }
        bytes
    }

    /// Spends units of today's quota, or fails if fewer are left.
    pub(super) async fn spend(&self, store: &Store, units: u32) -> Result<(), WebError> {
        let today = pacific_day(store.now_ms().await?);
        match store.spend_quota(&self.hash, &today, units, self.units_a_day).await? {
            Spending::Spent { .. } => Ok(()),
            Spending::Exhausted { used, resets_at_ms } => Err(WebError::BackedOff {
                host: API_NAME.to_owned(),
                until_ms: resets_at_ms,
                // Units are left by our own count, so the API itself has reported the quota as used up.
                reason: if used + u64::from(units) <= self.units_a_day {
                    format!("it reports that the quota of key {} is used up", self.hash)
                } else {
                    format!(
                        "key {} has spent {used} of {} units (SUBWATCH_YOUTUBE_QUOTA_UNITS)",
                        self.hash, self.units_a_day
                    )
                },
            }),
        }
    }

    /// Records that the API reports the quota as used up, and returns the error for the job.
    pub(super) async fn mark_exhausted(&self, store: &Store) -> WebError {
        let exhausted = async {
            let today = pacific_day(store.now_ms().await?);
            store.record_quota_refusal(&self.hash, &today, self.units_a_day).await
        };
        let until: Result<u64, StoreError> = exhausted.await;
        match until {
            Ok(until_ms) => WebError::BackedOff {
                host: API_NAME.to_owned(),
                until_ms,
                reason: format!("it reports that the quota of key {} is used up", self.hash),
            },
            Err(error) => error.into(),
        }
    }
}

pub(super) fn missing_key() -> WebError {
    WebError::Refused(
        "the Data API needs a key: set SUBWATCH_YOUTUBE_API_KEY or SUBWATCH_YOUTUBE_API_KEY_FILE".to_owned(),
    )
}

fn is_google(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn key_is_redacted_in_responses() {
        let settings = CrawlSettings { youtube_api_key: Some("AIza-1".into()), ..CrawlSettings::default() };
        let key = ApiKey::new(&settings).unwrap();
        let body = "Consumer 'api_key:AIza-1' has been suspended: AIza-1AIza-1 AIza-2";
        let redacted = String::from_utf8(key.redact(body.into())).unwrap();
        assert_eq!(redacted, "Consumer 'api_key:***' has been suspended: ****** AIza-2");
        assert_eq!(key.redact(b"AIza-".to_vec()), b"AIza-");
    }

    #[test]
    fn key_is_sent_only_to_google_and_allowed_hosts() {
        let key = "hunter2";
        let settings = CrawlSettings { youtube_api_key: Some(key.into()), ..CrawlSettings::default() };
        let key_of = ApiKey::new(&settings).unwrap();
        let client = GuardedClient::new("proxy.example", "test", Duration::from_secs(1));
        for url in ["https://youtube.googleapis.com/youtube/v3/videos", "http://proxy.example:81/v3"] {
            let (name, value) = key_of.header(&Url::parse(url).unwrap(), &client).unwrap();
            assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-goog-api-key", key));
            assert!(!format!("{value:?}").contains(key));
        }
        for url in [
            "http://youtube.googleapis.com/v3",
            "https://googleapis.com.example/v3",
            "https://youtubegoogleapis.com/",
            "https://93.184.216.34/",
        ] {
            let error = key_of.header(&Url::parse(url).unwrap(), &client).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the Data API key is not sent to {url}")), "{error}");
            assert!(!error.contains(key), "{error}");
        }
        assert!(!key_of.hash.contains(key) && key_of.hash.len() == HASH_PREFIX_LEN);
    }
}
