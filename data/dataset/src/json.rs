//! JSON as Python writes it: `NaN` and `Infinity` stand for missing values.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Parses one line. The error has the column in it, but not the line.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    parse_with(text, |text| serde_json::from_str(text))
}

/// Parses one line with `parse`.
pub(crate) fn parse_with<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, serde_json::Error>,
) -> Result<T, String> {
    parse(text)
        .or_else(|error| match with_nulls(text) {
            Cow::Borrowed(_) => Err(error),
            Cow::Owned(text) => parse(&text),
        })
        .map_err(|error| of_line(&error))
}

/// Replaces escaped halves of UTF-16 surrogate pairs, which a text that was cut off within an emoji ends with, by
/// U+FFFD.
pub(crate) fn with_whole_characters(text: &str) -> Cow<'_, str> {
    let unit_at = |at: usize| -> Option<u16> {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut result = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        let is_pair = |low: u16| (0xdc00..0xe000).contains(&low);
        at += match unit_at(at) {
            Some(0xd800..0xdc00) if unit_at(at + 6).is_some_and(is_pair) => 12,
            Some(0xd800..0xe000) => {
                result.push_str(&text[copied..at]);
                result.push('\u{fffd}');
                copied = at + 6;
                6
            }
            Some(_) => 6,
            // An escape such as \\ or \": the next character belongs to it.
            None => text[at + 1..].chars().next().map_or(1, |next| 1 + next.len_utf8()),
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    result.push_str(&text[copied..]);
    Cow::Owned(result)
}

/// Describes an error within a line, whose number the location of the row already has.
fn of_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((problem, _)) => format!("{problem} at column {}", error.column()),
        None => text,
    }
}

/// Replaces each `NaN` and `Infinity` outside of strings by `null`.
fn with_nulls(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    let mut result = String::new();
    let mut rest = text;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(character) = rest.chars().next() {
        if !in_string && let Some(word) = WORDS.iter().find(|word| rest.starts_with(**word)) {
            result += "null";
            rest = &rest[word.len()..];
            continue;
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        result.push(character);
        rest = &rest[character.len_utf8()..];
    }
    if result == text { Cow::Borrowed(text) } else { Cow::Owned(result) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_halves_of_surrogate_pairs_are_replaced() {
        let check = |text: &str, want: &str| assert_eq!(with_whole_characters(text), want);
        check(r#""a\ud83d\ude00b""#, r#""a\ud83d\ude00b""#);
        check(r#""a\ud83d""#, "\"a\u{fffd}\"");
        check(r#""a\ud83dx\ude00\ud83d\n""#, "\"a\u{fffd}x\u{fffd}\u{fffd}\\n\"");
        check(r#""a\\ud83d여""#, r#""a\\ud83d여""#);
        check(r#""\u00e9"#, r#""\u00e9"#);
        check("\\", "\\");
    }

    #[test]
    fn only_words_outside_of_strings_are_missing_values() {
        let check = |text: &str, want: Option<Value>| assert_eq!(parse(text).ok(), want, "{text}");
        check(r#"{"a":NaN,"b":[-Infinity,Infinity]}"#, Some(json!({"a": null, "b": [null, null]})));
        check(r#"{"a":NaN,"b":"NaN \" NaN \\"}"#, Some(json!({"a": null, "b": "NaN \" NaN \\"})));
        check(r#"{"a":"여NaN행"}"#, Some(json!({"a": "여NaN행"})));
        check(r#"{"a":NaNa}"#, None);
        check(r#"{"a":NaN"#, None);
        assert_eq!(parse::<Value>("{").unwrap_err(), "EOF while parsing an object at column 1");
    }
}
