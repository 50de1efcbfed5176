//! `subwatch crawl replay`.

use std::path::{Path, PathBuf};

use crawler::recorded_response::{RecordedResponse, ReplayedItems};
use serde::Serialize;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, counted, plain},
};

/// A recorded response and the result of parsing it again.
#[derive(Serialize)]
struct Replayed {
    file: String,
    #[serde(flatten)]
    recorded: RecordedResponse,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<ReplayedItems>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Parses recorded responses. Exits with [`Exit::FailedItems`] if some still cannot be parsed.
pub(super) fn run(format: Format, files: &[PathBuf]) -> Result<Exit, CliError> {
    let replayed = files.iter().map(|file| replay(file)).collect::<Result<Vec<_>, _>>()?;
    match format {
        Format::Table | Format::Csv => {
            for response in &replayed {
                output::print(&text(response))?;
            }
        }
        Format::Json => output::print_json(format, &replayed)?,
        Format::Jsonl => {
            for response in &replayed {
                output::print_json(format, response)?;
            }
        }
    }
    let failed = replayed.iter().any(|response| response.error.is_some());
    Ok(if failed { Exit::FailedItems } else { Exit::Done })
}

fn replay(file: &Path) -> Result<Replayed, CliError> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file)
        .map_err(|error| CliError::new(Exit::NotFound, format!("cannot read {shown}: {error}")))?;
    let (recorded, body) = RecordedResponse::read(&bytes).map_err(|error| {
        CliError::new(Exit::Usage, format!("{shown} is not a recorded response: {error}"))
    })?;
    let (found, error) = match recorded.replay(body) {
        Ok(found) => (Some(found), None),
        Err(error) => (None, Some(error)),
    };
    Ok(Replayed { file: shown, recorded, found, error })
}

fn text(replayed: &Replayed) -> String {
    let Replayed { file, recorded, found, error } = replayed;
    let mut lines = vec![
        plain(file),
        format!(
            "  {} of {}, HTTP {}{}",
            recorded.endpoint,
            plain(&recorded.item),
            recorded.status,
            if recorded.truncated { ", truncated" } else { "" }
        ),
        format!("  recorded  {}", plain(&recorded.original_error)),
    ];
    if let Some(error) = error {
        lines.push(format!("  replayed  {}", plain(error)));
    }
    if let Some(found) = found {
        let channel = found.channel.as_deref().map(|name| format!(" of {}", plain(name))).unwrap_or_default();
        let items = counted(found.items as u64, "item");
        lines.push(format!("  replayed  {items}{channel}, {} unreadable", found.unread.len()));
        lines.extend(found.unread.iter().take(5).map(|drift| format!("            {}", plain(drift))));
    }
    lines.join("\n")
}
