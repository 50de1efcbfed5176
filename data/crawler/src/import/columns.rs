//! Names of columns: those of this project, of yt-dlp, of the YouTube Data API, and of tables on Kaggle.
//!
//! Names are compared as keys: in lower case, with `_` for spaces and dashes.

use serde_json::Value;

/// Columns with a video's ID or link.
pub(super) const VIDEO: [&str; 9] =
    ["video_id", "videoid", "video_url", "webpage_url", "original_url", "video", "url", "link", "id"];
/// Columns with a thumbnail's path, relative to the image folder.
pub(super) const FILE: [&str; 4] = ["file_name", "filename", "file", "thumbnail"];
pub(super) const TITLE: [&str; 3] = ["title", "video_title", "fulltitle"];
/// An item of a playlist has the playlist's owner as its channel, and the video's apart.
pub(super) const CHANNEL_ID: [&str; 4] = ["videoownerchannelid", "channel_id", "channelid", "uploader_id"];
pub(super) const CHANNEL: [&str; 7] = [
    "videoownerchanneltitle",
    "channel",
    "channel_title",
    "channeltitle",
    "channel_name",
    "channelname",
    "uploader",
];
pub(super) const CATEGORY: [&str; 5] =
    ["category", "categories", "category_name", "category_id", "categoryid"];
pub(super) const PUBLISHED: [&str; 7] = [
    "published",
    "videopublishedat",
    "published_at",
    "publishedat",
    "publish_time",
    "publish_date",
    "upload_date",
];
pub(super) const VIEWS: [&str; 4] = ["views", "view_count", "viewcount", "watch"];
pub(super) const SUBSCRIBERS: [&str; 6] =
    ["subscribers", "subscriber_count", "subscribercount", "channel_follower_count", "subs", "sub"];

/// Whether a column can identify a video.
pub(super) fn names_a_video(key: &str) -> bool {
    VIDEO.contains(&key) || FILE.contains(&key)
}

pub(super) fn video_names() -> String {
    [&VIDEO[..], &FILE].concat().join(", ")
}

/// Returns a value as text; of a list, its first element.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(digits(number)),
        Value::Array(values) if values.first().is_some_and(|first| !first.is_array()) => text(&values[0]),
        other => Err(format!("{other} is not a text")),
    }
}

/// Returns a number's digits. JSON writers make floats of the integers of a column with missing values.
fn digits(number: &serde_json::Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
