//! W3C Trace Context: reads the `traceparent` header of a request
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>).
//!
//! Jobs get a well-formed header of version 00. Of a later version, the four fields of version 00 are read. A malformed
//! header is ignored.

use axum::http::HeaderMap;

/// Returns the `traceparent` of a request that has exactly one, well-formed.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    parse(value.to_str().ok()?)
}

/// Parses `VERSION-TRACE-PARENT-FLAGS`: lower-case hexadecimal digits, IDs not all zero. Versions after 00 may have
/// more fields.
fn parse(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('-').collect();
    let (&[version, trace, parent, flags], more) = parts.split_first_chunk()?;
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    };
    let is_id = |part: &str, digits: usize| is_hex(part, digits) && part.bytes().any(|c| c != b'0');
    let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || more.is_empty());
    let is_well_formed = is_version && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2);
    is_well_formed.then(|| format!("00-{trace}-{parent}-{flags}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn exactly_one_well_formed_traceparent_is_passed_on() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("traceparent", HeaderValue::from_bytes(value).unwrap());
            }
            traceparent(&headers)
        };
        assert_eq!(read(&[GOOD.as_bytes()]).as_deref(), Some(GOOD));
        let later = GOOD.replacen("00-", "cc-", 1);
        assert_eq!(read(&[later.as_bytes()]).as_deref(), Some(GOOD));
        assert_eq!(read(&[format!("{later}-what-the-future-holds").as_bytes()]).as_deref(), Some(GOOD));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[GOOD.as_bytes(), GOOD.as_bytes()]), None);
        for malformed in [
            "",
            "00",
            &GOOD[1..],
            &format!("{GOOD}-01"),
            &format!("{GOOD} "),
            &GOOD.replacen("00-", "1-", 1),
            &format!("{later}x"),
            &GOOD.replacen("00-", "ff-", 1),
            &GOOD.replace("4bf9", "4BF9"),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &GOOD.replace("00f067aa0ba902b7", "00f067aa0ba902b"),
            "é",
        ] {
            assert_eq!(read(&[malformed.as_bytes()]), None, "{malformed}");
        }
    }
}
