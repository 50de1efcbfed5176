//! When videos were published and rows crawled, as far as that looks odd.
//!
//! Owns the forms of dates that are known, from `2014` to a moment with its zone. A date without a zone means a
//! span of moments, and only what is odd for all of them is suspected.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::{
    lenient_row::Columns,
    warnings::{Reason, Warnings},
};

/// How far the clock that a row was crawled by may be ahead of this machine's.
const CLOCKS: SignedDuration = SignedDuration::from_mins(5);
/// How much earlier a day begins at the other end of the Earth than in UTC.
const EARLIEST_ZONE: SignedDuration = SignedDuration::from_hours(14);

/// Looks at the dates of a row.
pub(super) fn suspect(name: &str, columns: &Columns, now: SystemTime, warnings: &mut Warnings) {
    let now =
        Timestamp::try_from(now).unwrap_or(Timestamp::MAX).saturating_add(CLOCKS).unwrap_or(Timestamp::MAX);
    let mut read = |column: &str| {
        let text = columns.text(column)?;
        let moment = earliest(&text);
        if moment.is_none() {
            warnings.add(Reason::DateUnreadable, name, format!("{column} '{text}'"));
        }
        moment
    };
    let (published, crawled) = (read("published"), read("crawled_at"));
    if columns.text("crawled_at").is_none() {
        warnings.add(Reason::CrawledAtMissing, name, "");
    }
    let text = |column: &str| columns.text(column).unwrap_or_default().into_owned();
    if published.is_some_and(|published| published > now) {
        warnings.add(Reason::PublishedInFuture, name, text("published"));
    }
    if crawled.is_some_and(|crawled| crawled > now) {
        warnings.add(Reason::CrawledInFuture, name, text("crawled_at"));
    }
    if let (Some(published), Some(crawled)) = (published, crawled)
        && published > crawled
    {
        let value = format!("published {}, crawled {}", text("published"), text("crawled_at"));
        warnings.add(Reason::PublishedAfterCrawled, name, value);
    }
}

/// The earliest moment that a text may mean anywhere on Earth.
fn earliest(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = match text.split('-').collect::<Vec<_>>()[..] {
        [year] if year.len() == 4 && is_number(year) => format!("{year}-01-01"),
        [year, month] if year.len() == 4 && is_number(year) && is_number(month) => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let local: civil::DateTime = whole.parse().ok()?;
    let utc = TimeZone::UTC.to_timestamp(local).ok()?;
    utc.checked_sub(EARLIEST_ZONE).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_that_tables_have() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(earliest(text).map(|moment| moment.to_string()).as_deref(), want, "{text}");
        };
        check("2013-10-19T11:19:07.000Z", Some("2013-10-19T11:19:07Z"));
        check("2026-01-01T09:00:00+09:00", Some("2026-01-01T00:00:00Z"));
        check("2026-01-02 15:30:00", Some("2026-01-02T01:30:00Z"));
        check("2026-01-02", Some("2026-01-01T10:00:00Z"));
        check("2026-01", Some("2025-12-31T10:00:00Z"));
        check("2014", Some("2013-12-31T10:00:00Z"));
        for text in ["3 years ago", "14", "2026-13", "2026-02-30", "1764000000123", "-"] {
            check(text, None);
        }
    }

    #[test]
    fn only_what_cannot_be_is_suspected() {
        // 2025-11-24T16:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let check = |published: &str, crawled: &str, want: &[Reason]| {
            let row = format!("{{\"published\":{published},\"crawled_at\":{crawled}}}");
            let mut warnings = Warnings::default();
            suspect("x.jpg", &Columns::of(row.as_bytes()), now, &mut warnings);
            let found: Vec<Reason> = warnings.into_list().into_iter().map(|found| found.reason).collect();
            assert_eq!(found, want, "{row}");
        };
        check("\"2025-11-24\"", "\"2025-11-24T15:00:00Z\"", &[]);
        check("2025", "\"2025-11-24T16:04:00Z\"", &[]);
        check("null", "\"2025-11-24\"", &[]);
        check("\"2025-11-25\"", "\"2025-11-24T09:00:00Z\"", &[Reason::PublishedAfterCrawled]);
        check(
            "\"2025-11-24T17:00:00Z\"",
            "\"2025-11-24T15:00:00Z\"",
            &[Reason::PublishedAfterCrawled, Reason::PublishedInFuture],
        );
        check("2014", "\"2026-01-01T00:00:00Z\"", &[Reason::CrawledInFuture]);
        check("\"soon\"", "\"\"", &[Reason::CrawledAtMissing, Reason::DateUnreadable]);
    }
}
