//! Escaping of untrusted text before it is printed or logged.
//!
//! Owns the set of dangerous characters. Terminal escapes can move the cursor, rename windows or type for the
//! user; a line break forges a line; bidi overrides disguise text: `gpj.exe` can look like `exe.jpg`.

use std::fmt::{self, Write};

/// Whether a character is a C0 or C1 control, a line or paragraph separator, or one of the characters with the property
/// `Bidi_Control` (Unicode Standard Annex 9).
#[must_use]
pub fn is_control_or_bidi(character: char) -> bool {
    let is_bidi = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_bidi || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// A writer that replaces control and bidi characters with Rust escapes such as `\u{1b}` and `\n`.
pub struct EscapingWriter<W>(pub W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, character)) =
            rest.char_indices().find(|(_, character)| is_control_or_bidi(*character))
        {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", character.escape_default())?;
            rest = &rest[at + character.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Replaces control and bidi characters with Rust escapes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut writer = EscapingWriter(String::with_capacity(text.len()));
    writer.write_str(text).expect("writing to a string cannot fail");
    writer.0
}

/// Replaces control and bidi characters in JSON with JSON escapes: serde_json escapes only those up to 0x1f.
/// Such characters occur only inside strings, except for line breaks between values, which stay.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_control_or_bidi(character) && character != '\n' {
            // All of them are in the basic multilingual plane, so one UTF-16 unit is enough.
            write!(escaped, "\\u{:04x}", character as u32).expect("writing to a string cannot fail");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_escaped() {
        let check = |text: &str, want: &str| assert_eq!(escaped(text), want);
        check("title – 제목 🎉", "title – 제목 🎉");
        check("a\nb\r\tc", r"a\nb\r\tc");
        check("\x1b[2J\x07\x7f", r"\u{1b}[2J\u{7}\u{7f}");
        check("\u{9b}31m\u{85}", r"\u{9b}31m\u{85}");
        check("a\u{202e}gpj.exe\u{2066}\u{2028}", r"a\u{202e}gpj.exe\u{2066}\u{2028}");
        check("a\u{200e}b\u{200f}c\u{61c}d", r"a\u{200e}b\u{200f}c\u{61c}d");
        check("\n", r"\n");
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let text = "a\x1b\n\u{9b}\u{7f}\u{202e}é";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = escaped_json(&json);
        assert!(
            !escaped.chars().any(|character| is_control_or_bidi(character) && character != '\n'),
            "{escaped}"
        );
        assert_eq!(serde_json::from_str::<[String; 1]>(&escaped).unwrap(), [text]);
    }
}
