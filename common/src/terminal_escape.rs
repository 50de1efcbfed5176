//! Text from outside, made harmless before people see it.
//!
//! Owns which characters steer a terminal or the order in which text is read, and one way to show them.
//! Escapes move the cursor, rename windows or answer for the user; a line's end forges a line of its own;
//! overrides of direction show `gpj.exe` as something else.

use std::fmt::{self, Write};

/// Whether a character is_control_or_bidi what shows it instead of being shown: C0 and C1 controls, separators of lines
/// and paragraphs, and what changes the direction of text (Unicode standard annex 9).
#[must_use]
pub fn is_control_or_bidi(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes what passes through with such characters as Rust's escapes, such as `\u{1b}` and `\n`.
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

/// Returns text with such characters as Rust's escapes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaping = EscapingWriter(String::with_capacity(text.len()));
    escaping.write_str(text).expect("a string takes all text");
    escaping.0
}

/// Returns JSON that means the same, with such characters as JSON's escapes: serde_json leaves those above
/// 0x1f as they are. They can stand in strings only, but for the ends of lines between values, which stay.
#[must_use]
pub fn escaped_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_control_or_bidi(character) && character != '\n' {
            // None of them is above the basic plane, so one unit is enough.
            write!(escaped, "\\u{:04x}", character as u32).expect("a string takes all text");
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
    fn what_steers_is_escaped_and_the_rest_is_left() {
        let check = |text: &str, want: &str| assert_eq!(escaped(text), want);
        check("title – 제목 🎉", "title – 제목 🎉");
        check("a\nb\r\tc", r"a\nb\r\tc");
        check("\x1b[2J\x07\x7f", r"\u{1b}[2J\u{7}\u{7f}");
        check("\u{9b}31m\u{85}", r"\u{9b}31m\u{85}");
        check("a\u{202e}gpj.exe\u{2066}\u{2028}", r"a\u{202e}gpj.exe\u{2066}\u{2028}");
        check("\n", r"\n");
    }

    #[test]
    fn escaped_json_means_the_same() {
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
