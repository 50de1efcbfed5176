//! `subwatch config`.

use clap::Subcommand;
use common::config::{Loaded, Setting, SettingGroup, SettingReference, Settings};

use super::{
    exit::{CliError, Exit},
    output::{self, Format, plain},
    table::table,
};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting of this shell with its value and source; secrets are hidden. A running coordinator or worker
    /// may have others.
    Show,
    /// List the environment variables of all settings, one per line.
    Keys,
    /// Describe every setting with its default.
    Reference {
        /// Print Markdown, as in deploy/SETTINGS.md.
        #[arg(long)]
        markdown: bool,
    },
}

pub(super) fn run(format: Format, command: &ConfigCommand, loaded: &Loaded) -> Result<Exit, CliError> {
    match (command, format) {
        (ConfigCommand::Keys, Format::Table | Format::Jsonl | Format::Csv) => {
            output::print(&Settings::environment_keys().join("\n"))?;
        }
        (ConfigCommand::Keys, Format::Json) => output::print_json(format, &Settings::environment_keys())?,
        (ConfigCommand::Reference { markdown: true }, _) => {
            output::print(markdown(&Settings::reference()).trim_end())?;
        }
        (ConfigCommand::Reference { markdown: false }, _) => {
            output::print_values(format, &Settings::reference(), reference)?;
        }
        (ConfigCommand::Show, _) => {
            if format == Format::Table {
                output::note("the settings of this shell; a running coordinator or worker may have others");
            }
            let settings = loaded.describe();
            output::print_values(format, &settings, |settings| text(settings, &loaded.unknown))?;
        }
    }
    Ok(Exit::Done)
}

fn text(settings: &[Setting], unknown: &[String]) -> String {
    let mut rows = table(&["setting", "value", "source"]);
    for setting in settings {
        let value = match &setting.value {
            serde_json::Value::Null => "–".to_owned(),
            serde_json::Value::String(text) => plain(text),
            other => other.to_string(),
        };
        rows.add_row(vec![setting.key.clone(), value, plain(&setting.origin)]);
    }
    let mut text = rows.text();
    for variable in unknown {
        text.push_str(&format!("\n{} is not a setting; is it misspelt?", plain(variable)));
    }
    text
}

fn reference(groups: &[SettingGroup]) -> String {
    let tables = groups.iter().map(|group| {
        let mut rows = table(&["variable", "default", "description"]);
        for setting in &group.settings {
            let SettingReference { variable, default, description } = setting;
            rows.add_row(vec![
                variable.clone(),
                default.clone().unwrap_or_else(|| "–".to_owned()),
                description.replace('`', ""),
            ]);
        }
        format!("{}\n{}", group.title, rows.text())
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

fn markdown(groups: &[SettingGroup]) -> String {
    let mut text = "# Settings\n\n\
        Every setting is an environment variable and a key of the TOML file named by `SUBWATCH_CONFIG`; some are \
        also flags. Flags override environment variables, and these override the file. `subwatch config show` \
        prints the values for the current environment and their sources.\n\n\
        `subwatch config reference --markdown` generates this page.\n"
        .to_owned();
    for SettingGroup { title, settings } in groups {
        text.push_str(&format!(
            "\n## {title}\n\n| variable | default | description |\n| --- | --- | --- |\n"
        ));
        for SettingReference { variable, default, description } in settings {
            let default = default.as_ref().map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
            text.push_str(&format!("| `{variable}` | {default} | {description} |\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_page_is_up_to_date() {
        let page = include_str!("../../../deploy/SETTINGS.md");
        let is_current = page == markdown(&Settings::reference());
        assert!(is_current, "run `subwatch config reference --markdown >deploy/SETTINGS.md`");
    }
}
