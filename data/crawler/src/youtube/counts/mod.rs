//! Parses counts as YouTube shows them: `1.1K views`, `조회수 1.7억회`, `1,7 Mio. Aufrufe`.
//!
//! The formats of each language are in `languages`. Invariants: a text is parsed completely and in one way only. The
//! affixes determine the language, and the language its decimal point and group separators, so neither is guessed:
//!
//! - With a unit (`K`, `만`, `Mio.`), one or two digits follow the decimal point. The number before the unit is at
//!   least 1 and less than the next unit: YouTube does not show `1234K` or `0.5M`.
//! - Without a unit, a decimal point is an error.
//! - Groups have exactly three digits, the first one to three, and one kind of separator.
//! - A text without digits is an error, except for the language's text for zero (`No views`).

mod languages;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::languages::{CountFormat, LANGUAGES, Language, Unit};

/// Length at which a text in an error message is truncated, in characters.
const MAX_QUOTE_CHARS: usize = 80;

/// A number of views or subscribers, with the precision shown.
///
/// YouTube truncates: 2,989,906 is shown as `2.9M`. The true number is in `value..value + step`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Count {
    /// The number shown; at most the true one.
    pub value: u64,
    /// Whether the number is abbreviated or rounded.
    pub approximate: bool,
    /// Value of one unit in the last digit shown; 1 if exact. An upper bound: `6M` may stand for `6.0M`, whose zero
    /// is not shown.
    pub step: u64,
}

impl Count {
    #[must_use]
    pub const fn exact(value: u64) -> Self {
        Self { value, approximate: false, step: 1 }
    }

    /// A count of which only three significant digits are known, as for subscribers since 2019. Below 1,000 it is
    /// exact.
    #[must_use]
    pub fn rounded_to_three_digits(value: u64) -> Self {
        let step = 10_u64.pow(value.checked_ilog10().unwrap_or(0).saturating_sub(2));
        Self { value, approximate: step > 1, step }
    }

    /// Parses a number of views.
    pub fn parse_views(text: &str) -> Result<Self, CountError> {
        read(text, "views", |language| &language.views)
    }

    /// Parses a number of subscribers.
    pub fn parse_subscribers(text: &str) -> Result<Self, CountError> {
        read(text, "subscribers", |language| &language.subscribers)
    }

    /// The largest possible true number.
    #[must_use]
    pub const fn at_most(&self) -> u64 {
        self.value.saturating_add(self.step - 1)
    }
}

/// A text in an unknown format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("“{text}” is not a known format of {noun}")]
pub struct CountError {
    /// Truncated to 80 characters.
    pub text: String,
    /// `views` or `subscribers`.
    pub noun: &'static str,
}

fn read(text: &str, noun: &'static str, format: fn(&Language) -> &CountFormat) -> Result<Count, CountError> {
    let plain = plain(text);
    LANGUAGES
        .iter()
        .find_map(|language| read_in(plain.trim(), language, format(language)))
        .ok_or_else(|| CountError { text: text.chars().take(MAX_QUOTE_CHARS).collect(), noun })
}

/// Removes direction marks and normalises every space.
fn plain(text: &str) -> String {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{feff}'];
    let is_mark =
        |c: char| marks.contains(&c) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !is_mark(*c)).map(|c| if c.is_whitespace() { ' ' } else { c }).collect()
}

fn read_in(text: &str, language: &Language, format: &CountFormat) -> Option<Count> {
    if format.zero.contains(&text) {
        return Some(Count::exact(0));
    }
    let number = |(before, after): &(&str, &str)| text.strip_prefix(before)?.strip_suffix(after);
    format.affixes.iter().filter_map(number).find_map(|number| read_number(number.trim(), language))
}

fn read_number(text: &str, language: &Language) -> Option<Count> {
    let unit = language.units.iter().find_map(|unit| Some((text.strip_suffix(unit.name)?, unit)));
    let Some((number, unit)) = unit else { return read_whole(text, language).map(Count::exact) };
    let (whole, fraction) = match number.trim_end().split_once(language.decimal) {
        Some((whole, fraction)) => (whole, read_fraction(fraction)?),
        None => (number.trim_end(), (0, 1)),
    };
    abbreviated(read_whole(whole, language)?, fraction, unit)
}

/// Returns `whole + digits / parts` units.
fn abbreviated(whole: u64, (digits, parts): (u64, u64), unit: &Unit) -> Option<Count> {
    if !(1..unit.below).contains(&whole) {
        return None;
    }
    let step = unit.scale / parts;
    Some(Count { value: whole * unit.scale + digits * step, approximate: true, step })
}

/// Parses one or two decimals: the digits, and 10 or 100.
fn read_fraction(text: &str) -> Option<(u64, u64)> {
    let parts = match text.len() {
        1 => 10,
        2 => 100,
        _ => return None,
    };
    Some((read_digits(text)?, parts))
}

fn read_whole(text: &str, language: &Language) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    if text.starts_with('0') {
        return None;
    }
    let Some(separator) = text.chars().find(|c| language.groups.contains(c)) else {
        return read_digits(text);
    };
    let mut groups = text.split(separator);
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    groups.try_fold(read_digits(first)?, |value, group| {
        let group = read_digits(group).filter(|_| group.len() == 3)?;
        value.checked_mul(1000)?.checked_add(group)
    })
}

fn read_digits(text: &str) -> Option<u64> {
    // `parse` alone would accept a leading `+`.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
