//! Where settings come from, layer above layer, and which layer a value came from.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use config::{Config, Environment, File, FileFormat, Source};
use serde::Serialize;

use super::{ConfigError, PREFIX, Settings};

/// Settings together with where each value came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The origin of each key that is not at its default.
    origins: BTreeMap<String, String>,
    /// Variables with the prefix that are no setting: misspelt, most likely.
    pub unknown: Vec<String>,
}

/// One setting, for people.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Setting {
    /// Its key, as in the file.
    pub key: String,
    /// Its environment variable.
    pub variable: String,
    /// Its value, secrets hidden; null where it is not set.
    pub value: serde_json::Value,
    /// `default`, `flag`, the variable, or the file.
    pub origin: String,
}

/// The keys of all settings, sorted.
pub(super) fn keys() -> Vec<String> {
    values(&Settings::default()).into_iter().map(|(key, _)| key).collect()
}

fn values(settings: &Settings) -> Vec<(String, serde_json::Value)> {
    match serde_json::to_value(settings).expect("settings are plain data") {
        serde_json::Value::Object(values) => values.into_iter().collect(),
        _ => unreachable!("a struct serialises as an object"),
    }
}

pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}_{}", key.to_uppercase())
}

impl Loaded {
    /// Reads the file and the environment of this process, with `flags` above them.
    ///
    /// # Errors
    /// See [`Settings::load`].
    pub fn from_process(flags: &[(&str, Option<String>)]) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.starts_with(PREFIX))
            .collect();
        Self::from_sources(flags, variables)
    }

    pub(super) fn from_sources(
        flags: &[(&str, Option<String>)],
        variables: HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let failed = |error: config::ConfigError| ConfigError(error.to_string());
        let keys = keys();
        let mut origins = BTreeMap::new();
        let mut builder = Config::builder();
        if let Some(path) = variables.get(&variable("config")).filter(|path| !path.is_empty()) {
            let invalid = |what: String| {
                ConfigError::invalid("config", path, &format!("a TOML file of settings ({what})"))
            };
            let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
            let file = File::from_str(&text, FileFormat::Toml);
            for key in file.collect().map_err(|error| invalid(error.to_string()))?.into_keys() {
                if !keys.contains(&key) {
                    return Err(invalid(format!("'{key}' in it is no setting")));
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
        let mut settings: Settings = builder.build().and_then(Config::try_deserialize).map_err(failed)?;
        read_secrets(&mut settings, &origins)?;
        settings.validate()?;
        Ok(Self { settings, origins, unknown })
    }

    /// Describes every setting.
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

/// Reads the secrets that lie in files.
fn read_secrets(settings: &mut Settings, origins: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    let secrets = [
        ("amqp_url", settings.amqp_url_file.clone(), &mut settings.amqp_url),
        ("redis_url", settings.redis_url_file.clone(), &mut settings.redis_url),
    ];
    for (key, path, secret) in secrets {
        let Some(path) = path else { continue };
        let file_key = format!("{key}_file");
        if origins.contains_key(key) {
            let want = format!("absent where {} is given", variable(key));
            return Err(ConfigError::invalid(&file_key, &path.display(), &want));
        }
        *secret = read_secret(&path)
            .map_err(|what| {
                ConfigError::invalid(&file_key, &path.display(), &format!("a file with the URL ({what})"))
            })?
            .into();
    }
    Ok(())
}

fn read_secret(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let secret = text.trim();
    if secret.is_empty() { Err("it is empty".to_owned()) } else { Ok(secret.to_owned()) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_value_has_its_origin_and_no_secret_shows() {
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
    fn secrets_are_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("amqp");
        fs::write(&file, "amqp://me:hunter2@rabbit/%2f\n").unwrap();
        let file = file.display().to_string();
        let only = variables(&[("SUBWATCH_AMQP_URL_FILE", &file)]);
        let settings = Loaded::from_sources(&[], only).unwrap().settings;
        assert_eq!(settings.amqp_url.expose_secret(), "amqp://me:hunter2@rabbit/%2f");
        let both = variables(&[("SUBWATCH_AMQP_URL_FILE", &file), ("SUBWATCH_AMQP_URL", "amqp://x/%2f")]);
        let error = Loaded::from_sources(&[], both).unwrap_err().to_string();
        assert!(error.contains("absent where SUBWATCH_AMQP_URL is given"), "{error}");
    }

    #[test]
    fn a_key_of_the_file_that_is_no_setting_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subwatch.toml");
        fs::write(&file, "preftech = 3\n").unwrap();
        let file = file.display().to_string();
        let error =
            Loaded::from_sources(&[], variables(&[("SUBWATCH_CONFIG", &file)])).unwrap_err().to_string();
        assert!(error.contains("'preftech' in it is no setting"), "{error}");
    }

    #[test]
    fn environment_keys_are_those_of_the_settings() {
        let keys = Settings::environment_keys();
        for key in ["SUBWATCH_AMQP_URL", "SUBWATCH_AMQP_URL_FILE", "SUBWATCH_CONFIG", "SUBWATCH_LOG"] {
            assert!(keys.contains(&key.to_owned()), "{key}");
        }
    }
}
