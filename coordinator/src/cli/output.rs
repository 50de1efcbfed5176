//! What commands print: tables for people, JSON for programs.
//!
//! Owns the only writes to standard output and standard error of the command line. Invariant: nothing that
//! it writes there as text is_control_or_bidi a terminal.

use std::{
    io::{Write, stderr, stdout},
    time::{Duration, UNIX_EPOCH},
};

use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, LineStyle, Table, presets};
use common::terminal_escape::{escaped_json, is_control_or_bidi};
use serde::Serialize;

use super::exit::CliError;

/// Form of the data on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One indented JSON value.
    Json,
    /// One JSON value a line.
    Jsonl,
}

/// Prints text and a line's end.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(format!("{}\n", lines(text)).as_bytes())
}

/// Prints bytes as they are.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = stdout().lock();
    // A reader that stopped reading, such as `head`, wants no more and no complaint.
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::failed(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints one value as JSON.
pub(super) fn print_json(format: Format, value: &impl Serialize) -> Result<(), CliError> {
    let text = match format {
        Format::Jsonl => serde_json::to_string(value),
        Format::Table | Format::Json => serde_json::to_string_pretty(value),
    };
    print_bytes(format!("{}\n", escaped_json(&text.expect("a view is plain data"))).as_bytes())
}

/// Prints one value: as text for people, as JSON for programs.
pub(super) fn print_value<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table => print(&text(value)),
        Format::Json | Format::Jsonl => print_json(format, value),
    }
}

/// Prints values: as one text for people, as one array, or one a line.
pub(super) fn print_values<T: Serialize>(
    format: Format,
    values: &[T],
    text: impl FnOnce(&[T]) -> String,
) -> Result<(), CliError> {
    match format {
        Format::Table => print(&text(values)),
        Format::Json => print_json(format, &values),
        Format::Jsonl => values.iter().try_for_each(|value| print_json(format, value)),
    }
}

/// Says something to a person.
pub(super) fn note(text: &str) {
    // Nothing can be done where even standard error is closed.
    let _ = writeln!(stderr().lock(), "{}", lines(text));
}

/// Says what went wrong, as the last word of a command.
pub(super) fn complain(text: &str) {
    note(&format!("subwatch: {}", plain(text)));
}

/// Makes an empty table with these headings; columns whose heading ends with `›` are aligned right.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header(headings.iter().map(|h| h.trim_end_matches('›')));
    for (at, heading) in headings.iter().enumerate() {
        if heading.ends_with('›')
            && let Some(column) = table.column_mut(at)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table's cell with a number that has about four significant digits.
pub(super) fn number(value: f64) -> Cell {
    Cell::new(digits(value))
}

/// About four significant digits, with thousands separated.
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
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
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

/// A point in time, given in milliseconds since the Unix epoch, as a person reads it.
pub(super) fn time_text(unix_ms: u64) -> String {
    // The last second that has four digits for its year; a worker may claim any.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms).min(LAST)).to_string()
}

/// The word that the API has for a value, such as a state.
pub(super) fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a view is plain data");
    value.as_str().unwrap_or_default().to_owned()
}

/// Text from outside as a person may see it within a line: what is_control_or_bidi a terminal is replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if is_control_or_bidi(c) { '\u{fffd}' } else { c }).collect()
}

/// Whole lines as a person may see them, whatever was forgotten on the way here.
fn lines(text: &str) -> String {
    text.chars().map(|c| if is_control_or_bidi(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        for (value, want) in [
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
            assert_eq!(digits(value), want);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(plain("\u{9b}31m\u{202e}é"), "\u{fffd}31m\u{fffd}é");
        assert_eq!(lines("a\x1b]0;x\x07\r\nb"), "a\u{fffd}]0;x\u{fffd}\u{fffd}\nb");
    }
}
