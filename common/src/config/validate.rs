//! Which values settings may have.
//!
//! Owns the ranges, and what is said of a value outside of them. Does not own where values come from. Invariant: a
//! value that is a secret, or holds one, is not repeated.

use std::fmt;

use secrecy::ExposeSecret;
use url::Url;

use super::{ConfigError, Settings, secret};
use crate::job::{args::MAX_CHUNK_ITEMS, kind::Kind};

impl Settings {
    /// Checks what the form of a value does not.
    ///
    /// # Errors
    /// When a value is out of range; it names the setting.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_CHUNK_ITEMS).contains(&self.chunk_items) {
            return fail("chunk_items", &self.chunk_items, &format!("between 1 and {MAX_CHUNK_ITEMS}"));
        }
        for kind in Kind::ALL {
            if self.max_attempts(kind) == 0 {
                return fail(&format!("{}_attempts", kind.name().replace("-epoch", "")), &0, "at least 1");
            }
        }
        if self.max_active == 0 {
            return fail("max_active", &0, "at least 1");
        }
        if self.max_upload_bytes < self.max_image_bytes {
            return fail("max_upload_bytes", &self.max_upload_bytes, "at least SUBWATCH_MAX_IMAGE_BYTES");
        }
        if self.prefetch == 0 {
            return fail("prefetch", &self.prefetch, "at least 1");
        }
        if self.job_limit_seconds == 0 {
            return fail("job_limit_seconds", &self.job_limit_seconds, "at least 1");
        }
        if self.model_threads == Some(0) || self.decode_threads == Some(0) {
            return fail("model_threads or decode_threads", &0, "at least 1");
        }
        if !["auto", "fp32", "bf16"].contains(&self.model_precision.as_str()) {
            return fail("model_precision", &self.model_precision, "auto, fp32 or bf16");
        }
        if !["auto", "human", "json"].contains(&self.log_format.as_str()) {
            return fail("log_format", &self.log_format, "auto, human or json");
        }
        if !["http", "https"].contains(&self.url.scheme()) || self.url.host().is_none() {
            return fail("url", &self.url, "an http URL such as http://127.0.0.1:8470");
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            let want = "free of user and password: the API asks for a token, which SUBWATCH_TOKEN holds";
            return fail("url", &hidden(&self.url), want);
        }
        if self.redis_key_prefix.contains(['{', '}']) {
            return fail(
                "redis_key_prefix",
                &self.redis_key_prefix,
                "free of braces, which mark the hash tag",
            );
        }
        self.validate_crawl()?;
        self.validate_ranking()
    }

    fn validate_crawl(&self) -> Result<(), ConfigError> {
        for (kind, per_second, at_once) in [
            ("web", self.crawl_web_per_second, self.crawl_web_at_once),
            ("api", self.crawl_api_per_second, self.crawl_api_at_once),
            ("image", self.crawl_image_per_second, self.crawl_image_at_once),
        ] {
            if !(0.001..=1000.0).contains(&per_second) {
                return fail(&format!("crawl_{kind}_per_second"), &per_second, "between 0.001 and 1000");
            }
            if !(1..=256).contains(&at_once) {
                return fail(&format!("crawl_{kind}_at_once"), &at_once, "between 1 and 256");
            }
        }
        if !(1..=7 * 24 * 3600).contains(&self.crawl_pause_seconds) {
            return fail("crawl_pause_seconds", &self.crawl_pause_seconds, "between 1 and 604800, a week");
        }
        // What may stand in the comment of a user agent: URLs escape all but the parentheses.
        let is_contact = |url: &Url| {
            ["http", "https", "mailto"].contains(&url.scheme()) && !url.as_str().contains(['(', ')'])
        };
        if let Some(contact) = self.crawl_contact.as_ref().filter(|contact| !is_contact(contact)) {
            return fail("crawl_contact", contact, "an http URL or mailto:ADDRESS, without parentheses");
        }
        if let Some(key) = &self.youtube_api_key {
            let is_key = |key: &str| !key.is_empty() && key.chars().all(|sign| sign.is_ascii_graphic());
            if !is_key(key.expose_secret()) {
                let want = "a key of visible ASCII characters, without spaces";
                return fail("youtube_api_key", &secret::HIDDEN, want);
            }
        }
        Ok(())
    }

    fn validate_ranking(&self) -> Result<(), ConfigError> {
        if let Some(url) = &self.ranking_webdriver {
            let is_plain = url.username().is_empty() && url.password().is_none();
            if url.scheme() != "http" || url.host().is_none() || !is_plain {
                let want = "an http URL such as http://127.0.0.1:9515, without user and password";
                return fail("ranking_webdriver", &hidden(url), want);
            }
        }
        for (key, selector) in [("ranking_rows", &self.ranking_rows), ("ranking_link", &self.ranking_link)] {
            if selector.trim().is_empty() {
                return fail(key, selector, "a CSS selector");
            }
        }
        if !(1..=600).contains(&self.ranking_wait_seconds) {
            return fail("ranking_wait_seconds", &self.ranking_wait_seconds, "between 1 and 600");
        }
        Ok(())
    }
}

fn fail(key: &str, value: &dyn fmt::Display, want: &str) -> Result<(), ConfigError> {
    Err(ConfigError::invalid(key, value, want))
}

/// The URL without its password.
fn hidden(url: &Url) -> Url {
    let mut shown = url.clone();
    let _ = shown.set_password(url.password().map(|_| secret::HIDDEN));
    shown
}
