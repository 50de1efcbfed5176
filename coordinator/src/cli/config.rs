//! `subwatch config`: the settings in force, and where each comes from.

use clap::Subcommand;
use common::config::{Loaded, Setting, Settings};

use super::{
    exit::{CliError, Exit},
    output::{self, Format, plain, table},
};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting with its value and where it comes from; secrets are hidden.
    Show,
    /// List the environment variables that are settings, one a line.
    Keys,
}

pub(super) fn run(format: Format, command: &ConfigCommand, loaded: &Loaded) -> Result<Exit, CliError> {
    match (command, format) {
        (ConfigCommand::Keys, Format::Table | Format::Jsonl) => {
            output::print(&Settings::environment_keys().join("\n"))?;
        }
        (ConfigCommand::Keys, Format::Json) => output::print_json(format, &Settings::environment_keys())?,
        (ConfigCommand::Show, _) => {
            let settings = loaded.describe();
            output::print_values(format, &settings, |settings| text(settings, &loaded.unknown))?;
        }
    }
    Ok(Exit::Done)
}

fn text(settings: &[Setting], unknown: &[String]) -> String {
    let mut rows = table(&["setting", "value", "from"]);
    for setting in settings {
        let value = match &setting.value {
            serde_json::Value::Null => "–".to_owned(),
            serde_json::Value::String(text) => plain(text),
            other => other.to_string(),
        };
        rows.add_row(vec![setting.key.clone(), value, plain(&setting.origin)]);
    }
    let mut text = rows.trim_fmt();
    for variable in unknown {
        text.push_str(&format!("\n{} is set, but is no setting: is it misspelt?", plain(variable)));
    }
    text
}
