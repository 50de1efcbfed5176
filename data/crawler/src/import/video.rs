//! Which video a row is about, and where its image is.

use common::digest::Digest;
use serde_json::Value;
use url::Url;

use super::columns::{self, FILE, VIDEO};
use crate::{
    table::TableRow,
    youtube::ids::{Reference, VideoId, is_youtube_link},
};

/// Longest ID of a video. YouTube's have 11 bytes.
const MAX_ID_BYTES: usize = 200;
/// Digits of the digest in the file name of an ID that is not a file name.
const DIGEST_DIGITS: usize = 8;
/// Columns that only a downloader writes. Its `filename` is the video, not the image.
const DOWNLOADER: [&str; 4] = ["extractor", "extractor_key", "ie_key", "webpage_url"];

/// Returns the file that a row names. A URL is not a file.
pub(super) fn file(row: &TableRow) -> Result<Option<String>, String> {
    let is_downloaded = row.first(&DOWNLOADER).is_some();
    for name in FILE {
        let Some(value) = row.first(&[name]) else { continue };
        if value.is_array() || is_downloaded && ["filename", "file"].contains(&name) {
            continue;
        }
        let text = columns::text(value)?;
        if !is_link(&text) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

pub(super) fn is_link(text: &str) -> bool {
    text.contains("://") || text.starts_with("//") || text.starts_with("data:")
}

/// Returns the ID of a row's video: YouTube's, if a column has its ID or link, or any other ID.
pub(super) fn id(row: &TableRow, file: Option<&str>) -> Result<String, String> {
    let mut problem = None;
    let mut foreign_link = None;
    for value in VIDEO.iter().filter_map(|name| row.first(&[name])) {
        match id_of(value) {
            Ok(Some(id)) => return Ok(id),
            Ok(None) => foreign_link = foreign_link.or(Some(value)),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    match (problem, file, foreign_link) {
        (Some(problem), ..) => Err(problem),
        (None, Some(file), _) => id_of_file(file),
        (None, None, Some(link)) => Err(format!("{link} is not a YouTube link, and the row has no ID")),
        (None, None, None) => Err("the row has neither a video nor a file".to_owned()),
    }
}

/// Returns the ID that a value is or links to, or `None` for a link to another site.
pub(super) fn id_of(value: &Value) -> Result<Option<String>, String> {
    let text = columns::text(value)?;
    let link = if is_link(&text) { Url::parse(&text) } else { Url::parse(&format!("https://{text}")) };
    match text.parse::<Reference>() {
        Ok(reference) => reference.video().map(|id| Some(id.to_string())).map_err(|error| error.to_string()),
        Err(error) if link.is_ok_and(|link| is_youtube_link(&link)) => Err(error.to_string()),
        Err(_) if is_link(&text) => Ok(None),
        Err(_) => checked(text).map(Some),
    }
}

fn checked(id: String) -> Result<String, String> {
    if id.len() > MAX_ID_BYTES {
        return Err(format!(
            "the video's ID has {} bytes, which exceeds the limit of {MAX_ID_BYTES}",
            id.len()
        ));
    }
    if id.contains(char::is_control) {
        return Err(format!("the video's ID {id:?} has control characters"));
    }
    Ok(id)
}

/// Names a video after its file: YouTube's ID, or the path without the extension, since files in two folders may have
/// the same name.
fn id_of_file(file: &str) -> Result<String, String> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = |name: &str| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned();
    if stem(name).parse::<VideoId>().is_ok() {
        return Ok(stem(name));
    }
    checked(stem(file.trim_start_matches("./")))
}

/// Returns a file name for an ID: the ID itself if it is a plain one, otherwise with `-` for other characters, and a
/// digest that makes it unique.
pub(super) fn file_stem(id: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let plain: String = id.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    if plain == id && !id.starts_with('.') {
        return plain;
    }
    let digest = Digest::of(id.as_bytes()).to_string();
    format!("{}-{}", plain.trim_start_matches('.'), &digest[..DIGEST_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_site_are_accepted() {
        let check = |text: &str, expected: &str| {
            let found = id_of(&Value::from(text)).unwrap_or_else(Some);
            assert!(found.clone().unwrap_or_default().contains(expected), "{found:?}");
        };
        check("x", "x");
        check("https://youtu.be/dQw4w9WgXcQ?t=3", "dQw4w9WgXcQ");
        check("007", "007");
        check("a/b c", "a/b c");
        check("@creativecommons", "a channel; a video is required");
        check("youtu.be/short", "not a video ID");
        check("https://www.youtube.com/playlist?list=PL1", "not a link to a video");
        assert_eq!(id_of(&Value::from("https://vimeo.com/1")), Ok(None));
        check(&"x".repeat(201), "201 bytes, which exceeds the limit of 200");
        check("a\u{7}b", "control characters");
        for number in [Value::from(12_345), Value::from(12_345.0)] {
            assert_eq!(id_of(&number), Ok(Some("12345".to_owned())));
        }
    }

    #[test]
    fn file_is_named_after_the_id() {
        assert_eq!(file_stem("dQw4w9WgXcQ"), "dQw4w9WgXcQ");
        assert_eq!(file_stem("-_a.b"), "-_a.b");
        assert_eq!(file_stem("먹방"), "먹방");
        for id in ["a/b", "a b", "..", ".a", "a:b", "../../etc/passwd"] {
            let stem = file_stem(id);
            assert!(dataset::files::is_confined(&stem) && !stem.contains('/') && stem.len() >= 9, "{stem}");
        }
        assert_ne!(file_stem("a/b"), file_stem("a b"));
    }

    #[test]
    fn made_up_ids_of_files_in_two_folders_differ() {
        assert_eq!(id_of_file("cat/1.jpg").as_deref(), Ok("cat/1"));
        assert_eq!(id_of_file("./dog/1.jpg").as_deref(), Ok("dog/1"));
        assert_eq!(id_of_file("x/dQw4w9WgXcQ.jpg").as_deref(), Ok("dQw4w9WgXcQ"));
    }
}
