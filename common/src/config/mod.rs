//! Settings of both programs: flag > environment > file > default.
//!
//! Owns every key, its default and its unit, and is the only place that reads the environment. Does not
//! own what a setting does. Invariant: settings are validated whole before anything connects; a secret
//! never prints.
//!
//! A key `amqp_url` is the environment variable `SUBWATCH_AMQP_URL` and the line `amqp_url = "…"` of the
//! TOML file that `SUBWATCH_CONFIG` names.

mod secret;
mod sources;
mod validate;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub use self::sources::{Loaded, Setting};
use crate::{job::kind::Kind, tls::Authorities};

/// Prefix of every environment variable.
const PREFIX: &str = "SUBWATCH";

/// All settings. Programs take what concerns them. Serialised, the passwords in URLs are `***`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// RabbitMQ, as `amqp://user:password@host:port/vhost`. Default `amqp://guest:guest@127.0.0.1:5672/%2f`.
    #[serde(serialize_with = "secret::without_password")]
    pub amqp_url: SecretString,
    /// File that holds `amqp_url`, for secrets that are mounted as files. Give one of the two.
    pub amqp_url_file: Option<PathBuf>,
    /// PEM file of the authorities whose signature RabbitMQ's certificate must bear, over `amqps://`.
    /// Default: those of the system.
    pub amqp_ca_file: Option<PathBuf>,
    /// What `amqp_ca_file` holds.
    #[serde(skip)]
    pub amqp_authorities: Option<Authorities>,
    /// Redis, as `redis://user:password@host:port/database`. Default `redis://127.0.0.1:6379/0`.
    #[serde(serialize_with = "secret::without_password")]
    pub redis_url: SecretString,
    /// File that holds `redis_url`. Give one of the two.
    pub redis_url_file: Option<PathBuf>,
    /// PEM file of the authorities whose signature Redis's certificate must bear, over `rediss://`.
    /// Default: those of the system.
    pub redis_ca_file: Option<PathBuf>,
    /// What `redis_ca_file` holds.
    #[serde(skip)]
    pub redis_authorities: Option<Authorities>,
    /// What every Redis key begins with. Default `subwatch:`.
    pub redis_key_prefix: String,
    /// Where the coordinator listens and the command line connects. Default `http://127.0.0.1:8470`.
    pub url: Url,
    /// File of the access tokens that the coordinator's API asks for, one `NAME SCOPE SHA256` a line; it is
    /// read again when it changes. Default: none, and then the API listens on loopback only.
    pub tokens_file: Option<PathBuf>,
    /// The access token that the command line sends. Default: none.
    #[serde(serialize_with = "secret::hidden")]
    pub token: Option<SecretString>,
    /// File that holds `token`. Give one of the two.
    pub token_file: Option<PathBuf>,
    /// Where `/healthz` and `/readyz` are served beside the API, as `IP:PORT`; there is nothing else, so
    /// any address may be given. Default: nowhere.
    pub health_address: Option<SocketAddr>,
    /// Folders that server-side paths may lie in, separated by `:`; also `s3://BUCKET/PREFIX`. Default: the
    /// folder the coordinator was started in.
    pub dataset_roots: Option<String>,
    /// Folder for manifests and what runs leave, read by the workers too; also `s3://BUCKET/PREFIX`.
    /// Default `.subwatch` in the folder the coordinator was started in.
    pub artifacts: String,
    /// Hosts that images may be fetched from though their addresses are not public, separated by commas.
    /// Default: none.
    pub fetch_allow: String,
    /// Requests a second to a host whose pages are crawled, over all workers together. Default 1.
    pub crawl_web_per_second: f64,
    /// Such requests under way at once. Default 1.
    pub crawl_web_at_once: u32,
    /// Requests a second to the Data API, over all workers together. Default 10.
    pub crawl_api_per_second: f64,
    /// Such requests under way at once. Default 1.
    pub crawl_api_at_once: u32,
    /// Requests a second to a host of thumbnails, over all workers together. Default 1.
    pub crawl_image_per_second: f64,
    /// Such requests under way at once. Default 4.
    pub crawl_image_at_once: u32,
    /// How long a host that has had enough of us is left alone, in seconds. Default 3600.
    pub crawl_pause_seconds: u64,
    /// Where a site finds who crawls it, as an http URL or `mailto:ADDRESS`; it is part of the user agent.
    /// Default: none.
    pub crawl_contact: Option<Url>,
    /// Key of the YouTube Data API. Default: none.
    #[serde(serialize_with = "secret::hidden")]
    pub youtube_api_key: Option<SecretString>,
    /// File that holds `youtube_api_key`. Give one of the two.
    pub youtube_api_key_file: Option<PathBuf>,
    /// Units of the Data API that the key may spend in a day, which ends at midnight Pacific time. Default 10000.
    pub youtube_quota_units: u64,
    /// A WebDriver of Chromium that runs already, as an http URL; rankings are read with it. Default: none, and
    /// then `chromedriver` is started while it is needed.
    pub ranking_webdriver: Option<Url>,
    /// CSS selector of the rows of a ranking, in the order of their ranks. Default `table tbody tr`.
    pub ranking_rows: String,
    /// CSS selector of the links of such a row; the first that names a channel counts. Default `a[href]`.
    pub ranking_link: String,
    /// CSS selector of what is there once a ranking is complete. Default: none, and then a ranking is complete
    /// when it has had rows, and the same number of them, for a second.
    pub ranking_ready: Option<String>,
    /// How long a ranking may take to load, and then to be complete, in seconds. Default 30.
    pub ranking_wait_seconds: u64,
    /// Items in one embed or predict job. Default 64; at most 1024.
    pub chunk_items: u32,
    /// Attempts an embed job gets before it is dead-lettered for an error that might pass. Default 5.
    pub embed_attempts: u32,
    /// Attempts a predict job gets. Default 5.
    pub predict_attempts: u32,
    /// Attempts a training job gets before its run fails. Default 5.
    pub train_attempts: u32,
    /// Attempts a crawl job gets; waiting for a source that is paused is none. Default 5.
    pub crawl_attempts: u32,
    /// Submissions and runs that may be going on at once; more are refused until some have ended. Default 1000.
    pub max_active: u64,
    /// How long a finished submission is kept, in seconds. Default 30 days. Runs are kept.
    pub retention_seconds: u64,
    /// How long an uploaded image is kept, in seconds. Default 1 day.
    pub upload_ttl_seconds: u64,
    /// Bytes that uploaded images may take up together; more are refused until some have expired. Default 4 GiB.
    pub max_upload_bytes: u64,
    /// How long a job may stay untouched, with nothing left in its queue, before it is published again,
    /// in seconds. Default 30.
    pub sweep_after_seconds: u64,
    /// Largest image file, in bytes. Default 32 MiB.
    pub max_image_bytes: u64,
    /// Backbone weights: a path to `.pth` or `.safetensors`, an https URL, or `random:SEED`.
    /// Default: torchvision's IMAGENET1K_V1.
    pub model_weights: Option<String>,
    /// Precision of the backbone: `auto`, `fp32` or `bf16`. Default `auto`.
    pub model_precision: String,
    /// Device of the backbone: `auto`, `cpu` or `cuda:N`. Default `auto`.
    pub model_device: String,
    /// Compute threads of the backbone. Default: one per core.
    pub model_threads: Option<usize>,
    /// Folder for downloaded weights. Default `$XDG_CACHE_HOME/subwatch` or `~/.cache/subwatch`.
    pub cache_dir: Option<PathBuf>,
    /// Threads that decode images. Default: one per core.
    pub decode_threads: Option<usize>,
    /// Jobs a worker holds at once, per queue. Default 4.
    pub prefetch: u16,
    /// How long a worker finishes what it holds after SIGTERM before it releases it, in seconds. Default 30.
    pub grace_seconds: u64,
    /// Longest a worker may work on one job, in seconds: what takes longer hangs, and the worker ends itself.
    /// Default 300.
    pub job_limit_seconds: u64,
    /// What is logged, as a `tracing` filter. Default `info,lapin=off`: lapin dumps whole messages.
    pub log: String,
    /// Log form: `auto` (human on a terminal, JSON otherwise), `human` or `json`. Default `auto`.
    pub log_format: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            amqp_url: "amqp://guest:guest@127.0.0.1:5672/%2f".into(),
            amqp_url_file: None,
            amqp_ca_file: None,
            amqp_authorities: None,
            redis_url: "redis://127.0.0.1:6379/0".into(),
            redis_url_file: None,
            redis_ca_file: None,
            redis_authorities: None,
            redis_key_prefix: "subwatch:".to_owned(),
            url: Url::parse("http://127.0.0.1:8470").expect("the literal is a URL"),
            tokens_file: None,
            token: None,
            token_file: None,
            health_address: None,
            dataset_roots: None,
            artifacts: ".subwatch".to_owned(),
            fetch_allow: String::new(),
            crawl_web_per_second: 1.0,
            crawl_web_at_once: 1,
            crawl_api_per_second: 10.0,
            crawl_api_at_once: 1,
            crawl_image_per_second: 1.0,
            crawl_image_at_once: 4,
            crawl_pause_seconds: 3600,
            crawl_contact: None,
            youtube_api_key: None,
            youtube_api_key_file: None,
            youtube_quota_units: 10_000,
            ranking_webdriver: None,
            ranking_rows: "table tbody tr".to_owned(),
            ranking_link: "a[href]".to_owned(),
            ranking_ready: None,
            ranking_wait_seconds: 30,
            chunk_items: 64,
            embed_attempts: 5,
            predict_attempts: 5,
            train_attempts: 5,
            crawl_attempts: 5,
            max_active: 1000,
            retention_seconds: 30 * 24 * 3600,
            upload_ttl_seconds: 24 * 3600,
            max_upload_bytes: 4 << 30,
            sweep_after_seconds: 30,
            max_image_bytes: 32 << 20,
            model_weights: None,
            model_precision: "auto".to_owned(),
            model_device: "auto".to_owned(),
            model_threads: None,
            cache_dir: None,
            decode_threads: None,
            prefetch: 4,
            grace_seconds: 30,
            job_limit_seconds: 300,
            log: "info,lapin=off".to_owned(),
            log_format: "auto".to_owned(),
        }
    }
}

