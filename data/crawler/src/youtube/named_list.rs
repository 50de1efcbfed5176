//! Parses lists of videos and channels from users: plain lines, CSV or JSON lines.
//!
//! Blank lines, lines that begin with `#`, and a byte order mark are ignored. The column or field is the first of
//! [`VIDEO_NAMES`], [`EITHER_NAMES`] and [`CHANNEL_NAMES`] that exists, in any case; [`CATEGORY_NAME`] is optional.
//! Invariant: a list with invalid lines is rejected as a whole, with the number of each invalid line.

use std::fmt;

use serde_json::Value;

use super::ids::{IdError, Reference};

/// Columns with a video's ID or link.
pub const VIDEO_NAMES: [&str; 4] = ["video_id", "videoid", "video_url", "video"];
/// Columns with a video or a channel.
pub const EITHER_NAMES: [&str; 2] = ["url", "id"];
/// Columns with a channel's ID, handle or link.
pub const CHANNEL_NAMES: [&str; 5] = ["channel_id", "channelid", "channel_url", "handle", "channel"];
/// The optional column with a category.
pub const CATEGORY_NAME: &str = "category";
/// Number of errors shown.
const MAX_SHOWN_ERRORS: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListFormat {
    /// One ID, handle or link per line.
    Lines,
    /// CSV with a header line.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl ListFormat {
    /// The format by file extension: `.csv`, `.jsonl` or `.ndjson`, otherwise plain lines.
    #[must_use]
    pub fn from_file_name(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("csv") => Self::Csv,
            Some("jsonl" | "ndjson") => Self::JsonLines,
            _ => Self::Lines,
        }
    }
}

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

/// Parses a list.
pub fn read(text: &str, format: ListFormat) -> Result<Vec<ListEntry>, ListError> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = match format {
        ListFormat::Lines => plain_lines(text),
        ListFormat::Csv => csv_rows(text),
        ListFormat::JsonLines => json_lines(text),
    };
    let mut entries = Vec::new();
    let mut errors = Vec::new();
    for line in lines {
        match line {
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
    /// Finds the column to read among `names`: its index and kind.
    fn choose<'a>(names: impl Iterator<Item = &'a str>) -> Option<(usize, Self)> {
        let names: Vec<String> = names.map(|name| name.trim().to_ascii_lowercase()).collect();
        let known = VIDEO_NAMES.map(|name| (name, Self::Video)).into_iter();
        let known = known.chain(EITHER_NAMES.map(|name| (name, Self::Either)));
        let mut known = known.chain(CHANNEL_NAMES.map(|name| (name, Self::Channel)));
        known.find_map(|(name, kind)| Some((names.iter().position(|given| given == name)?, kind)))
    }

    fn read(self, text: &str) -> Result<Reference, IdError> {
        let reference: Reference = text.trim().parse()?;
        match (self, &reference) {
            (Self::Video, Reference::Channel(_)) => reference.video().map(Reference::Video),
            (Self::Channel, Reference::Video(_)) => text.trim().parse().map(Reference::Channel),
            _ => Ok(reference),
        }
    }

    fn entry(self, line: u64, text: &str, category: Option<&str>) -> Result<ListEntry, LineError> {
        let category = category.map(str::trim).filter(|category| !category.is_empty()).map(str::to_owned);
        match self.read(text) {
            Ok(reference) => Ok(ListEntry { line, reference, category }),
            Err(error) => Err(LineError::new(line, error.to_string())),
        }
    }
}

fn category_index<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<usize> {
    names.position(|name| name.trim().eq_ignore_ascii_case(CATEGORY_NAME))
}

fn known_names() -> String {
    [&VIDEO_NAMES[..], &EITHER_NAMES, &CHANNEL_NAMES].concat().join(", ")
}

/// Lines that are neither blank nor comments, with their numbers.
fn content_lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let numbered = (1..).zip(text.lines().map(str::trim));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn plain_lines(text: &str) -> Vec<Result<ListEntry, LineError>> {
    content_lines(text).map(|(line, text)| ColumnKind::Either.entry(line, text, None)).collect()
}

