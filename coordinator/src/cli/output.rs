//! Output of commands: tables, or JSON for programs.
//!
//! Owns all writes of the command line to standard output and standard error. Invariant: control and
//! bidirectional characters never reach a terminal unescaped.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    time::{Duration, UNIX_EPOCH},
};

use clap::ValueEnum;
use common::{
    csv_formula,
    terminal_escape::{escaped_json, is_control_or_bidi},
};
use serde::Serialize;

use super::exit::CliError;

/// Format of the data on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// Text and tables.
    Table,
    /// Indented JSON.
    Json,
    /// JSON Lines: one value per line.
    Jsonl,
    /// CSV: `predict`, `runs` and `export`.
    Csv,
}

/// Prints text and a newline.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(format!("{}\n", plain_lines(text)).as_bytes())
}

/// Prints bytes without escaping them.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = stdout().lock();
    // A reader such as `head` may close the pipe early, which is not an error.
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn print_json(format: Format, value: &impl Serialize) -> Result<(), CliError> {
    let text = match format {
        Format::Jsonl => serde_json::to_string(value),
        Format::Table | Format::Json | Format::Csv => serde_json::to_string_pretty(value),
    };
    print_bytes(format!("{}\n", escaped_json(&text.expect("a view is plain data"))).as_bytes())
}

/// Prints one value: as text, or as JSON.
pub(super) fn print_value<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table | Format::Csv => print(&text(value)),
        Format::Json | Format::Jsonl => print_json(format, value),
    }
}

/// Prints values: as text, as a JSON array, or one per line.
pub(super) fn print_values<T: Serialize>(
    format: Format,
    values: &[T],
    text: impl FnOnce(&[T]) -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table | Format::Csv => print(&text(values)),
        Format::Json => print_json(format, &values),
        Format::Jsonl => values.iter().try_for_each(|value| print_json(format, value)),
    }
}

/// Formats rows, which are structs of plain fields, as CSV (RFC 4180); the header has the names of the fields. Texts
/// that a spreadsheet would run as a formula are defused (see [`csv_formula`]).
pub(super) fn csv(rows: &[impl Serialize], header: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("a row is plain data");
    }
    let written = writer.into_inner().expect("writing to memory cannot fail");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(written.as_slice());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in reader.records() {
        let record = record.expect("the CSV was just written");
        let cells = record.iter().map(|cell| csv_formula::defused(cell).into_owned());
        writer.write_record(cells).expect("writing to memory cannot fail");
    }
    writer.into_inner().expect("writing to memory cannot fail")
}

/// Prints rows as CSV. A file or another program receives control characters unchanged, a terminal does not.
pub(super) fn print_csv(rows: &[impl Serialize], header: bool) -> Result<(), CliError> {
    let bytes = csv(rows, header);
    if stdout().is_terminal() {
        return print_bytes(plain_lines(&String::from_utf8_lossy(&bytes)).as_bytes());
    }
    print_bytes(&bytes)
}

/// Prints a note to standard error.
pub(super) fn note(text: &str) {
    // If standard error is closed, there is nowhere left to report it.
    let _ = writeln!(stderr().lock(), "{}", plain_lines(text));
}

/// Prints the error that ends a command.
pub(super) fn print_error(text: &str) {
    note(&format!("subwatch: {}", plain(text)));
}

/// Formats a number with about four significant digits and separators between thousands.
pub(super) fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !size.is_finite() {
        return "–".to_owned();
    }
    if size >= 1e15 {
        return format!("{value:.3e}");
    }
    if size >= 1000.0 {
        let whole = format!("{size:.0}");
        let mut grouped = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        return if value < 0.0 { format!("-{grouped}") } else { grouped };
    }
    let decimals = if size >= 100.0 {
        1
    } else if size >= 10.0 {
        2
    } else if size >= 1.0 {
        3
    } else {
        4
    };
    format!("{value:.decimals$}")
}

/// A count and its noun, in the plural unless the count is one.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// Formats milliseconds since the Unix epoch as an RFC 3339 time.
pub(super) fn time_text(unix_ms: u64) -> String {
    // 9999-12-31T23:59:59Z, the last second that can be formatted; a worker may report any time.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms).min(LAST)).to_string()
}

/// Returns the JSON string of an enum value such as a state.
pub(super) fn json_name(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a view is plain data");
    value.as_str().unwrap_or_default().to_owned()
}

/// Makes untrusted text safe to print within a line: control and bidirectional characters are replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_control_or_bidi(c) { '\u{fffd}' } else { c }).collect()
}

/// Like [`plain`], but keeps newlines. Applied to all text as a second line of defence.
fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if is_control_or_bidi(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        for (value, expected) in [
            (0.012_345, "0.0123"),
            (1.234_56, "1.235"),
            (98.765_4, "98.77"),
            (345.67, "345.7"),
            (1_234_567.8, "1,234,568"),
            (-1500.0, "-1,500"),
            (0.0, "0"),
            (-1.234_56e240, "-1.235e240"),
            (f64::INFINITY, "–"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(digits(value), expected);
        }
    }

    #[test]
    fn csv_has_no_formulas() {
        #[derive(Serialize)]
        struct Row<'a> {
            item: &'a str,
            value: f64,
        }
        let rows = [
            Row { item: "=cmd|' /C calc'!A0", value: -0.458 },
            Row { item: "\t@SUM(1)", value: 1.5 },
            Row { item: "a \"b\", c", value: 0.0 },
        ];
        let text = String::from_utf8(csv(&rows, true)).unwrap();
        assert_eq!(text, "item,value\n'=cmd|' /C calc'!A0,-0.458\n'\t@SUM(1),1.5\n\"a \"\"b\"\", c\",0.0\n");
        assert_eq!(csv(&[Row { item: "x", value: 1.0 }], false), b"x,1.0\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(plain("\u{9b}31m\u{202e}é"), "\u{fffd}31m\u{fffd}é");
        assert_eq!(plain_lines("a\x1b]0;x\x07\r\nb"), "a\u{fffd}]0;x\u{fffd}\u{fffd}\nb");
    }
}
