//! Lets a bucket have keys that `object_store` cannot represent.
//!
//! Keys such as `a//b.jpg` or `a/./b.jpg` are valid in S3, but one of them makes `object_store` fail the whole listing.
//! The segments that it refuses are marked in the listing before it is parsed, so that the listing names the key. Such a
//! key cannot be read.

use bytes::Bytes;
use object_store::client::{HttpError, HttpResponse};

/// Precedes a segment that is empty, `.` or `..`. A private-use character, which no real key has.
const MARK: char = '\u{f8ff}';

/// Returns the key of a marked name, or `None` if the name is not marked.
pub(super) fn unmarked(name: &str) -> Option<String> {
    name.contains(MARK).then(|| name.replace(MARK, ""))
}

pub(super) fn is_listing(uri: &(impl std::fmt::Display + ?Sized)) -> bool {
    uri.to_string().split_once('?').is_some_and(|(_, query)| query.contains("list-type=2"))
}

pub(super) async fn mark_unusual(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let body = body.bytes().await?;
    let body = match std::str::from_utf8(&body).ok().and_then(marked) {
        Some(text) => Bytes::from(text),
        None => body,
    };
    Ok(HttpResponse::from_parts(parts, body.into()))
}

/// Marks the unusual segments of all keys in the XML of a listing; `None` if there are none.
fn marked(xml: &str) -> Option<String> {
    const OPEN: &str = "<Key>";
    const CLOSE: &str = "</Key>";
    let mut text = String::new();
    let mut rest = xml;
    let mut is_changed = false;
    while let Some(start) = rest.find(OPEN) {
        let (before, key) = rest.split_at(start + OPEN.len());
        let (key, after) = key.split_at(key.find(CLOSE)?);
        text += before;
        let segments: Vec<&str> = key.split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            if index > 0 {
                text.push('/');
            }
            // A slash at the end is a folder's marker, which `object_store` accepts.
            let is_marker = segment.is_empty() && index + 1 == segments.len();
            if ["", ".", ".."].contains(segment) && !is_marker {
                text.push(MARK);
                is_changed = true;
            }
            text += segment;
        }
        rest = after;
    }
    is_changed.then(|| text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unusual_segments_are_marked() {
        let check = |keys: &[&str], want: &[&str]| {
            let xml = |keys: &[&str]| {
                let entry = |key: &&str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
                format!("<R><Prefix>a//</Prefix>{}</R>", keys.iter().map(entry).collect::<String>())
            };
            let marked = marked(&xml(keys)).map(|text| text.replace(MARK, "!"));
            assert_eq!(marked, (keys != want).then(|| xml(want)), "{keys:?}");
        };
        check(&[], &[]);
        check(&["a/b.jpg", "folder/", "a/..b"], &["a/b.jpg", "folder/", "a/..b"]);
        check(&["a//b.jpg", "c.jpg"], &["a/!/b.jpg", "c.jpg"]);
        check(&["/a.jpg", "a/../b", "./x"], &["!/a.jpg", "a/!../b", "!./x"]);
        check(&["a//"], &["a/!/"]);
        assert_eq!(unmarked("a/\u{f8ff}/b.jpg").as_deref(), Some("a//b.jpg"));
        assert_eq!(unmarked("a/b.jpg"), None);
    }
}
