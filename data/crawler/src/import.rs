//! Parses tables of videos for `subwatch crawl import`.
//!
//! Owns the recognised column names and the formats of counts. Does not own the columns of the dataset (see
//! [`dataset::row`]) and the files. Invariant: an unusable row is an error with its line and reason; a count is never
//! guessed.

use std::collections::HashSet;

use dataset::row::Row;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::youtube::{
    counts::Count,
    ids::{Reference, VideoId},
    named_list::ListFormat,
};

/// Columns with a video's ID or link.
const VIDEO: [&str; 6] = ["video_id", "videoid", "video_url", "video", "url", "id"];
/// Columns with a thumbnail's path, relative to the image folder.
const FILE: [&str; 4] = ["file_name", "filename", "file", "thumbnail"];
const TITLE: [&str; 1] = ["title"];
const CHANNEL_ID: [&str; 2] = ["channel_id", "channelid"];
const CHANNEL: [&str; 3] = ["channel", "channel_title", "channel_name"];
const CATEGORY: [&str; 1] = ["category"];
const PUBLISHED: [&str; 3] = ["published", "published_at", "publishedat"];
const VIEWS: [&str; 4] = ["views", "view_count", "viewcount", "watch"];
const SUBSCRIBERS: [&str; 5] = ["subscribers", "subscriber_count", "subscribercount", "subs", "sub"];

/// A usable row.
#[derive(Clone, PartialEq, Debug)]
pub struct ImportRow {
    /// Line in the table, from 1.
    pub line: u64,
    pub video_id: VideoId,
    /// Path of the thumbnail, relative to the image folder.
    pub file: Option<String>,
    pub columns: TableColumns,
}

/// Columns of the dataset that describe the import itself; a table's values are ignored.
const DERIVED: [&str; 9] = [
    "views_approximate",
    "subscribers_approximate",
    "thumbnail_width",
    "thumbnail_height",
    "thumbnail_variant",
    "thumbnail_crop",
    "sha256",
    "etag",
    "source",
];

/// The columns for the dataset: recognised ones under the dataset's names, and the others unchanged.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TableColumns {
    /// Recognised columns; those about the image file are not set.
    #[serde(flatten)]
    pub known: Row,
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// An unusable row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Line in the table, from 1.
    pub line: u64,
    pub problem: String,
}

/// Parses a table: CSV with a header line, or JSON lines.
///
/// # Errors
/// If the header is unreadable or has no column for videos or files.
pub fn read_table(text: &str, format: ListFormat) -> Result<Vec<Result<ImportRow, BadRow>>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let rows = match format {
        ListFormat::Csv => csv_rows(text)?,
        ListFormat::JsonLines => json_rows(text),
        ListFormat::Lines => return Err("the table must be a .csv or .jsonl file".to_owned()),
    };
    let mut seen = HashSet::new();
    let read = |(line, row): (u64, Result<Map<String, Value>, String>)| {
        let bad = |problem| BadRow { line, problem };
        let row = row.and_then(|row| read_row(line, &row)).map_err(bad)?;
        if !seen.insert(row.video_id.clone()) {
            return Err(bad(format!("video {} is already in an earlier row", row.video_id)));
        }
        Ok(row)
    };
    Ok(rows.into_iter().map(read).collect())
}

type Rows = Vec<(u64, Result<Map<String, Value>, String>)>;

fn csv_rows(text: &str) -> Result<Rows, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| format!("could not read the header: {error}"))?.clone();
    let names: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).collect();
    if !names.iter().any(|name| VIDEO.contains(&name.as_str()) || FILE.contains(&name.as_str())) {
        let known = [&VIDEO[..], &FILE[..]].concat().join(", ");
        return Err(format!("the table has no column for videos or files; known names: {known}"));
    }
    let row = |record: Result<csv::StringRecord, csv::Error>| match record {
        Ok(record) => {
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != names.len() {
                return (
                    line,
                    Err(format!("expected {} cells as in the header, found {}", names.len(), record.len())),
                );
            }
            let cells = names.iter().cloned().zip(record.iter().map(Value::from));
            (line, Ok(cells.collect()))
        }
        Err(error) => (error.position().map_or(0, csv::Position::line), Err(error.to_string())),
    };
    Ok(reader.records().map(row).collect())
}

fn json_rows(text: &str) -> Rows {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(line, text)| {
            let row = serde_json::from_str::<Map<String, Value>>(text);
            let lower =
                |row: Map<String, Value>| row.into_iter().map(|(name, value)| (name.to_lowercase(), value));
            (line, row.map(|row| lower(row).collect()).map_err(|error| format!("not a JSON object: {error}")))
        })
        .collect()
}