fn csv_rows(text: &str) -> Vec<Result<ListEntry, LineError>> {
    let mut reader =
        csv::ReaderBuilder::new().comment(Some(b'#')).flexible(false).from_reader(text.as_bytes());
    let headers =
        reader.headers().map(|names| (ColumnKind::choose(names.iter()), category_index(names.iter())));
    let ((index, kind), category) = match headers {
        Ok((Some(found), category)) => (found, category),
        Ok((None, _)) => {
            let problem = format!("no column for videos or channels; known names: {}", known_names());
            return vec![Err(LineError::new(reader.position().line().saturating_sub(1).max(1), problem))];
        }
        Err(error) => return vec![Err(csv_error(&error))],
    };
    let rows = reader.records().filter(|row| !row.as_ref().is_ok_and(is_blank));
    rows.map(|row| {
        let row = row.map_err(|error| csv_error(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        kind.entry(line, row.get(index).unwrap_or_default(), category.and_then(|index| row.get(index)))
    })
    .collect()
}

fn is_blank(row: &csv::StringRecord) -> bool {
    row.iter().all(|cell| cell.trim().is_empty())
}

fn csv_error(error: &csv::Error) -> LineError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            LineError::new(line, format!("expected {expected_len} cells as in the header, found {len}"))
        }
        _ => LineError::new(line, error.to_string()),
    }
}

fn json_lines(text: &str) -> Vec<Result<ListEntry, LineError>> {
    content_lines(text).map(|(line, text)| json_line(line, text)).collect()
}

