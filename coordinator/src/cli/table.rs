//! Tables that fit the terminal.
//!
//! While a table is too wide, it loses its optional columns, in the order that the caller gives. If it is still too
//! wide, the cells of its longest column of text are wrapped. No text is cut off.

use std::{env, io::IsTerminal};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, presets};
use console::{Term, measure_text_width};

/// Width where none is known: in pipes and files.
const DEFAULT_WIDTH: u16 = 80;
/// A column is not wrapped to fewer characters than this.
const MIN_WRAPPED_WIDTH: usize = 20;

pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// Indexes of the columns that may be left out, first to go first.
    optional: Vec<usize>,
}

struct Column {
    heading: String,
    alignment: CellAlignment,
}

/// Returns an empty table. A heading that ends with `›` aligns its column to the right.
pub(super) fn table(headings: &[impl AsRef<str>]) -> Table {
    let column = |heading: &str| match heading.strip_suffix('›') {
        Some(heading) => Column { heading: heading.to_owned(), alignment: CellAlignment::Right },
        None => Column { heading: heading.to_owned(), alignment: CellAlignment::Left },
    };
    let columns = headings.iter().map(|heading| column(heading.as_ref())).collect();
    Table { columns, rows: Vec::new(), optional: Vec::new() }
}

impl Table {
    /// Names the columns that a narrow terminal can do without, the least important first.
    pub(super) fn optional(mut self, headings: &[&str]) -> Self {
        let index = |heading: &&str| {
            let found = self.columns.iter().position(|column| column.heading == *heading);
            found.expect("an optional column is a column of the table")
        };
        self.optional = headings.iter().map(index).collect();
        self
    }

    pub(super) fn add_row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Formats the table for the width of the terminal.
    pub(super) fn text(&self) -> String {
        self.text_for(terminal_width().into())
    }

    /// Formats the table for a terminal with `width` columns.
    pub(super) fn text_for(&self, width: usize) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        for optional in &self.optional {
            if self.width_of(&shown) <= width {
                break;
            }
            shown.retain(|column| column != optional);
        }
        self.format(&shown, width)
    }

    fn format(&self, shown: &[usize], width: usize) -> String {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
            .set_header(shown.iter().map(|column| &self.columns[*column].heading));
        for row in &self.rows {
            table.add_row(shown.iter().map(|column| &row[*column]));
        }
        let excess = self.width_of(shown).saturating_sub(width);
        let with_words = shown.iter().enumerate().filter(|(_, column)| self.has_words(**column));
        let widest = with_words.max_by_key(|(_, column)| self.content_width(**column));
        for (index, column) in shown.iter().enumerate() {
            if let Some(formatted) = table.column_mut(index) {
                formatted.set_cell_alignment(self.columns[*column].alignment);
            }
        }
        if let Some((index, column)) = widest.filter(|_| excess > 0) {
            let wrapped = self.content_width(*column).saturating_sub(excess).max(MIN_WRAPPED_WIDTH);
            table.set_content_arrangement(ContentArrangement::DynamicFullWidth);
            table.set_width((self.width_of(shown) - excess) as u16);
            for other in 0..shown.len() {
                let constraint = match other == index {
                    true => ColumnConstraint::Absolute(comfy_table::Width::Fixed((wrapped + 2) as u16)),
                    false => ColumnConstraint::ContentWidth,
                };
                if let Some(column) = table.column_mut(other) {
                    column.set_constraint(constraint);
                }
            }
        }
        table.trim_fmt()
    }

    /// The width of the table with these columns: each has a space on both sides, and one between columns.
    fn width_of(&self, shown: &[usize]) -> usize {
        let contents: usize = shown.iter().map(|column| self.content_width(*column) + 2).sum();
        contents + shown.len().saturating_sub(1)
    }

    /// Whether a column has text that can be wrapped; IDs and the like stay whole.
    fn has_words(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].contains(' '))
    }

    fn content_width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| measure_text_width(&row[column]));
        cells.chain([measure_text_width(&self.columns[column].heading)]).max().unwrap_or(0)
    }
}

/// The width of the terminal: `COLUMNS` if it is set, as tools that follow POSIX do.
fn terminal_width() -> u16 {
    if cfg!(test) {
        return DEFAULT_WIDTH;
    }
    #[expect(clippy::disallowed_methods, reason = "COLUMNS belongs to the terminal; it is not a setting")]
    let columns =
        env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    let terminal = || std::io::stdout().is_terminal().then(|| Term::stdout().size().1);
    columns.or_else(terminal).unwrap_or(DEFAULT_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = table(&["name", "size›", "made", "error"]).optional(&["made", "size"]);
        table.add_row(
            ["a.jpg", "1024", "yesterday", "the file has 0 bytes; replace it"].map(str::to_owned).into(),
        );
        table.add_row(["여행.jpg", "7", "today", "–"].map(str::to_owned).into());
        table
    }

    #[test]
    fn optional_columns_go_first_and_then_the_longest_is_wrapped() {
        for width in [64, 60, 48, 36] {
            let text = example().text_for(width);
            assert!(text.lines().all(|line| measure_text_width(line) <= width), "{width}:\n{text}");
        }
        insta::assert_snapshot!(example().text_for(64), @r"
        ────────────────────────────────────────────────────────────────
         name       size   made        error
        ════════════════════════════════════════════════════════════════
         a.jpg      1024   yesterday   the file has 0 bytes; replace it
         여행.jpg      7   today       –
        ────────────────────────────────────────────────────────────────
        ");
        insta::assert_snapshot!(example().text_for(36), @r"
        ────────────────────────────────────
         name       error
        ════════════════════════════════════
         a.jpg      the file has 0 bytes;
                    replace it
         여행.jpg   –
        ────────────────────────────────────
        ");
    }
}
