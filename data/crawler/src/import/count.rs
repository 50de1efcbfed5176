//! Counts in tables: numbers in the formats of programs and spreadsheets, and counts as YouTube shows them.

use std::fmt::Display;

use serde_json::Value;

use super::columns;
use crate::youtube::counts::Count;

/// Largest integer up to which every one is an f64.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// Separators of groups of digits: commas, apostrophes, spaces (also U+00A0, U+2009 and U+202F), underscores.
const SEPARATORS: [char; 8] = [',', '\'', '’', ' ', '\u{a0}', '\u{2009}', '\u{202f}', '_'];

/// Parses a number, or a count as YouTube shows it with `shown`.
pub(super) fn read<E: Display>(
    noun: &str,
    value: &Value,
    shown: fn(&str) -> Result<Count, E>,
) -> Result<Count, String> {
    let text = columns::text(value).map_err(|error| format!("{noun}: {error}"))?;
    if let Some(count) = number(&text) {
        return Ok(count);
    }
    shown(&text).or_else(|error| shown(&format!("{text} {noun}")).map_err(|_| format!("{noun}: {error}")))
}

fn number(text: &str) -> Option<Count> {
    // Programs write integers as floats if the column has missing values.
    let whole = match text.split_once('.') {
        Some((whole, "0" | "00")) => whole,
        _ => text,
    };
    if let Some(value) = digits(whole).or_else(|| grouped(whole)) {
        return Some(Count::exact(value));
    }
    scientific(text)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Parses `1,234,567`, `1 234 567` and `1.234.567`, but not `1.234`, which may be a fraction; and the Indian
/// `12,34,567`.
fn grouped(text: &str) -> Option<u64> {
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    let groups: Vec<&str> = text.split(separator).collect();
    let (first, last) = (groups.first()?, groups.last()?);
    let inner = &groups[1..groups.len() - 1];
    let are_digits =
        groups.iter().all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    let is_known = SEPARATORS.contains(&separator) || separator == '.' && groups.len() > 2;
    let by_three = first.len() <= 3 && inner.iter().all(|group| group.len() == 3);
    let indian = separator == ',' && first.len() <= 2 && inner.iter().all(|group| group.len() == 2);
    let is_valid =
        are_digits && is_known && last.len() == 3 && (by_three || indian) && !first.starts_with('0');
    is_valid.then(|| digits(&groups.concat()))?
}

/// Parses `1.23E+05`, as spreadsheets show large numbers. The digits after those shown are lost.
fn scientific(text: &str) -> Option<Count> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let value =
        text.parse::<f64>().ok().filter(|value| (0.0..=MAX_EXACT).contains(value) && value.fract() == 0.0)?;
    let zeros = exponent.parse::<u32>().ok()?.checked_sub(u32::try_from(fraction).ok()?)?;
    Some(Count { value: value as u64, approximate: zeros > 0, step: 10_u64.checked_pow(zeros)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_numbers_or_as_shown() {
        let check = |value: Value, expected: Option<(u64, bool)>| {
            let found = read("views", &value, Count::parse_views);
            assert_eq!(
                found.clone().ok().map(|count| (count.value, count.approximate)),
                expected,
                "{value} {found:?}"
            );
        };
        let text = |text: &str, expected| check(Value::from(text), expected);
        for exact in [
            "2989906",
            "2,989,906",
            "2 989 906",
            "2\u{a0}989\u{a0}906",
            "2\u{202f}989\u{202f}906",
            "2.989.906",
            "2'989'906",
            "29,89,906",
            "2989906.0",
            "2,989,906.00",
            "\u{a0}2989906\u{a0}",
            "2,989,906 views",
        ] {
            text(exact, Some((2_989_906, false)));
        }
        text("0", Some((0, false)));
        text("1,234", Some((1_234, false)));
        text("1.1M", Some((1_100_000, true)));
        text("조회수 1.7억회", Some((170_000_000, true)));
        text("1.23E+05", Some((123_000, true)));
        text("1.23e2", Some((123, false)));
        for unknown in [
            "1.234",
            "2.000",
            "1,23",
            "12,345,67",
            "-3",
            "+3",
            "1.5",
            "many",
            "1e400",
            "1e-3",
            "0,123",
            "1,,234",
            "",
        ] {
            text(unknown, None);
        }
        check(Value::from(17), Some((17, false)));
        check(Value::from(17.0), Some((17, false)));
        check(Value::from(1e6), Some((1_000_000, false)));
        check(Value::from(1.5), None);
        check(Value::from(true), None);
    }
}
