//! The key of the Data API: to whom it goes, and what it may spend.
//!
//! Invariant: whoever names a server in a submission does not get the operator's key sent there.

use common::{
    config::CrawlSettings,
    digest::Digest,
    store::{Spending, Store, StoreError},
};
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{WebError, pacific_day::pacific_day, public_client::GuardedClient};

/// Signs of the key's hash that name it to people.
const HASH_SIGNS: usize = 12;
const HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");
/// What stands in place of the key.
const HIDDEN: &str = "***";
/// Whose units these are, to people.
const API: &str = "the YouTube Data API";

pub(super) struct ApiKey {
    secret: SecretString,
    hash: String,
    units_a_day: u64,
}

impl ApiKey {
    pub(super) fn new(settings: &CrawlSettings) -> Option<Self> {
        let secret = settings.youtube_api_key.clone()?;
        let hash = Digest::of(secret.expose_secret().as_bytes()).prefix(HASH_SIGNS);
        Some(Self { secret, hash, units_a_day: settings.youtube_quota_units })
    }

    /// The header that carries the key to `url`.
    ///
    /// # Errors
    /// When the key is not for that server.
    pub(super) fn header(
        &self,
        url: &Url,
        client: &GuardedClient,
    ) -> Result<(HeaderName, HeaderValue), WebError> {
        let host = url.host_str().unwrap_or_default();
        if !is_google(url) && !client.allows(host) {
            return Err(WebError::Refused(format!(
                "{url} does not get the key of the Data API: it goes to https://*.googleapis.com and to the \
                 hosts of SUBWATCH_FETCH_ALLOW only"
            )));
        }
        let mut value =
            HeaderValue::from_str(self.secret.expose_secret()).expect("the settings were validated");
        value.set_sensitive(true);
        Ok((HEADER, value))
    }

    /// Takes the key out of what the API says: of a key that it refuses, it repeats all of it.
    pub(super) fn hide(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let secret = self.secret.expose_secret().as_bytes();
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(secret.len().max(1)).position(|part| part == secret) {
            bytes.splice(from + at..from + at + secret.len(), HIDDEN.bytes());
            from += at + HIDDEN.len();
        }
        bytes
    }

    /// Spends units of today's quota.
    ///
    /// # Errors
    /// When there are not as many left.
    pub(super) async fn spend(&self, store: &Store, units: u32) -> Result<(), WebError> {
        let today = pacific_day(store.now_ms().await?);
        match store.spend(&self.hash, &today, units, self.units_a_day).await? {
            Spending::Spent { .. } => Ok(()),
            Spending::Exhausted { used, resets_at_ms } => Err(WebError::BackedOff {
                host: API.to_owned(),
                until_ms: resets_at_ms,
                reason: if used + u64::from(units) <= self.units_a_day {
                    format!("it says that the quota of key {} is exceeded", self.hash)
                } else {
                    format!(
                        "key {} has spent {used} of {} units (SUBWATCH_YOUTUBE_QUOTA_UNITS)",
                        self.hash, self.units_a_day
                    )
                },
            }),
        }
    }

    /// Notes that the API refuses the key for now.
    pub(super) async fn exhaust(&self, store: &Store) -> WebError {
        let exhausted = async {
            let today = pacific_day(store.now_ms().await?);
            store.exhaust(&self.hash, &today, self.units_a_day).await
        };
        let until: Result<u64, StoreError> = exhausted.await;
        match until {
            Ok(until_ms) => WebError::BackedOff {
                host: API.to_owned(),
                until_ms,
                reason: format!("it says that the quota of key {} is exceeded", self.hash),
            },
            Err(error) => error.into(),
        }
    }
}

/// What a request of the API fails with where there is no key.
pub(super) fn missing() -> WebError {
    WebError::Refused("the Data API wants a key: set SUBWATCH_YOUTUBE_API_KEY or …_FILE".to_owned())
}

fn is_google(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_key_is_taken_out_of_what_the_api_says() {
        let settings = CrawlSettings { youtube_api_key: Some("AIza-1".into()), ..CrawlSettings::default() };
        let key = ApiKey::new(&settings).unwrap();
        let said = "Consumer 'api_key:AIza-1' has been suspended: AIza-1AIza-1 AIza-2";
        let hidden = String::from_utf8(key.hide(said.into())).unwrap();
        assert_eq!(hidden, "Consumer 'api_key:***' has been suspended: ****** AIza-2");
        assert_eq!(key.hide(b"AIza-".to_vec()), b"AIza-");
    }

    #[test]
    fn the_key_goes_to_those_it_is_for() {
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
            assert!(error.starts_with(url) && !error.contains(key), "{error}");
        }
        assert!(!key_of.hash.contains(key) && key_of.hash.len() == HASH_SIGNS);
    }
}
