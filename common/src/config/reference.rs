//! The reference of all settings, generated from their doc comments and defaults.

use documented::{Documented, DocumentedFields};
use serde::Serialize;

use super::{
    error::{PREFIX, variable},
    settings::Settings,
};

/// The settings of one concern.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingGroup {
    /// Title and one-line description, such as `Redis, version 7 or later`.
    pub title: String,
    pub settings: Vec<SettingReference>,
}

/// One setting, as the reference lists it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SettingReference {
    pub variable: String,
    /// Default value, with secrets masked; `None` if unset by default.
    pub default: Option<String>,
    /// Markdown.
    pub description: String,
}

impl Settings {
    /// Describes every setting, grouped by concern.
    #[must_use]
    pub fn reference() -> Vec<SettingGroup> {
        let defaults = Self::default();
        let mut groups = vec![
            group(&defaults.broker),
            group(&defaults.store),
            group(&defaults.api),
            group(&defaults.data),
            group(&defaults.images),
            group(&defaults.jobs),
            group(&defaults.worker),
            group(&defaults.model),
            group(&defaults.crawl),
            group(&defaults.ranking),
            group(&defaults.logging),
        ];
        groups.push(SettingGroup {
            title: "Settings file".to_owned(),
            settings: vec![SettingReference {
                variable: format!("{PREFIX}_CONFIG"),
                default: None,
                description: "TOML file of settings, with keys in lower case and without the prefix: \
                              `prefetch = 8`. Environment variables override it, and flags override both."
                    .to_owned(),
            }],
        });
        groups
    }
}

fn group<T: Documented + DocumentedFields + Serialize>(defaults: &T) -> SettingGroup {
    let settings = match serde_json::to_value(defaults).expect("settings are plain data") {
        serde_json::Value::Object(values) => values.into_iter(),
        _ => unreachable!("a struct serialises as an object"),
    };
    let describe = |(key, value): (String, serde_json::Value)| SettingReference {
        variable: variable(&key),
        default: match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        },
        description: on_one_line(T::get_field_docs(&key).expect("every setting has a doc comment")),
    };
    SettingGroup {
        title: on_one_line(T::DOCS).trim_end_matches('.').to_owned(),
        settings: settings.map(describe).collect(),
    }
}

fn on_one_line(docs: &str) -> String {
    docs.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_the_reference_once() {
        let groups = Settings::reference();
        let mut variables: Vec<&str> = groups
            .iter()
            .flat_map(|group| &group.settings)
            .map(|setting| setting.variable.as_str())
            .collect();
        variables.sort_unstable();
        assert_eq!(variables, Settings::environment_keys());
    }

    #[test]
    fn settings_have_their_default_and_description() {
        let groups = Settings::reference();
        let check = |variable: &str, default: Option<&str>, description: &str| {
            let mut settings = groups.iter().flat_map(|group| &group.settings);
            let setting = settings.find(|setting| setting.variable == variable).unwrap();
            assert_eq!(setting.default.as_deref(), default);
            assert!(setting.description.contains(description), "{}", setting.description);
        };
        check("SUBWATCH_PREFETCH", Some("4"), "per queue");
        check("SUBWATCH_AMQP_URL", Some("amqp://guest:***@127.0.0.1:5672/%2f"), "URL of RabbitMQ");
        check("SUBWATCH_TOKENS_FILE", None, "listens on loopback only");
        check("SUBWATCH_FETCH_ALLOW", None, "private addresses");
    }
}
