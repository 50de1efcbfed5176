//! Loading of settings from flags, environment and file, with the origin of each value.

use std::{collections::HashMap, fs};

use config::{Config, Environment, File, FileFormat, Source};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{ConfigError, Origins, PREFIX, variable},
    settings::Settings,
};

/// Settings and the origin of each value.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// The origin of each key that is not at its default.
    origins: Origins,
    /// Environment variables with the prefix that are not a setting, probably misspelt.
    pub unknown: Vec<String>,
}

/// One setting, for display.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Setting {
    /// As in the file.
    pub key: String,
    pub variable: String,
    /// Secrets are masked; null if unset.
    pub value: serde_json::Value,
    /// `default`, `flag`, the environment variable, or the file.
    pub origin: String,
}

/// The keys of all settings, sorted.
fn keys() -> Vec<String> {
    values(&Settings::default()).into_iter().map(|(key, _)| key).collect()
}

fn values(settings: &Settings) -> Vec<(String, serde_json::Value)> {
    match serde_json::to_value(settings).expect("settings are plain data") {
        serde_json::Value::Object(values) => values.into_iter().collect(),
        _ => unreachable!("a struct serialises as an object"),
    }
}

/// Deserialises the settings of one concern. With `#[serde(flatten)]`, one call for all of them would not convert text
/// of the environment to numbers.
fn part<T: DeserializeOwned>(built: &Config, origins: &Origins) -> Result<T, ConfigError> {
    built.clone().try_deserialize().map_err(|error| malformed(&error).named_by(origins))
}

impl Settings {
    /// Reads the settings of this process; `flags` override the environment, which overrides the file.
    ///
    /// # Errors
    /// If a file cannot be read, or a value is malformed or out of range.
    pub fn load(flags: &[(&str, Option<String>)]) -> Result<Self, ConfigError> {
        Loaded::from_process(flags).map(|loaded| loaded.settings)
    }

    /// The environment variables of all settings, sorted, including `SUBWATCH_CONFIG`.
    #[must_use]
    pub fn environment_keys() -> Vec<String> {
        let mut keys: Vec<String> = keys().iter().map(|key| variable(key)).collect();
        keys.push(variable("config"));
        keys.sort();
        keys
    }
}

impl Loaded {
    /// See [`Settings::load`].
    pub fn from_process(flags: &[(&str, Option<String>)]) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with(PREFIX))
            .collect();
        Self::from_sources(flags, variables)
    }

    fn from_sources(
        flags: &[(&str, Option<String>)],
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let failed = |error: config::ConfigError| ConfigError::general(error.to_string());
        let keys = keys();
        let mut origins = Origins::new();
        let mut builder = Config::builder();
        if let Some(path) = variables.get(&variable("config")).filter(|path| !path.is_empty()) {
            let invalid = |reason: String| {
                ConfigError::invalid("config", path, &format!("a TOML file of settings ({reason})"))
            };
            let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
            let file = File::from_str(&text, FileFormat::Toml);
            for key in file.collect().map_err(|error| invalid(without_excerpt(&error)))?.into_keys() {
                if !keys.contains(&key) {
                    return Err(ConfigError::general(format!("{path}: '{key}' is not a setting")));
                }
                origins.insert(key, path.clone());
            }
            builder = builder.add_source(file);
        }
        let mut unknown = Vec::new();
        for name in variables.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name) {
            match keys.iter().find(|key| variable(key) == **name) {
                Some(key) => drop(origins.insert(key.clone(), name.clone())),
                None if *name == variable("config") => {}
                None => unknown.push(name.clone()),
            }
        }
        unknown.sort();
        let environment = Environment::with_prefix(PREFIX).ignore_empty(true).source(Some(variables));
        builder = builder.add_source(environment);
        for (key, value) in flags {
            if value.is_some() {
                origins.insert((*key).to_owned(), "flag".to_owned());
            }
            builder = builder.set_override_option(*key, value.clone()).map_err(failed)?;
        }
        let built = builder.build().map_err(failed)?;
        let mut settings = Settings {
            broker: part(&built, &origins)?,
            store: part(&built, &origins)?,
            api: part(&built, &origins)?,
            data: part(&built, &origins)?,
            images: part(&built, &origins)?,
            jobs: part(&built, &origins)?,
            worker: part(&built, &origins)?,
            model: part(&built, &origins)?,
            crawl: part(&built, &origins)?,
            ranking: part(&built, &origins)?,
            logging: part(&built, &origins)?,
        };
        let read = settings.read_files(&origins);
        read.and_then(|()| settings.validate()).map_err(|error| error.named_by(&origins))?;
        Ok(Self { settings, origins, unknown })
    }

    #[must_use]
    pub fn describe(&self) -> Vec<Setting> {
        let describe = |(key, value): (String, serde_json::Value)| Setting {
            origin: self.origins.get(&key).cloned().unwrap_or_else(|| "default".to_owned()),
            variable: variable(&key),
            key,
            value,
        };
        values(&self.settings).into_iter().map(describe).collect()
    }
}

