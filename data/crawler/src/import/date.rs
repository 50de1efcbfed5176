//! Dates of publication.

use jiff::{Timestamp, civil::Date};

use super::columns::{self, PUBLISHED};
use crate::table::TableRow;

/// The day on which YouTube began. An earlier timestamp cannot be a publication date.
const FIRST_SECOND: i64 = 1_108_339_200;

/// Returns the date of publication: a date as the table writes it, yt-dlp's `20190501` as `2019-05-01`, and a
/// timestamp in seconds in RFC 3339.
pub(super) fn published(row: &TableRow) -> Result<Option<String>, String> {
    if let Some(value) = row.first(&PUBLISHED) {
        let text = columns::text(value)?;
        return Ok(Some(day(&text).unwrap_or(text)));
    }
    // A timestamp in another format may be that of the row.
    let timestamp = row.first(&["timestamp"]).and_then(|value| columns::text(value).ok());
    Ok(timestamp.and_then(|text| second(&text)))
}

fn day(text: &str) -> Option<String> {
    let digits = text.strip_suffix(".0").unwrap_or(text);
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) =
        (digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?);
    Date::new(year, month, day).ok().map(|date| date.to_string())
}

fn second(text: &str) -> Option<String> {
    let seconds =
        text.strip_suffix(".0").unwrap_or(text).parse().ok().filter(|seconds| *seconds >= FIRST_SECOND)?;
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_downloaders_are_converted() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(day(text).as_deref(), expected, "{text}");
        check("20190501", Some("2019-05-01"));
        check("20190501.0", Some("2019-05-01"));
        check("20191301", None);
        check("2019-05-01", None);
        assert_eq!(second("1556668800").as_deref(), Some("2019-05-01T00:00:00Z"));
        assert_eq!((second("17"), second("2019-05-01")), (None, None));
    }
}