fn read_row(line: u64, row: &Map<String, Value>) -> Result<ImportRow, String> {
    let file = column(row, &FILE).map(text).transpose()?;
    let video_id = match (column(row, &VIDEO), &file) {
        (Some(video), _) => {
            let reference: Reference = text(video)?.parse().map_err(|error| format!("{error}"))?;
            reference.video().map_err(|error| error.to_string())?
        }
        (None, Some(file)) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            stem.parse()
                .map_err(|_| format!("the row has no video, and the name of '{file}' is not a video ID"))?
        }
        (None, None) => return Err("the row has neither a video nor a file".to_owned()),
    };
    let of = |names: &[&str]| column(row, names).map(text).transpose();
    let texts = Row {
        title: of(&TITLE)?,
        channel_id: of(&CHANNEL_ID)?,
        channel: of(&CHANNEL)?,
        category: of(&CATEGORY)?,
        published: of(&PUBLISHED)?,
        ..Row::default()
    };
    let views = column(row, &VIEWS).map(|value| count("views", value, Count::parse_views)).transpose()?;
    let subscribers = column(row, &SUBSCRIBERS)
        .map(|value| count("subscribers", value, Count::parse_subscribers))
        .transpose()?;
    let known = Row {
        video_id: Some(video_id.to_string()),
        views: views.map(|count| count.value),
        views_approximate: views.map(|count| count.approximate),
        subscribers: subscribers.map(|count| count.value),
        subscribers_approximate: subscribers.map(|count| count.approximate),
        ..texts
    };
    let others =
        row.iter().filter(|(name, _)| !is_known(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    Ok(ImportRow { line, video_id, file, columns: TableColumns { known, others } })
}

fn is_known(name: &str) -> bool {
    let known: [&[&str]; 10] =
        [&VIDEO, &FILE, &TITLE, &CHANNEL_ID, &CHANNEL, &CATEGORY, &PUBLISHED, &VIEWS, &SUBSCRIBERS, &DERIVED];
    known.iter().any(|names| names.contains(&name))
}

/// Returns the first of these columns that is neither null nor blank.
fn column<'a>(row: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    let is_set =
        |value: &&Value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
    names.iter().find_map(|name| row.get(*name).filter(is_set))
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("{other} is not a text")),
    }
}

/// Parses a number, or a count as YouTube shows it.
fn count<E: std::fmt::Display>(
    noun: &str,
    value: &Value,
    shown: fn(&str) -> Result<Count, E>,
) -> Result<Count, String> {
    let text = text(value)?;
    if let Ok(number) = text.parse::<u64>() {
        return Ok(Count::exact(number));
    }
    // pandas writes integers as floats if the column has missing values.
    if let Some(Ok(number)) = text.strip_suffix(".0").map(str::parse) {
        return Ok(Count::exact(number));
    }
    shown(&text).or_else(|error| shown(&format!("{text} {noun}")).map_err(|_| format!("{noun}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, format: ListFormat) -> Vec<Result<ImportRow, BadRow>> {
        read_table(text, format).unwrap()
    }

    #[test]
    fn counts_are_parsed_as_numbers_or_as_shown() {
        let check = |text: &str, views: u64, approximate: bool| {
            let table = format!("video_id,views\ndQw4w9WgXcQ,\"{text}\"\n");
            let row = rows(&table, ListFormat::Csv).remove(0).unwrap();
            assert_eq!(
                (row.columns.known.views, row.columns.known.views_approximate),
                (Some(views), Some(approximate)),
                "{text}"
            );
        };
        check("17", 17, false);
        check("17.0", 17, false);
        check("1.1M", 1_100_000, true);
        check("조회수 1.7억회", 170_000_000, true);
        check("2,989,906 views", 2_989_906, false);
    }

    #[test]
    fn csv_and_json_lines_give_the_same_rows() {
        let csv = "Thumbnail,Title,Subs,Watch\nx/dQw4w9WgXcQ.jpg,\"One, two\",1200,\nshort.jpg,,,\n";
        let json = "{\"thumbnail\":\"x/dQw4w9WgXcQ.jpg\",\"title\":\"One, two\",\"subs\":1200,\"watch\":null}\n{\"thumbnail\":\"short.jpg\"}";
        let (csv, json) = (rows(csv, ListFormat::Csv), rows(json, ListFormat::JsonLines));
        let row = csv[0].clone().unwrap();
        assert_eq!(row.file.as_deref(), Some("x/dQw4w9WgXcQ.jpg"));
        assert_eq!((row.video_id.as_str(), row.columns.known.views), ("dQw4w9WgXcQ", None));
        assert_eq!(row.columns.known.subscribers, Some(1200));
        assert_eq!(row.columns.others, Map::new());
        assert_eq!(row.columns, json[0].clone().unwrap().columns);
        let problem = csv[1].clone().unwrap_err();
        assert_eq!(problem.line, 3);
        assert!(problem.problem.contains("is not a video ID"), "{problem:?}");
    }

    #[test]
    fn other_columns_are_copied_except_derived_ones() {
        let row = rows("video_id,Aufrufe,sha256,mood\ndQw4w9WgXcQ,12,00,calm\n", ListFormat::Csv).remove(0);
        let columns = serde_json::to_value(row.unwrap().columns).unwrap();
        assert_eq!(
            columns,
            serde_json::json!({"file_name": "", "video_id": "dQw4w9WgXcQ", "aufrufe": "12", "mood": "calm"})
        );
    }

    #[test]
    fn unusable_rows_are_reported_with_a_reason() {
        assert!(
            read_table("name,views\na,1\n", ListFormat::Csv).unwrap_err().contains("no column for videos")
        );
        let check = |text: &str, want: &str| {
            let found = rows(text, ListFormat::Csv).pop().unwrap().unwrap_err();
            assert!(found.problem.contains(want), "{found:?}");
        };
        check("video_id,views\ndQw4w9WgXcQ,many\n", "views");
        check("video_id,views\ndQw4w9WgXcQ,-3\n", "views");
        check("video_id,views\n@one,3\n", "a channel; a video is required");
        check("video_id,views\ndQw4w9WgXcQ,3\ndQw4w9WgXcQ,3\n", "already in an earlier row");
        check("video_id,views\ndQw4w9WgXcQ\n", "expected 2 cells as in the header, found 1");
    }
}
