//! Parses lists of videos and channels from users: plain lines, or tables (see [`crate::table`]).
//!
//! In plain lines, lines that begin with `#` are comments; in a table, every row counts. The column is the first of
//! [`VIDEO_NAMES`], [`EITHER_NAMES`] and [`CHANNEL_NAMES`] in which the row has a value; [`CATEGORY_NAME`] is optional.
//! Invariant: a list with invalid lines is rejected as a whole, with the number of each invalid line.

use std::fmt;

use serde_json::Value;

use super::ids::{IdError, Reference};
use crate::table::{self, TableFormat, TableRow, lines};

/// Columns with a video's ID or link.
pub const VIDEO_NAMES: [&str; 6] =
    ["video_id", "videoid", "video_url", "webpage_url", "original_url", "video"];
/// Columns with a video or a channel.
pub const EITHER_NAMES: [&str; 2] = ["url", "id"];
/// Columns with a channel's ID, handle or link.
pub const CHANNEL_NAMES: [&str; 5] = ["channel_id", "channelid", "channel_url", "handle", "channel"];
/// The optional column with a category.
pub const CATEGORY_NAME: &str = "category";
/// Number of errors shown.
const MAX_SHOWN_ERRORS: usize = 10;

/// A line of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListEntry {
    /// From 1.
    pub line: u64,
    pub reference: Reference,
    pub category: Option<String>,
}

/// An invalid line. Displayed as `line 3: …`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// From 1.
    pub line: u64,
    pub problem: String,
}

