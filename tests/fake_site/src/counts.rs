//! Formats counts, ages and durations as the site does, by language.
//!
//! Abbreviated counts are truncated, never rounded up: 2,989,906 is `2.9M`.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    American,
    British,
    Korean,
    /// A language that the crawler does not support.
    Unknown,
}

impl Language {
    /// Selects a language by the client's `hl` and `gl`; the default is American English.
    pub(super) fn of(hl: &str, gl: &str) -> Self {
        match (hl, gl) {
            ("ko", _) => Self::Korean,
            ("en-GB", _) | ("en", "GB") => Self::British,
            _ => Self::American,
        }
    }

    pub(super) fn exact_views(self, views: u64) -> String {
        match (self, views) {
            (Self::American | Self::British, 0) => "No views".to_owned(),
            (Self::American | Self::British, 1) => "1 view".to_owned(),
            (Self::American | Self::British, _) => format!("{} views", grouped(views)),
            (Self::Korean, 0) => "조회수 없음".to_owned(),
            (Self::Korean, _) => format!("조회수 {}회", grouped(views)),
            (Self::Unknown, _) => unknown_count(views),
        }
    }

    pub(super) fn short_views(self, views: u64) -> String {
        match self {
            Self::American | Self::British if views > 1 => format!("{} views", self.short(views, 2)),
            Self::Korean if views > 0 => format!("조회수 {}회", self.short(views, 2)),
            _ => self.exact_views(views),
        }
    }

    pub(super) fn subscribers(self, count: u64) -> String {
        match self {
            Self::American | Self::British if count == 1 => "1 subscriber".to_owned(),
            Self::American | Self::British => format!("{} subscribers", self.short(count, 3)),
            Self::Korean => format!("구독자 {}명", self.short(count, 3).replace(',', "")),
            Self::Unknown => unknown_count(count),
        }
    }

    pub(super) fn videos(self, count: usize) -> String {
        match self {
            Self::Korean => format!("동영상 {count}개"),
            _ if count == 1 => "1 video".to_owned(),
            _ => format!("{} videos", grouped(count as u64)),
        }
    }

    /// Formats an age in the largest unit that fits; days up to two weeks.
    pub(super) fn age(self, seconds: u64) -> String {
        const UNITS: [(u64, u64, &str, &str); 6] = [
            (365 * 86_400, 365 * 86_400, "year", "년"),
            (30 * 86_400, 30 * 86_400, "month", "개월"),
            (14 * 86_400, 7 * 86_400, "week", "주"),
            (86_400, 86_400, "day", "일"),
            (3_600, 3_600, "hour", "시간"),
            (0, 60, "minute", "분"),
        ];
        let (_, unit, english, korean) =
            UNITS.into_iter().find(|(least, ..)| seconds >= *least).expect("the last one takes all");
        match (self, seconds / unit) {
            (Self::Korean, count) => format!("{count}{korean} 전"),
            (_, 1) => format!("1 {english} ago"),
            (_, count) => format!("{count} {english}s ago"),
        }
    }

    /// Abbreviates a count to its largest unit, with at most `digits` digits.
    fn short(self, count: u64, digits: usize) -> String {
        let units: &[(u64, &str)] = match self {
            Self::British => &[(1_000_000_000, "bn"), (1_000_000, "m"), (1_000, "k")],
            Self::Korean => &[(100_000_000, "억"), (10_000, "만"), (1_000, "천")],
            _ => &[(1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")],
        };
        let Some(&(unit, name)) = units.iter().find(|(unit, _)| count >= *unit) else {
            return count.to_string();
        };
        let whole = grouped(count / unit);
        let decimal_places = digits.saturating_sub((count / unit).to_string().len());
        let scale = 10_u64.pow(u32::try_from(decimal_places).expect("few digits"));
        let decimals = format!("{:0decimal_places$}", count % unit * scale / unit);
        match decimals.trim_end_matches('0') {
            "" => format!("{whole}{name}"),
            decimals => format!("{whole}.{decimals}{name}"),
        }
    }
}

/// Truncates to three significant digits, as the Data API does for subscribers.
pub(super) fn three_digits(count: u64) -> u64 {
    let places = count.to_string().len().saturating_sub(3);
    let unit = 10_u64.pow(u32::try_from(places).expect("at most 20 digits"));
    count / unit * unit
}

fn unknown_count(count: u64) -> String {
    format!("{} लाख बार देखा गया", count / 100_000)
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1:07:34`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `PT1H7M34S` (ISO 8601).
pub(super) fn iso_duration(seconds: u64) -> String {
    let parts = [(seconds / 3600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    format!("PT{}", if text.is_empty() { "0S" } else { &text })
}

/// `1 hour, 7 minutes, 34 seconds`.
pub(super) fn spelled_out_duration(seconds: u64) -> String {
    let parts = [(seconds / 3600, "hour"), (seconds / 60 % 60, "minute"), (seconds % 60, "second")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_truncated_in_every_language() {
        let check = |language: Language, count, expected: &str| {
            assert_eq!(language.short_views(count), expected);
        };
        check(Language::American, 2_989_906, "2.9M views");
        check(Language::American, 1_099, "1K views");
        check(Language::American, 25_999_999, "25M views");
        check(Language::American, 253_999, "253K views");
        check(Language::American, 1_280_000_000, "1.2B views");
        check(Language::American, 28, "28 views");
        check(Language::American, 1, "1 view");
        check(Language::American, 0, "No views");
        check(Language::British, 1_545_374, "1.5m views");
        check(Language::British, 9_700_000_000, "9.7bn views");
        check(Language::Korean, 170_000_000, "조회수 1.7억회");
        check(Language::Korean, 92_539_999, "조회수 9,253만회");
        check(Language::Korean, 7_345, "조회수 7.3천회");
        assert_eq!(Language::British.subscribers(8_849), "8.84k subscribers");
        assert_eq!(Language::American.subscribers(24_690_000), "24.6M subscribers");
        assert_eq!(Language::Korean.subscribers(10_909_999), "구독자 1090만명");
        assert_eq!(Language::American.exact_views(1_545_374), "1,545,374 views");
        assert_eq!([three_digits(8_849), three_digits(999), three_digits(0)], [8_840, 999, 0]);
    }

    #[test]
    fn ages_and_durations_are_formatted_as_on_the_site() {
        let day = 86_400;
        let check = |seconds, expected: &str| assert_eq!(Language::American.age(seconds), expected);
        check(13 * day, "13 days ago");
        check(14 * day, "2 weeks ago");
        check(31 * day, "1 month ago");
        check(800 * day, "2 years ago");
        check(3_600, "1 hour ago");
        assert_eq!(clock(4_054), "1:07:34");
        assert_eq!(clock(183), "3:03");
        assert_eq!(iso_duration(4_054), "PT1H7M34S");
        assert_eq!(iso_duration(0), "PT0S");
        assert_eq!(spelled_out_duration(3_661), "1 hour, 1 minute, 1 second");
    }
}
