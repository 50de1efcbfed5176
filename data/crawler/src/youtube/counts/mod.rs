//! Counts as YouTube shows them: `1.1K views`, `조회수 1.7억회`, `1,7 Mio. Aufrufe`.
//!
//! Owns how such a text becomes a number; which words there are is in `languages`. Invariants: a text is
//! read whole or not at all, and in one way only. The noun tells the language, and the language tells which
//! sign is its decimal point and which separates groups, so neither is ever guessed:
//!
//! - Behind a unit (`K`, `만`, `Mio.`), the decimal point is followed by one or two digits. The number
//!   before the unit is from 1 to below the next unit: nobody shows `1234K` or `0.5M`.
//! - Without a unit there is no decimal point.
//! - Groups have exactly three digits, the first of them one to three, and one kind of separator.
//! - No digits are no count, and no count is not zero: only the words for it (`No views`) or `0` are.

mod languages;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::languages::{LANGUAGES, Language, Noun, Unit};

/// Longest part of a text that an error repeats.
const LONGEST_QUOTE: usize = 80;

/// A number of views or subscribers, as exact as it was shown.
///
/// YouTube truncates: 2,989,906 is shown as `2.9M`. The true number lies in `value..value + step`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Count {
    /// The number shown; at most the true one.
    pub value: u64,
    /// Whether it was abbreviated or rounded.
    pub approximate: bool,
    /// What one more in the last digit shown would be; 1 where it is exact. `6M` may stand for `6.0M`, whose
    /// zero is not shown, so this is never too small but may be too large.
    pub step: u64,
}

impl Count {
    /// Makes a count that is known exactly.
    #[must_use]
    pub const fn exact(value: u64) -> Self {
        Self { value, approximate: false, step: 1 }
    }

    /// Makes a count of which only the first three digits are known, as subscribers are counted since 2019.
    /// Below a thousand it is exact.
    #[must_use]
    pub fn rounded_to_three_digits(value: u64) -> Self {
        let step = 10_u64.pow(value.checked_ilog10().unwrap_or(0).saturating_sub(2));
        Self { value, approximate: step > 1, step }
    }

    /// Reads a text that counts views.
    ///
    /// # Errors
    /// When it does not, or in words that are not known.
    pub fn of_views(text: &str) -> Result<Self, CountError> {
        read(text, "views", |language| &language.views)
    }

    /// Reads a text that counts subscribers.
    ///
    /// # Errors
    /// When it does not, or in words that are not known.
    pub fn of_subscribers(text: &str) -> Result<Self, CountError> {
        read(text, "subscribers", |language| &language.subscribers)
    }

    /// Returns the largest number that it may stand for.
    #[must_use]
    pub const fn at_most(&self) -> u64 {
        self.value.saturating_add(self.step - 1)
    }
}

/// A text that is no count, or one in a format that is not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("“{text}” is no number of {what} in a format that is known")]
pub struct CountError {
    /// The text, shortened.
    pub text: String,
    /// What it should have counted.
    pub what: &'static str,
}

fn read(text: &str, what: &'static str, noun: fn(&Language) -> &Noun) -> Result<Count, CountError> {
    let plain = plain(text);
    LANGUAGES
        .iter()
        .find_map(|language| read_in(plain.trim(), language, noun(language)))
        .ok_or_else(|| CountError { text: text.chars().take(LONGEST_QUOTE).collect(), what })
}

/// Drops the marks that only steer the direction of writing and makes every space an ordinary one.
fn plain(text: &str) -> String {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{feff}'];
    let is_mark =
        |c: char| marks.contains(&c) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !is_mark(*c)).map(|c| if c.is_whitespace() { ' ' } else { c }).collect()
}

fn read_in(text: &str, language: &Language, noun: &Noun) -> Option<Count> {
    if noun.none.contains(&text) {
        return Some(Count::exact(0));
    }
    let number = |(before, after): &(&str, &str)| text.strip_prefix(before)?.strip_suffix(after);
    noun.around.iter().filter_map(number).find_map(|number| read_number(number.trim(), language))
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

/// Puts together `whole + digits / parts` units.
fn abbreviated(whole: u64, (digits, parts): (u64, u64), unit: &Unit) -> Option<Count> {
    if !(1..unit.below).contains(&whole) {
        return None;
    }
    let step = unit.scale / parts;
    Some(Count { value: whole * unit.scale + digits * step, approximate: true, step })
}

/// Reads one or two decimals: the digits and of how many parts they are.
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
    // `parse` would take a sign as well.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