impl LineError {
    fn new(line: u64, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// The invalid lines of a rejected list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListError(pub Vec<LineError>);

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().take(MAX_SHOWN_ERRORS).map(ToString::to_string).collect::<Vec<_>>();
        f.write_str(&shown.join("; "))?;
        match self.0.len().saturating_sub(MAX_SHOWN_ERRORS) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for ListError {}

/// Parses a list: a table in this format, or plain lines.
pub fn read(text: &str, format: Option<TableFormat>) -> Result<Vec<ListEntry>, ListError> {
    let found = match format {
        None => plain_lines(text),
        Some(format) => table_rows(text, format),
    };
    let mut entries = Vec::new();
    let mut errors = Vec::new();
    for entry in found {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(entries) } else { Err(ListError(errors)) }
}

/// What a column may contain.
#[derive(Clone, Copy)]
enum ColumnKind {
    Video,
    Either,
    Channel,
}

impl ColumnKind {
    fn read(self, text: &str) -> Result<Reference, IdError> {
        let reference: Reference = text.trim().parse()?;
        match (self, &reference) {
            (Self::Video, Reference::Channel(_)) => reference.video().map(Reference::Video),
            (Self::Channel, Reference::Video(_)) => text.trim().parse().map(Reference::Channel),
            _ => Ok(reference),
        }
    }

    fn entry(self, line: u64, text: &str, category: Option<String>) -> Result<ListEntry, LineError> {
        match self.read(text) {
            Ok(reference) => Ok(ListEntry { line, reference, category }),
            Err(error) => Err(LineError::new(line, error.to_string())),
        }
    }
}

const COLUMNS: [(&[&str], ColumnKind); 3] = [
    (&VIDEO_NAMES, ColumnKind::Video),
    (&EITHER_NAMES, ColumnKind::Either),
    (&CHANNEL_NAMES, ColumnKind::Channel),
];

fn plain_lines(text: &str) -> Vec<Result<ListEntry, LineError>> {
    let numbered = (1..).zip(lines(text).map(|line| text[line].trim()));
    let contents = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    contents.map(|(line, text)| ColumnKind::Either.entry(line, text, None)).collect()
}

fn table_rows(text: &str, format: TableFormat) -> Vec<Result<ListEntry, LineError>> {
    let is_known = |key: &str| COLUMNS.iter().any(|(names, _)| names.contains(&key));
    let known_names = || COLUMNS.map(|(names, _)| names.join(", ")).join(", ");
    let rows = match table::read(text, format, is_known) {
        Ok(table) => table.rows,
        Err(error) => {
            let problem = format!(
                "{}; the table needs a column for videos or channels: {}",
                error.problem,
                known_names()
            );
            return vec![Err(LineError::new(error.line, problem))];
        }
    };
    let entry = |(line, row): (u64, Result<TableRow, String>)| {
        let row = row.map_err(|problem| LineError::new(line, problem))?;
        let named = COLUMNS.iter().find_map(|(names, kind)| Some((*kind, row.first(names)?)));
        let (kind, value) = named.ok_or_else(|| {
            let problem = format!("the row has no video or channel; its columns are: {}", known_names());
            LineError::new(line, problem)
        })?;
        let category =
            row.first(&[CATEGORY_NAME]).map(|value| text_of(line, CATEGORY_NAME, value)).transpose()?;
        kind.entry(line, &text_of(line, "the video or channel", value)?, category)
    };
    rows.into_iter().map(entry).collect()
}

fn text_of(line: u64, noun: &str, value: &Value) -> Result<String, LineError> {
    let text = value.as_str().map(|text| text.trim().to_owned());
    text.ok_or_else(|| LineError::new(line, format!("{noun} is not a text: {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    fn names(text: &str, format: Option<TableFormat>) -> Vec<(u64, String)> {
        let name = |entry: ListEntry| match entry.reference {
            Reference::Video(id) => (entry.line, id.to_string()),
            Reference::Channel(channel) => (entry.line, channel.url()),
        };
        read(text, format).unwrap().into_iter().map(name).collect()
    }

    fn problems(text: &str, format: Option<TableFormat>) -> Vec<String> {
        read(text, format).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn plain_lines_are_videos_and_channels() {
        let text = "dQw4w9WgXcQ\r\n\r\n# a comment\r  https://youtu.be/BD-LB23rRBE \n@creativecommons\n";
        let expected = [
            (1, "dQw4w9WgXcQ".to_owned()),
            (4, "BD-LB23rRBE".to_owned()),
            (5, "https://www.youtube.com/@creativecommons".to_owned()),
        ];
        assert_eq!(names(text, None), expected);
        assert_eq!(names("", None), []);
    }

    #[test]
    fn every_invalid_line_is_reported() {
        let found = problems("dQw4w9WgXcQ\nfoo\n@ab\n", None);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("line 2: “foo” is not a video ID"), "{found:?}");
        assert!(found[1].starts_with("line 3: “@ab” is not a handle"), "{found:?}");
        let many = read(&"foo\n".repeat(25), None).unwrap_err().to_string();
        assert!(many.ends_with("; and 15 more"), "{many}");
    }

    #[test]
    fn csv_column_is_chosen_by_its_name() {
        let text = "Title,Video_ID\n\"a, b\",dQw4w9WgXcQ\n\n\n,\n\"two\nlines\",BD-LB23rRBE\n";
        let expected = [(2, "dQw4w9WgXcQ".to_owned()), (6, "BD-LB23rRBE".to_owned())];
        assert_eq!(names(text, Some(TableFormat::Csv)), expected);
        let text = format!("channel,channel_id,videoId\nName,{CHANNEL},dQw4w9WgXcQ\n");
        assert_eq!(names(&text, Some(TableFormat::Csv)), [(2, "dQw4w9WgXcQ".to_owned())]);
        let text = format!("channel,channel_id\nName,{CHANNEL}\n");
        assert_eq!(
            names(&text, Some(TableFormat::Csv)),
            [(2, format!("https://www.youtube.com/channel/{CHANNEL}"))]
        );
    }

    #[test]
    fn invalid_csv_line_is_reported_with_its_number() {
        let check = |text: &str, expected: &str| {
            let found = problems(text, Some(TableFormat::Csv));
            assert!(found[0].starts_with(expected), "{found:?}");
        };
        check(
            "name,views\na,1\n",
            "line 1: no known column among name, views; the table needs a column for videos or channels: video_id, ",
        );
        check(
            "video_id\ndQw4w9WgXcQ\n@creativecommons\n",
            "line 3: “https://www.youtube.com/@creativecommons” is a channel",
        );
        check("channel_id\ndQw4w9WgXcQ\n", "line 2: “dQw4w9WgXcQ” is a video");
        check("video_id,views\ndQw4w9WgXcQ\n", "line 2: expected 2 cells as in the header, found 1");
        check("video_id,views\n,3\n", "line 2: the row has no video or channel; its columns are: video_id, ");
        check("title,video_id\n#shorts,none\n", "line 2: “none” is not a video ID");
        check("video_id\n# comment\n", "line 2: “# comment” is not a video ID");
        check("video_id,views\r\n\r\n\r\nnot an id,1\r\n", "line 4: “not an id” is not a video ID");
    }

    #[test]
    fn category_is_read_from_its_column() {
        let categories = |text: &str, format| -> Vec<Option<String>> {
            read(text, format).unwrap().into_iter().map(|entry| entry.category).collect()
        };
        let games = || Some("games, new".to_owned());
        let text = "Category,rank,channel\n\"games, new\",1,@three\n ,2,@four\n";
        assert_eq!(categories(text, Some(TableFormat::Csv)), [games(), None]);
        assert_eq!(categories("handle\n@three\n", Some(TableFormat::Csv)), [None]);
        let text = "{\"channel\":\"@three\",\"category\":\"games, new\"}\n{\"channel\":\"@four\",\"category\":null}\n";
        assert_eq!(categories(text, Some(TableFormat::JsonLines)), [games(), None]);
        assert_eq!(categories("@three\n", None), [None]);
        let text = "{\"channel\":\"@three\",\"category\":7}\n";
        assert_eq!(problems(text, Some(TableFormat::JsonLines)), ["line 1: category is not a text: 7"]);
    }

    #[test]
    fn json_fields_have_the_same_names_as_csv_columns() {
        let text = "\n{\"title\": \"x\", \"id\": \"dQw4w9WgXcQ\"}\n\
                    {\"handle\": \"@creativecommons\", \"views\": 3}\n";
        let expected =
            [(2, "dQw4w9WgXcQ".to_owned()), (3, "https://www.youtube.com/@creativecommons".to_owned())];
        assert_eq!(names(text, Some(TableFormat::JsonLines)), expected);
        let text =
            "[{\"id\": \"dQw4w9WgXcQ\"},\n{\"webpage_url\": \"https://youtu.be/BD-LB23rRBE\", \"id\": 5}]";
        let expected = [(1, "dQw4w9WgXcQ".to_owned()), (2, "BD-LB23rRBE".to_owned())];
        assert_eq!(names(text, Some(TableFormat::Json)), expected);
        let found = problems("# comment\n{\"handle\": \"@one\"}\n", Some(TableFormat::JsonLines));
        assert_eq!(found, ["line 1: not a JSON object: expected value at column 1"]);
        let found = problems("{\"id\": 3}\n[]\n{\n{}\n", Some(TableFormat::JsonLines));
        assert_eq!(found[0], "line 1: the video or channel is not a text: 3");
        assert_eq!(found[1], "line 2: not a JSON object");
        assert!(found[2].starts_with("line 3: not a JSON object: EOF"), "{found:?}");
        assert!(found[3].starts_with("line 4: the row has no video or channel"), "{found:?}");
    }
}
