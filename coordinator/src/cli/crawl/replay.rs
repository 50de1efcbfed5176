//! `subwatch crawl replay`.

use std::path::{Path, PathBuf};

use crawler::recorded_response::{RecordedResponse, ReplayedItems};
use serde::Serialize;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, Format, plain},
};

/// What a kept answer says, read again.
#[derive(Serialize)]
struct Replayed {
    file: String,
    #[serde(flatten)]
    kept: RecordedResponse,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<ReplayedItems>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Reads kept answers, and exits as one whose items failed where some cannot be read still.
pub(super) fn run(format: Format, files: &[PathBuf]) -> Result<Exit, CliError> {
    let replayed = files.iter().map(|file| replay(file)).collect::<Result<Vec<_>, _>>()?;
    match format {
        Format::Table => {
            for one in &replayed {
                output::print(&text(one))?;
            }
        }
        Format::Json => output::print_json(format, &replayed)?,
        Format::Jsonl => {
            for one in &replayed {
                output::print_json(format, one)?;
            }
        }
    }
    let fails = replayed.iter().any(|one| one.error.is_some());
    Ok(if fails { Exit::FailedItems } else { Exit::Done })
}

fn replay(file: &Path) -> Result<Replayed, CliError> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file)
        .map_err(|error| CliError::new(Exit::NotFound, format!("{shown} cannot be read: {error}")))?;
    let (kept, body) = RecordedResponse::read(&bytes).map_err(|error| {
        CliError::new(Exit::Usage, format!("{shown} is no answer that a crawl kept: {error}"))
    })?;
    let (found, error) = match kept.replay(body) {
        Ok(found) => (Some(found), None),
        Err(error) => (None, Some(error)),
    };
    Ok(Replayed { file: shown, kept, found, error })
}

fn text(replayed: &Replayed) -> String {
    let Replayed { file, kept, found, error } = replayed;
    let mut lines = vec![
        plain(file),
        format!(
            "  {} of {}, HTTP {}{}",
            kept.endpoint,
            plain(&kept.item),
            kept.status,
            if kept.cut { ", cut" } else { "" }
        ),
        format!("  then  {}", plain(&kept.why)),
    ];
    if let Some(error) = error {
        lines.push(format!("  now   {}", plain(error)));
    }
    if let Some(found) = found {
        let channel = found.channel.as_deref().map(|name| format!(" of {}", plain(name))).unwrap_or_default();
        lines.push(format!("  now   {} items{channel}, {} not readable", found.items, found.unread.len()));
        lines.extend(found.unread.iter().take(5).map(|drift| format!("        {}", plain(drift))));
    }
    lines.join("\n")
}