/// What is wrong with the settings, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{place}{text}")]
pub struct ConfigError {
    /// The setting, where it is about one.
    key: Option<String>,
    /// What the user knows the setting by.
    place: String,
    text: String,
}

impl ConfigError {
    /// Says that the setting `key` has `value` where it must be `want`.
    #[must_use]
    pub fn invalid(key: &str, value: &dyn fmt::Display, want: &str) -> Self {
        let text = format!(" is '{value}': it must be {want}");
        Self { key: Some(key.to_owned()), place: sources::variable(key), text }
    }

    fn general(text: impl Into<String>) -> Self {
        Self { key: None, place: String::new(), text: text.into() }
    }
}

impl Settings {
    /// Reads the file and the environment of this process, with `flags` above them.
    ///
    /// # Errors
    /// When a file cannot be read, a value has the wrong form, or a value is out of range.
    pub fn load(flags: &[(&str, Option<String>)]) -> Result<Self, ConfigError> {
        Loaded::from_process(flags).map(|loaded| loaded.settings)
    }

    /// Returns the environment variables that are settings, sorted; `SUBWATCH_CONFIG`, which names the
    /// file, is one of them.
    #[must_use]
    pub fn environment_keys() -> Vec<String> {
        let mut keys: Vec<String> = sources::keys().iter().map(|key| sources::variable(key)).collect();
        keys.push(sources::variable("config"));
        keys.sort();
        keys
    }

