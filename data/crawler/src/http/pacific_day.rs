//! Days of the Data API's quota, which resets at midnight Pacific time.

use common::store::QuotaDay;
use jiff::{
    Timestamp, ToSpan,
    tz::{self, TimeZone},
};

static PACIFIC: TimeZone = tz::get!("America/Los_Angeles");

/// Returns the Pacific day of a time in ms since the Unix epoch. When daylight saving time starts or ends, a day has
/// 23 or 25 hours.
pub(super) fn pacific_day(now_ms: u64) -> QuotaDay {
    let now = Timestamp::from_millisecond(now_ms as i64).expect("Redis's time is a date");
    let today = now.to_zoned_datetime(PACIFIC.clone()).date();
    let tomorrow = today.checked_add(1.day()).and_then(|day| day.to_zoned_datetime(PACIFIC.clone()));
    let resets_at = tomorrow.expect("there is a tomorrow").timestamp();
    QuotaDay { date: today.to_string(), resets_at_ms: resets_at.as_millisecond() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_day_starts_at_pacific_midnight_across_clock_changes() {
        let check = |time: &str, date: &str, resets_at: &str| {
            let time: Timestamp = time.parse().unwrap();
            let resets_at: Timestamp = resets_at.parse().unwrap();
            let want = QuotaDay { date: date.to_owned(), resets_at_ms: resets_at.as_millisecond() as u64 };
            assert_eq!(pacific_day(time.as_millisecond() as u64), want);
        };
        // Winter, then summer.
        check("2026-11-25T07:59:59.999Z", "2026-11-24", "2026-11-25T08:00:00Z");
        check("2026-11-25T08:00:00Z", "2026-11-25", "2026-11-26T08:00:00Z");
        check("2026-07-01T06:59:59Z", "2026-06-30", "2026-07-01T07:00:00Z");
        check("2026-12-31T12:00:00Z", "2026-12-31", "2027-01-01T08:00:00Z");
        // The clock goes forward on 8 March: from 8:00 to 7:00 UTC, 23 hours.
        check("2026-03-08T08:00:00Z", "2026-03-08", "2026-03-09T07:00:00Z");
        check("2026-03-09T06:59:59Z", "2026-03-08", "2026-03-09T07:00:00Z");
        check("2026-03-09T07:00:00Z", "2026-03-09", "2026-03-10T07:00:00Z");
        // It goes back on 1 November: from 7:00 to 8:00 UTC, 25 hours.
        check("2026-11-01T07:00:00Z", "2026-11-01", "2026-11-02T08:00:00Z");
        check("2026-11-01T09:30:00Z", "2026-11-01", "2026-11-02T08:00:00Z");
        check("2026-11-02T07:59:59Z", "2026-11-01", "2026-11-02T08:00:00Z");
    }
}