fn json_line(line: u64, text: &str) -> Result<ListEntry, LineError> {
    let value: Value = serde_json::from_str(text).map_err(|error| LineError::new(line, error.to_string()))?;
    let object = value.as_object().ok_or_else(|| LineError::new(line, "not a JSON object"))?;
    let (index, kind) = ColumnKind::choose(object.keys().map(String::as_str)).ok_or_else(|| {
        LineError::new(line, format!("no field for a video or channel; known names: {}", known_names()))
    })?;
    let text_at = |index: usize| {
        let (name, value) = object.iter().nth(index).ok_or_else(|| LineError::new(line, "empty object"))?;
        value.as_str().ok_or_else(|| LineError::new(line, format!("{name} is not a text: {value}")))
    };
    let category = category_index(object.keys().map(String::as_str))
        .filter(|index| object.values().nth(*index).is_some_and(|value| !value.is_null()));
    kind.entry(line, text_at(index)?, category.map(text_at).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    fn names(text: &str, format: ListFormat) -> Vec<(u64, String)> {
        let name = |entry: ListEntry| match entry.reference {
            Reference::Video(id) => (entry.line, id.to_string()),
            Reference::Channel(channel) => (entry.line, channel.url()),
        };
        read(text, format).unwrap().into_iter().map(name).collect()
    }

    fn problems(text: &str, format: ListFormat) -> Vec<String> {
        read(text, format).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn format_is_chosen_by_file_extension() {
        let check = |name, format| assert_eq!(ListFormat::from_file_name(name), format, "{name}");
        check("a.CSV", ListFormat::Csv);
        check("folder.csv/a.jsonl", ListFormat::JsonLines);
        check("a.ndjson", ListFormat::JsonLines);
        check("a.txt", ListFormat::Lines);
        check("csv", ListFormat::Lines);
    }

    #[test]
    fn plain_lines_are_videos_and_channels() {
        let text =
            "\u{feff}dQw4w9WgXcQ\r\n\r\n# a comment\n  https://youtu.be/BD-LB23rRBE \n@creativecommons\n";
        let expected = [
            (1, "dQw4w9WgXcQ".to_owned()),
            (4, "BD-LB23rRBE".to_owned()),
            (5, "https://www.youtube.com/@creativecommons".to_owned()),
        ];
        assert_eq!(names(text, ListFormat::Lines), expected);
        assert_eq!(names("", ListFormat::Lines), []);
    }

    #[test]
    fn every_invalid_line_is_reported() {
        let found = problems("dQw4w9WgXcQ\nfoo\n@ab\n", ListFormat::Lines);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("line 2: “foo” is not a video ID"), "{found:?}");
        assert!(found[1].starts_with("line 3: “@ab” is not a handle"), "{found:?}");
        let many = read(&"foo\n".repeat(25), ListFormat::Lines).unwrap_err().to_string();
        assert!(many.ends_with("; and 15 more"), "{many}");
    }

    #[test]
    fn csv_column_is_chosen_by_its_name() {
        let text =
            "\u{feff}Title,Video_ID\n\"a, b\",dQw4w9WgXcQ\n# comment\n\n,\n\"two\nlines\",BD-LB23rRBE\n";
        let expected = [(2, "dQw4w9WgXcQ".to_owned()), (6, "BD-LB23rRBE".to_owned())];
        assert_eq!(names(text, ListFormat::Csv), expected);
        let text = format!("channel,channel_id,videoId\nName,{CHANNEL},dQw4w9WgXcQ\n");
        assert_eq!(names(&text, ListFormat::Csv), [(2, "dQw4w9WgXcQ".to_owned())]);
        let text = format!("channel,channel_id\nName,{CHANNEL}\n");
        assert_eq!(
            names(&text, ListFormat::Csv),
            [(2, format!("https://www.youtube.com/channel/{CHANNEL}"))]
        );
    }

    #[test]
    fn invalid_csv_line_is_reported_with_its_number() {
        let check = |text: &str, expected: &str| {
            let found = problems(text, ListFormat::Csv);
            assert!(found[0].starts_with(expected), "{found:?}");
        };
        check("name,views\na,1\n", "line 1: no column for videos or channels; known names: video_id, ");
        check(
            "video_id\ndQw4w9WgXcQ\n@creativecommons\n",
            "line 3: “https://www.youtube.com/@creativecommons” is a channel",
        );
        check("channel_id\ndQw4w9WgXcQ\n", "line 2: “dQw4w9WgXcQ” is a video");
        check("video_id,views\ndQw4w9WgXcQ\n", "line 2: expected 2 cells as in the header, found 1");
        check("video_id,views\n,3\n", "line 2: “” is not a video ID");
    }

    #[test]
    fn category_is_read_from_its_column() {
        let categories = |text: &str, format| -> Vec<Option<String>> {
            read(text, format).unwrap().into_iter().map(|entry| entry.category).collect()
        };
        let games = || Some("games, new".to_owned());
        let text = "Category,rank,channel\n\"games, new\",1,@three\n ,2,@four\n";
        assert_eq!(categories(text, ListFormat::Csv), [games(), None]);
        assert_eq!(categories("handle\n@three\n", ListFormat::Csv), [None]);
        let text = "{\"channel\":\"@three\",\"category\":\"games, new\"}\n{\"channel\":\"@four\",\"category\":null}\n";
        assert_eq!(categories(text, ListFormat::JsonLines), [games(), None]);
        assert_eq!(categories("@three\n", ListFormat::Lines), [None]);
        let text = "{\"channel\":\"@three\",\"category\":7}\n";
        assert_eq!(problems(text, ListFormat::JsonLines), ["line 1: category is not a text: 7"]);
    }

    #[test]
    fn json_fields_have_the_same_names_as_csv_columns() {
        let text = "\n{\"title\": \"x\", \"id\": \"dQw4w9WgXcQ\"}\n\
                    {\"handle\": \"@creativecommons\", \"views\": 3}\n";
        let expected =
            [(2, "dQw4w9WgXcQ".to_owned()), (3, "https://www.youtube.com/@creativecommons".to_owned())];
        assert_eq!(names(text, ListFormat::JsonLines), expected);
        let found = problems("{\"id\": 3}\n[]\n{\n{}\n", ListFormat::JsonLines);
        assert_eq!(found[0], "line 1: id is not a text: 3");
        assert_eq!(found[1], "line 2: not a JSON object");
        assert!(found[2].starts_with("line 3: EOF"), "{found:?}");
        assert!(found[3].starts_with("line 4: no field for a video or channel"), "{found:?}");
    }
}
