//! JSON as Python writes it: `NaN` and `Infinity` stand for missing values.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Parses one line. The error has the column in it, but not the line.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text)
        .or_else(|error| match with_nulls(text) {
            Cow::Borrowed(_) => Err(error),
            Cow::Owned(text) => serde_json::from_str(&text),
        })
        .map_err(|error| of_line(&error))
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