/// A value of the wrong type.
fn malformed(error: &config::ConfigError) -> ConfigError {
    match error {
        config::ConfigError::At { error, key: Some(key), .. } => {
            let text = error.to_string();
            // The wording of the `url` crate means little to somebody who forgot `http://`.
            let text = match text.strip_prefix("relative URL without a base: ") {
                Some(value) => format!("the URL must start with a scheme such as http://, not {value}"),
                None => text,
            };
            ConfigError::about(key, format!(": {text}"))
        }
        config::ConfigError::Type { unexpected, expected, key: Some(key), .. } => {
            ConfigError::about(key, format!(" must be {expected}, not {unexpected}"))
        }
        error => ConfigError::general(error.to_string()),
    }
}

/// The error of a TOML parser in one line, without the quoted source line, which may contain a secret.
fn without_excerpt(error: &config::ConfigError) -> String {
    let text = error.to_string();
    let is_message = |line: &&str| !line.trim().is_empty() && !line.contains('|');
    text.lines().filter(is_message).map(str::trim).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_value_has_its_origin_and_secrets_are_masked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subwatch.toml");
        fs::write(&file, "chunk_items = 16\nprefetch = 3\n").unwrap();
        let file = file.display().to_string();
        let variables = variables(&[
            ("SUBWATCH_CONFIG", &file),
            ("SUBWATCH_PREFETCH", "2"),
            ("SUBWATCH_AMQP_URL", "amqp://me:hunter2@rabbit/%2f"),
            ("SUBWATCH_PREFTECH", "9"),
        ]);
        let loaded =
            Loaded::from_sources(&[("url", Some("http://127.0.0.1:1".to_owned()))], variables).unwrap();
        assert_eq!(loaded.unknown, ["SUBWATCH_PREFTECH"]);
        let described = loaded.describe();
        let check = |key: &str, value: &str, origin: &str| {
            let setting = described.iter().find(|setting| setting.key == key).unwrap();
            assert_eq!((setting.value.to_string().as_str(), setting.origin.as_str()), (value, origin));
        };
        check("chunk_items", "16", &file);
        check("prefetch", "2", "SUBWATCH_PREFETCH");
        check("url", "\"http://127.0.0.1:1/\"", "flag");
        check("embed_attempts", "5", "default");
        check("amqp_url", "\"amqp://me:***@rabbit/%2f\"", "SUBWATCH_AMQP_URL");
    }

    #[test]
    fn invalid_value_is_named_by_its_origin() {
        let folder = tempfile::tempdir().unwrap();
        let check = |flag: Option<&str>, variable: Option<(&str, &str)>, text: &str, want: &str| {
            let file = folder.path().join("subwatch.toml");
            fs::write(&file, text).unwrap();
            let file = file.display().to_string();
            let given: Vec<(&str, &str)> =
                [("SUBWATCH_CONFIG", file.as_str())].into_iter().chain(variable).collect();
            let flags = [("url", flag.map(str::to_owned))];
            let error = Loaded::from_sources(&flags, variables(&given)).unwrap_err().to_string();
            assert_eq!(error, want.replace("FILE", &file));
        };
        let number = "must be an integer, not string \"abc\"";
        let http = "it must be an http URL such as http://127.0.0.1:8470";
        check(None, None, "prefetch = \"abc\"", &format!("prefetch in FILE {number}"));
        check(None, Some(("SUBWATCH_PREFETCH", "abc")), "", &format!("SUBWATCH_PREFETCH {number}"));
        check(None, None, "url = \"ftp://x\"", &format!("url in FILE is 'ftp://x/': {http}"));
        check(None, Some(("SUBWATCH_URL", "ftp://x")), "", &format!("SUBWATCH_URL is 'ftp://x/': {http}"));
        check(Some("ftp://x"), None, "", &format!("--url is 'ftp://x/': {http}"));
        check(Some("foo"), None, "", "--url: the URL must start with a scheme such as http://, not \"foo\"");
    }

    #[test]
    fn secrets_are_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("amqp");
        fs::write(&file, "amqp://me:hunter2@rabbit/%2f\n").unwrap();
        let file = file.display().to_string();
        let only = variables(&[("SUBWATCH_AMQP_URL_FILE", &file)]);
        let settings = Loaded::from_sources(&[], only).unwrap().settings;
        assert_eq!(settings.broker.amqp_url.expose_secret(), "amqp://me:hunter2@rabbit/%2f");
        let both = variables(&[("SUBWATCH_AMQP_URL_FILE", &file), ("SUBWATCH_AMQP_URL", "amqp://x/%2f")]);
        let error = Loaded::from_sources(&[], both).unwrap_err().to_string();
        assert_eq!(error, "SUBWATCH_AMQP_URL_FILE and SUBWATCH_AMQP_URL are both set: set one of them");
    }

    #[test]
    fn unknown_key_in_the_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subwatch.toml");
        fs::write(&file, "preftech = 3\n").unwrap();
        let file = file.display().to_string();
        let error =
            Loaded::from_sources(&[], variables(&[("SUBWATCH_CONFIG", &file)])).unwrap_err().to_string();
        assert!(error.contains("'preftech' is not a setting"), "{error}");
    }

    #[test]
    fn error_of_a_malformed_file_does_not_quote_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subwatch.toml");
        fs::write(&file, "prefetch = 3\namqp_url = \"amqp://me:hunter2@rabbit/%2f\n").unwrap();
        let file = file.display().to_string();
        let error =
            Loaded::from_sources(&[], variables(&[("SUBWATCH_CONFIG", &file)])).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn tokens_and_keys_are_masked_and_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "hunter2\n").unwrap();
        let file = file.display().to_string();
        for given in [
            [("SUBWATCH_TOKEN", "hunter2"), ("SUBWATCH_YOUTUBE_API_KEY_FILE", file.as_str())],
            [("SUBWATCH_TOKEN_FILE", file.as_str()), ("SUBWATCH_YOUTUBE_API_KEY", "hunter2")],
        ] {
            let loaded = Loaded::from_sources(&[], variables(&given)).unwrap();
            for (key, value) in [
                ("token", &loaded.settings.api.token),
                ("youtube_api_key", &loaded.settings.crawl.youtube_api_key),
            ] {
                assert_eq!(value.as_ref().unwrap().expose_secret(), "hunter2");
                let shown = loaded.describe().into_iter().find(|setting| setting.key == key).unwrap();
                assert_eq!(shown.value, "***");
            }
            assert!(!format!("{loaded:?} {:?}", loaded.describe()).contains("hunter2"));
        }
        let none = Loaded::from_sources(&[], HashMap::new()).unwrap().describe();
        assert!(none.iter().any(|setting| setting.key == "token" && setting.value.is_null()));
    }

    #[test]
    fn unusable_ca_file_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, "no certificate").unwrap();
        let file = file.display().to_string();
        let check = |pairs: &[(&str, &str)], want: &str| {
            let error = Loaded::from_sources(&[], variables(pairs)).unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains("hunter2"), "{error}");
        };
        let (amqps, rediss) = ("amqps://me:hunter2@rabbit", "rediss://:hunter2@redis");
        check(
            &[("SUBWATCH_AMQP_URL", amqps), ("SUBWATCH_AMQP_CA_FILE", &file)],
            "it must be a PEM file of certificates (the file contains no certificate)",
        );
        check(
            &[("SUBWATCH_REDIS_URL", rediss), ("SUBWATCH_REDIS_CA_FILE", "/no/such/file")],
            "SUBWATCH_REDIS_CA_FILE is '/no/such/file': it must be a PEM file of certificates (No such file",
        );
        check(
            &[("SUBWATCH_AMQP_CA_FILE", &file)],
            "it must be unset unless SUBWATCH_AMQP_URL starts with amqps://",
        );
        check(
            &[("SUBWATCH_REDIS_URL", "redis://:hunter2@redis"), ("SUBWATCH_REDIS_CA_FILE", &file)],
            "it must be unset unless SUBWATCH_REDIS_URL starts with rediss://",
        );
    }

    #[test]
    fn environment_keys_cover_all_settings() {
        let keys = Settings::environment_keys();
        for key in ["SUBWATCH_AMQP_URL", "SUBWATCH_AMQP_URL_FILE", "SUBWATCH_CONFIG", "SUBWATCH_LOG"] {
            assert!(keys.contains(&key.to_owned()), "{key}");
        }
    }

    fn load(pairs: &[(&str, &str)], flags: &[(&str, Option<String>)]) -> Result<Settings, ConfigError> {
        Loaded::from_sources(flags, variables(pairs)).map(|loaded| loaded.settings)
    }

    #[test]
    fn flags_override_the_environment_which_overrides_defaults() {
        let settings = load(
            &[("SUBWATCH_CHUNK_ITEMS", "32"), ("SUBWATCH_PREFETCH", "2"), ("SUBWATCH_LOG", "")],
            &[("prefetch", Some("9".to_owned())), ("chunk_items", None)],
        )
        .unwrap();
        assert_eq!(
            (settings.jobs.chunk_items, settings.worker.prefetch, settings.logging.log.as_str()),
            (32, 9, "info,lapin=off")
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = load(&[("SUBWATCH_AMQP_URL", "amqp://me:hunter2@rabbit/%2f")], &[]).unwrap();
        assert_eq!(settings.broker.amqp_url.expose_secret(), "amqp://me:hunter2@rabbit/%2f");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn invalid_values_are_named() {
        let check = |name: &str, value: &str, want: &str| {
            let error = load(&[(name, value)], &[]).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        check("SUBWATCH_CHUNK_ITEMS", "0", "SUBWATCH_CHUNK_ITEMS is '0': it must be between 1 and 1024");
        check("SUBWATCH_CHUNK_ITEMS", "many", "SUBWATCH_CHUNK_ITEMS must be an integer, not string \"many\"");
        check("SUBWATCH_JOB_TIMEOUT_SECONDS", "0", "at least 1");
        check("SUBWATCH_MODEL_PRECISION", "fp8", "auto, fp32 or bf16");
        check("SUBWATCH_URL", "8470", "SUBWATCH_URL: ");
        check("SUBWATCH_URL", "http://me:hunter2@host", "is 'http://me:***@host/': it must be without user");
        check("SUBWATCH_REDIS_KEY_PREFIX", "{x}", "without braces");
        check("SUBWATCH_HEALTH_ADDRESS", "8471", "SUBWATCH_HEALTH_ADDRESS: ");
        check(
            "SUBWATCH_CRAWL_WEB_PER_SECOND",
            "0",
            "SUBWATCH_CRAWL_WEB_PER_SECOND is '0': it must be between",
        );
        check("SUBWATCH_CRAWL_IMAGE_PER_SECOND", "NaN", "between 0.001 and 1000");
        check(
            "SUBWATCH_CRAWL_API_CONCURRENCY",
            "0",
            "SUBWATCH_CRAWL_API_CONCURRENCY is '0': it must be between 1 and",
        );
        check("SUBWATCH_CRAWL_BACKOFF_SECONDS", "0", "between 1 and 604800");
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
