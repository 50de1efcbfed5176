//! Metadata rows: the lines of `metadata.jsonl`.
//!
//! [`Row`] has the columns that a crawl or import writes and reads back. Rows from other sources need only
//! the columns that `parse` reads. All other columns are ignored, so that a title truncated within an
//! emoji, or a repeated column, does not make the row invalid. Invariant: a missing number is `None`, never
//! zero.

use common::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{json, manifest::ManifestItem};

/// A row as a crawl writes it; the order of the fields is the order of the columns.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Path of the image, relative to the dataset.
    pub file_name: String,
    /// Unique in the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Groups videos in a split by channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// Channel name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Category in which the channel was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribers: Option<u64>,
    /// Whether the source abbreviated or rounded `subscribers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribers_approximate: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    /// Whether the source abbreviated or rounded `views`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views_approximate: Option<bool>,
    /// Publication date, as precise as the source gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Publication date as the source words it, such as "3 years ago".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_text: Option<String>,
    /// Time of the counts: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawled_at: Option<String>,
    /// `api`, `page`, `list` or `import`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Which of the site's thumbnail variants the image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_variant: Option<String>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_width: Option<u32>,
    /// In pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_height: Option<u32>,
    /// Which part of the site's thumbnail the image is: `[x, y, width, height]` in pixels. `Some(None)` is
    /// written as `null` and means the whole thumbnail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_crop: Option<Option<[u32; 4]>>,
    /// Size of the image file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-256 of the image file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// `ETag` of the site's response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The crawl or import that wrote the row, and replaces it (see [`crate::metadata`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// The columns of [`Row`].
pub const COLUMNS: [&str; 22] = [
    "file_name",
    "video_id",
    "title",
    "channel_id",
    "channel",
    "category",
    "subscribers",
    "subscribers_approximate",
    "views",
    "views_approximate",
    "published",
    "published_text",
    "crawled_at",
    "source",
    "thumbnail_variant",
    "thumbnail_width",
    "thumbnail_height",
    "thumbnail_crop",
    "bytes",
    "sha256",
    "etag",
    "part",
];

/// The columns that make an item. All of them are any JSON value, so that an error can quote it.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct ItemColumns {
    file_name: String,
    #[serde(default)]
    video_id: Value,
    #[serde(default)]
    channel_id: Value,
    #[serde(default)]
    channel: Value,
    #[serde(default)]
    views: Value,
    #[serde(default)]
    subscribers: Value,
}

/// A row that is valid in itself.
#[derive(PartialEq, Debug)]
pub(crate) struct ParsedRow {
    /// As the row spells it.
    pub(crate) file_name: String,
    /// Without file name and size.
    pub(crate) item: ManifestItem,
}

/// Why a row is rejected.
#[derive(PartialEq, Debug)]
pub(crate) struct RowError {
    pub(crate) file_name: Option<String>,
    pub(crate) detail: String,
}

/// Parses a row. `NaN` and `Infinity`, which Python writes, are missing values.
pub(crate) fn parse(row: &[u8]) -> Result<ParsedRow, RowError> {
    let unnamed = |detail: String| RowError { file_name: None, detail };
    let text =
        std::str::from_utf8(row).map_err(|error| unnamed(format!("the row is not valid UTF-8: {error}")))?;
    let row: ItemColumns =
        json::parse(text).map_err(|error| unnamed(format!("the row is not valid: {error}")))?;
    let named = |detail: String| RowError { file_name: Some(row.file_name.clone()), detail };
    let item = ManifestItem {
        video_id: text_of("video_id", &row.video_id).map_err(named)?,
        channel_id: text_of("channel_id", &row.channel_id).map_err(named)?,
        channel: text_of("channel", &row.channel).map_err(named)?,
        views: count_of("views", &row.views).map_err(named)?,
        subscribers: count_of("subscribers", &row.subscribers).map_err(named)?,
        ..ManifestItem::named("")
    };
    Ok(ParsedRow { file_name: row.file_name, item })
}

/// Returns a text, or a number as its digits; `None` if it is empty.
fn text_of(column: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok((!text.is_empty()).then(|| text.clone())),
        Value::Number(number) => Ok(Some(whole(value).map_or_else(|| number.to_string(), |n| n.to_string()))),
        other => Err(format!("{column} must be a text or a number, not {other}")),
    }
}

fn count_of(column: &str, value: &Value) -> Result<Option<u64>, String> {
    if value.is_null() {
        return Ok(None);
    }
    whole(value).map(Some).ok_or_else(|| format!("{column} must be a non-negative integer, not {value}"))
}

