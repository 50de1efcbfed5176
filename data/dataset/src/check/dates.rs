//! Warnings about the publication and crawl dates of a row.
//!
//! Owns the supported date formats, from `2014` to a timestamp with a time zone. A date without a time or a
//! zone is a range of timestamps; a warning is given only if it applies to the whole range.

use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::{
    lenient_row::Columns,
    warnings::{Reason, Warnings},
};

/// Tolerated clock difference between the crawler and this machine.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The largest UTC offset: a day starts up to 14 hours earlier than in UTC.
const MAX_UTC_OFFSET: SignedDuration = SignedDuration::from_hours(14);

pub(super) fn check(name: &str, columns: &Columns, now: SystemTime, warnings: &mut Warnings) {
    let now = Timestamp::try_from(now)
        .unwrap_or(Timestamp::MAX)
        .saturating_add(CLOCK_SKEW)
        .unwrap_or(Timestamp::MAX);
    let mut read = |column: &str| {
        let text = columns.text(column)?;
        let timestamp = earliest(&text);
        if timestamp.is_none() {
            warnings.add(Reason::DateUnreadable, name, format!("{column} '{text}'"));
        }
        timestamp
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

/// Parses a date to the earliest timestamp it may stand for in any time zone.
fn earliest(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let date = match text.split('-').collect::<Vec<_>>()[..] {
        [year] if year.len() == 4 && is_number(year) => format!("{year}-01-01"),
        [year, month] if year.len() == 4 && is_number(year) && is_number(month) => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let local: civil::DateTime = date.parse().ok()?;
    let utc = TimeZone::UTC.to_timestamp(local).ok()?;
    utc.checked_sub(MAX_UTC_OFFSET).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{check as check_dates, *};

    #[test]
    fn supported_date_formats_are_parsed() {
        let check = |text: &str, want: Option<&str>| {
            assert_eq!(earliest(text).map(|timestamp| timestamp.to_string()).as_deref(), want, "{text}");
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
    fn only_impossible_dates_are_reported() {
        // 2025-11-24T16:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let check = |published: &str, crawled: &str, want: &[Reason]| {
            let row = format!("{{\"published\":{published},\"crawled_at\":{crawled}}}");
            let mut warnings = Warnings::default();
            check_dates("x.jpg", &Columns::of(row.as_bytes()), now, &mut warnings);
            let found: Vec<Reason> = warnings.into_list().into_iter().map(|warning| warning.reason).collect();
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
