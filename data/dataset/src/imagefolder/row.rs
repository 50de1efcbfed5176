//! One row of metadata.
//!
//! Owns which rows make an item. Unknown columns are ignored; a missing number is missing, never zero.

use common::job::outcome::{FailureReason, ItemFailure};
use serde::Deserialize;

use super::{
    Rejected,
    lines::{Line, MAX_LINE_BYTES},
};
use crate::{files::is_confined, manifest::ManifestItem};

/// A row, as far as it matters here.
#[derive(Deserialize)]
struct Row {
    file_name: String,
    #[serde(default)]
    video_id: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    views: Option<Count>,
    #[serde(default)]
    subscribers: Option<Count>,
}

/// A number in a row: whatever it is, so that the error can name it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Count(serde_json::Value);

impl Count {
    fn read(column: &str, count: Option<Self>) -> Result<Option<u64>, String> {
        let Some(Self(value)) = count else { return Ok(None) };
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
        });
        number.map(Some).ok_or_else(|| format!("{column} is {value}, which is no count"))
    }
}

/// Makes an item of a row, without its size; `place` is the row's `file:line`.
pub(super) fn read_row(line: &Line, place: &str) -> Result<ManifestItem, Rejected> {
    parse_row(line).map_err(|(item, detail)| Rejected {
        item: item.map_or_else(|| place.to_owned(), |item| format!("{item} ({place})")),
        failure: ItemFailure::new(FailureReason::InvalidRow, detail),
    })
}

/// On failure returns the file name, where there is one, and what is wrong.
fn parse_row(line: &Line) -> Result<ManifestItem, (Option<String>, String)> {
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong(bytes) => {
            return Err((None, format!("the row has {bytes} bytes, over the limit of {MAX_LINE_BYTES}")));
        }
    };
    let text = std::str::from_utf8(text).map_err(|error| (None, format!("the row is no UTF-8: {error}")))?;
    let row: Row =
        serde_json::from_str(text).map_err(|error| (None, format!("the row is no metadata: {error}")))?;
    let name = row.file_name;
    if !is_confined(&name) {
        return Err((None, format!("file_name '{name}' is no name of a file below the dataset")));
    }
    let views = Count::read("views", row.views).map_err(|detail| (Some(name.clone()), detail))?;
    let subscribers =
        Count::read("subscribers", row.subscribers).map_err(|detail| (Some(name.clone()), detail))?;
    let stem = || name.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or(&name).to_owned();
    let video_id = Some(row.video_id.filter(|id| !id.is_empty()).unwrap_or_else(stem));
    let channel_id = row.channel_id.filter(|id| !id.is_empty());
    let channel = row.channel.filter(|channel| !channel.is_empty());
    Ok(ManifestItem { video_id, channel_id, channel, views, subscribers, ..ManifestItem::named(&name) })
}