/// Returns a whole number, also one that is written as `17.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_rows_are_read_back_as_items() {
        let text = |text: &str| Some(text.to_owned());
        let row = Row {
            file_name: "thumbnails/a.jpg".to_owned(),
            video_id: text("V"),
            title: text("T"),
            channel_id: text("C"),
            channel: text("N"),
            category: text("K"),
            subscribers: Some(2),
            subscribers_approximate: Some(true),
            views: Some(7),
            views_approximate: Some(false),
            published: text("2014"),
            published_text: text("long ago"),
            crawled_at: text("2026-01-01T00:00:00Z"),
            source: text("api"),
            thumbnail_variant: text("sd"),
            thumbnail_width: Some(640),
            thumbnail_height: Some(356),
            thumbnail_crop: Some(Some([0, 64, 640, 356])),
            bytes: Some(1),
            sha256: Some(Digest::of(b"x")),
            etag: text("E"),
            part: text("C"),
        };
        let written = serde_json::to_string(&row).unwrap();
        let start = r#"{"file_name":"thumbnails/a.jpg","video_id":"V","title":"T","channel_id":"C","channel":"N","category":"K","subscribers":2,"subscribers_approximate":true,"views":7,"views_approximate":false,"published":"2014","published_text":"long ago","crawled_at":"2026-01-01T00:00:00Z","source":"api","thumbnail_variant":"sd","thumbnail_width":640,"thumbnail_height":356,"thumbnail_crop":[0,64,640,356],"bytes":1,"#;
        assert_eq!(
            written,
            format!("{start}\"sha256\":\"{}\",\"etag\":\"E\",\"part\":\"C\"}}", Digest::of(b"x"))
        );
        assert_eq!(serde_json::from_str::<Row>(&written).unwrap(), row);
        let columns: std::collections::BTreeMap<String, Value> = serde_json::from_str(&written).unwrap();
        assert_eq!(columns.into_keys().collect::<Vec<_>>(), {
            let mut names = COLUMNS;
            names.sort_unstable();
            names
        });
        let item = ManifestItem {
            video_id: text("V"),
            channel_id: text("C"),
            channel: text("N"),
            subscribers: Some(2),
            views: Some(7),
            ..ManifestItem::named("")
        };
        let parsed = ParsedRow { file_name: "thumbnails/a.jpg".to_owned(), item };
        assert_eq!(parse(written.as_bytes()).unwrap(), parsed);

        let uncropped = Row { file_name: "a.jpg".to_owned(), thumbnail_crop: Some(None), ..Row::default() };
        let written = serde_json::to_string(&uncropped).unwrap();
        assert_eq!(written, r#"{"file_name":"a.jpg","thumbnail_crop":null}"#);
    }

    #[test]
    fn values_are_read_as_python_writes_them() {
        let check = |columns: &str, video_id: Option<&str>, views: Option<u64>| {
            let row = parse(format!("{{\"file_name\":\"a.jpg\",{columns}}}\r").as_bytes()).unwrap();
            assert_eq!((row.item.video_id.as_deref(), row.item.views), (video_id, views), "{columns}");
        };
        check(r#""video_id":12345,"views":NaN"#, Some("12345"), None);
        check(r#""video_id":12345.0,"views":-Infinity,"title":"NaN, \"Infinity\"""#, Some("12345"), None);
        check(r#""video_id":null,"views":17.0"#, None, Some(17));
        check(r#""video_id":"","views":null"#, None, None);
        let error =
            |columns: &str| parse(format!("{{\"file_name\":\"a.jpg\",{columns}}}").as_bytes()).unwrap_err();
        assert_eq!(error(r#""views":"12""#).detail, "views must be a non-negative integer, not \"12\"");
        assert_eq!(error(r#""video_id":[1]"#).detail, "video_id must be a text or a number, not [1]");
        assert_eq!(error(r#""views":-3"#).file_name.as_deref(), Some("a.jpg"));
    }

    #[test]
    fn unused_columns_are_ignored() {
        let row = br#"{"file_name":"a.jpg","title":"\ud83d","title":[1],"sha256":7,"bytes":1e999}"#;
        assert_eq!(parse(row).unwrap().item, ManifestItem::named(""));
        let error = parse(b"5").unwrap_err().detail;
        assert!(error.contains("invalid type: integer `5`, expected a JSON object"), "{error}");
    }
}