    /// Attempts a job of `kind` gets.
    #[must_use]
    pub fn max_attempts(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Embed => self.embed_attempts,
            Kind::Predict => self.predict_attempts,
            Kind::TrainEpoch => self.train_attempts,
            Kind::Crawl => self.crawl_attempts,
        }
    }

    /// How long a finished submission is kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// How long a host that has had enough of us is left alone.
    #[must_use]
    pub fn crawl_pause(&self) -> Duration {
        Duration::from_secs(self.crawl_pause_seconds)
    }

    /// How long a ranking may take to load, and then to be complete.
    #[must_use]
    pub fn ranking_wait(&self) -> Duration {
        Duration::from_secs(self.ranking_wait_seconds)
    }

    /// How long a worker that was told to stop finishes what it holds.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds)
    }

    /// Longest a worker may work on one job.
    #[must_use]
    pub fn job_limit(&self) -> Duration {
        Duration::from_secs(self.job_limit_seconds)
    }

    /// Folder for downloaded weights.
    ///
    /// # Errors
    /// When it is not set and there is no home folder to put it in.
    pub fn cache_dir(&self) -> Result<PathBuf, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        self.cache_dir
            .clone()
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("subwatch")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/subwatch")))
            .ok_or_else(|| {
                ConfigError::general(format!("no folder for downloaded weights: set {PREFIX}_CACHE_DIR"))
            })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn load(variables: &[(&str, &str)], flags: &[(&str, Option<String>)]) -> Result<Settings, ConfigError> {
        let variables =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Loaded::from_sources(flags, variables).map(|loaded| loaded.settings)
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_defaults() {
        let settings = load(
            &[("SUBWATCH_CHUNK_ITEMS", "32"), ("SUBWATCH_PREFETCH", "2"), ("SUBWATCH_LOG", "")],
            &[("prefetch", Some("9".to_owned())), ("chunk_items", None)],
        )
        .unwrap();
        assert_eq!(
            (settings.chunk_items, settings.prefetch, settings.log.as_str()),
            (32, 9, "info,lapin=off")
        );
    }

    #[test]
    fn secrets_do_not_print() {
        let settings = load(&[("SUBWATCH_AMQP_URL", "amqp://me:hunter2@rabbit/%2f")], &[]).unwrap();
        assert_eq!(settings.amqp_url.expose_secret(), "amqp://me:hunter2@rabbit/%2f");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn bad_values_are_named() {
        let check = |name: &str, value: &str, want: &str| {
            let error = load(&[(name, value)], &[]).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check("SUBWATCH_CHUNK_ITEMS", "0", "SUBWATCH_CHUNK_ITEMS is '0': it must be between 1 and 1024");
        check("SUBWATCH_CHUNK_ITEMS", "many", "SUBWATCH_CHUNK_ITEMS: string \"many\", not an integer");
        check("SUBWATCH_JOB_LIMIT_SECONDS", "0", "at least 1");
        check("SUBWATCH_MODEL_PRECISION", "fp8", "auto, fp32 or bf16");
        check("SUBWATCH_URL", "8470", "SUBWATCH_URL: ");
        check("SUBWATCH_URL", "http://me:hunter2@host", "is 'http://me:***@host/': it must be free of user");
        check("SUBWATCH_REDIS_KEY_PREFIX", "{x}", "free of braces");
        check("SUBWATCH_HEALTH_ADDRESS", "8471", "SUBWATCH_HEALTH_ADDRESS: ");
        check(
            "SUBWATCH_CRAWL_WEB_PER_SECOND",
            "0",
            "SUBWATCH_CRAWL_WEB_PER_SECOND is '0': it must be between",
        );
        check("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "NaN", "between 0.001 and 1000");
        check(
            "SUBWATCH_CRAWL_API_AT_ONCE",
            "0",
            "SUBWATCH_CRAWL_API_AT_ONCE is '0': it must be between 1 and",
        );
        check("SUBWATCH_CRAWL_PAUSE_SECONDS", "0", "between 1 and 604800");
        check("SUBWATCH_CRAWL_CONTACT", "ftp://me", "an http URL or mailto:ADDRESS");
        check("SUBWATCH_CRAWL_CONTACT", "https://me/(x)", "without parentheses");
        check("SUBWATCH_RANKING_ROWS", " ", "SUBWATCH_RANKING_ROWS is ' ': it must be a CSS selector");
        check("SUBWATCH_RANKING_WAIT_SECONDS", "0", "it must be between 1 and 600");
        check("SUBWATCH_RANKING_WEBDRIVER", "ftp://grid", "it must be an http URL such as");
        check(
            "SUBWATCH_RANKING_WEBDRIVER",
            "http://me:hunter2@grid",
            "SUBWATCH_RANKING_WEBDRIVER is 'http://me:***@grid/': it must be",
        );
        check(
            "SUBWATCH_YOUTUBE_API_KEY",
            "hunter 2",
            "SUBWATCH_YOUTUBE_API_KEY is '***': it must be a key of",
        );
        check("SUBWATCH_AMQP_URL_FILE", "/no/such/file", "SUBWATCH_AMQP_URL_FILE is '/no/such/file'");
        check("SUBWATCH_CONFIG", "/no/such/file", "SUBWATCH_CONFIG is '/no/such/file'");
    }
}
