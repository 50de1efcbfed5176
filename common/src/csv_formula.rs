//! Text that spreadsheets would run as a formula, in CSV.
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab, a carriage return or a line feed, and is not a number, is written
//! with an apostrophe before it, as OWASP recommends (CSV Injection). So is one that begins with apostrophes and then
//! such a text, which makes the way back unambiguous. Numbers, such as `-0.458`, stay as they are.

use std::borrow::Cow;

/// Adds an apostrophe to a text that a spreadsheet would run.
#[must_use]
pub fn defused(text: &str) -> Cow<'_, str> {
    if is_formula(text.trim_start_matches('\'')) { format!("'{text}").into() } else { text.into() }
}

/// Removes the apostrophe that [`defused`] adds.
#[must_use]
pub fn original(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if is_formula(rest.trim_start_matches('\'')) => rest,
        _ => text,
    }
}

fn is_formula(text: &str) -> bool {
    // The full-width forms are operators in Japanese and Chinese spreadsheets.
    const STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    text.starts_with(STARTS) && text.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_are_defused_and_numbers_are_not() {
        let check = |text: &str, want: &str| assert_eq!(defused(text), want);
        for formula in [
            "=1+1",
            "+A1",
            "-A1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "＝1",
            "-",
            "-1-1",
            "=HYPERLINK(\"x\")",
        ] {
            check(formula, &format!("'{formula}"));
        }
        for plain in
            ["", "a=1", "-0.458", "+1", "-1e-9", "1", "a.jpg", "'a", "'-0.458", " x", "thumbnails/-a.jpg"]
        {
            check(plain, plain);
        }
        check("'=1", "''=1");
        check("-inf", "-inf");
    }

    proptest! {
        #[test]
        fn original_undoes_defused(text in "['=+@\t\r\n 0-9.a-]{0,8}") {
            let written = defused(&text);
            prop_assert_eq!(original(&written), &text);
        }
    }
}
