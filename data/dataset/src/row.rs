//! Metadata rows: the lines of `metadata.jsonl`.
//!
//! [`Row`] has the columns that a crawl or import writes and reads back. Rows from other sources need only
//! the columns that `item_of` reads. All other columns are ignored, so that a title truncated within an
//! emoji, or a repeated column, does not make the row invalid. Invariant: a missing number is `None`, never
//! zero.

use common::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::{files::is_confined, manifest::ManifestItem};

/// A row as a crawl writes it; the order of the fields is the order of the columns.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Path of the image, relative to the dataset.
    pub file_name: String,
    /// Unique in the dataset. Defaults to the file name without its extension.
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
}

/// The columns that make an item.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct ItemColumns {
    file_name: String,
    #[serde(default)]
    video_id: Option<String>,
    #[serde(default)]
    channel_id: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    views: Option<RowCount>,
    #[serde(default)]
    subscribers: Option<RowCount>,
}

/// A count in a row: any JSON value, so that the error can quote it.
#[derive(Deserialize)]
#[serde(transparent)]
struct RowCount(serde_json::Value);

impl RowCount {
    fn read(column: &str, count: Option<Self>) -> Result<Option<u64>, String> {
        let Some(Self(value)) = count else { return Ok(None) };
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
        });
        number.map(Some).ok_or_else(|| format!("{column} must be a non-negative integer, not {value}"))
    }
}

/// Describes a JSON error within a line, whose number the location of the row already has.
fn of_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        return format!("not a JSON object (column {})", error.column());
    }
    match text.split_once(" at line ") {
        Some((problem, _)) => format!("{problem} at column {}", error.column()),
        None => text,
    }
}

/// Parses a row to an item without its size. The error has the file name, if the row has one, and a
/// description.
pub(crate) fn item_of(row: &[u8]) -> Result<ManifestItem, (Option<String>, String)> {
    let text =
        std::str::from_utf8(row).map_err(|error| (None, format!("the row is not valid UTF-8: {error}")))?;
    let row: ItemColumns = serde_json::from_str(text)
        .map_err(|error| (None, format!("the row is not valid: {}", of_line(&error))))?;
    let name = row.file_name;
    if !is_confined(&name) {
        return Err((None, format!("file_name '{name}' is not a path inside the dataset")));
    }
    let views = RowCount::read("views", row.views).map_err(|detail| (Some(name.clone()), detail))?;
    let subscribers =
        RowCount::read("subscribers", row.subscribers).map_err(|detail| (Some(name.clone()), detail))?;
    let stem = || name.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or(&name).to_owned();
    let video_id = Some(row.video_id.filter(|id| !id.is_empty()).unwrap_or_else(stem));
    let channel_id = row.channel_id.filter(|id| !id.is_empty());
    let channel = row.channel.filter(|channel| !channel.is_empty());
    Ok(ManifestItem { video_id, channel_id, channel, views, subscribers, ..ManifestItem::named(&name) })
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
        };
        let written = serde_json::to_string(&row).unwrap();
        let start = r#"{"file_name":"thumbnails/a.jpg","video_id":"V","title":"T","channel_id":"C","channel":"N","category":"K","subscribers":2,"subscribers_approximate":true,"views":7,"views_approximate":false,"published":"2014","published_text":"long ago","crawled_at":"2026-01-01T00:00:00Z","source":"api","thumbnail_variant":"sd","thumbnail_width":640,"thumbnail_height":356,"thumbnail_crop":[0,64,640,356],"bytes":1,"#;
        assert_eq!(written, format!("{start}\"sha256\":\"{}\",\"etag\":\"E\"}}", Digest::of(b"x")));
        assert_eq!(serde_json::from_str::<Row>(&written).unwrap(), row);
        let item = ManifestItem {
            video_id: text("V"),
            channel_id: text("C"),
            channel: text("N"),
            subscribers: Some(2),
            views: Some(7),
            ..ManifestItem::named("thumbnails/a.jpg")
        };
        assert_eq!(item_of(written.as_bytes()).unwrap(), item);

        let uncropped = Row { file_name: "a.jpg".to_owned(), thumbnail_crop: Some(None), ..Row::default() };
        let written = serde_json::to_string(&uncropped).unwrap();
        assert_eq!(written, r#"{"file_name":"a.jpg","thumbnail_crop":null}"#);
    }

    #[test]
    fn unused_columns_are_ignored() {
        let row = br#"{"file_name":"a.jpg","title":"\ud83d","title":[1],"sha256":7,"bytes":1e999}"#;
        let item = ManifestItem { video_id: Some("a".to_owned()), ..ManifestItem::named("a.jpg") };
        assert_eq!(item_of(row).unwrap(), item);
        let error = item_of(b"5").unwrap_err().1;
        assert!(error.contains("invalid type: integer `5`, expected a JSON object"), "{error}");
    }
}
