//! Reads tables: CSV with a header line, JSON Lines, and the JSON documents that pandas, downloaders and the YouTube
//! Data API write.
//!
//! `text` decodes a file (`file_kind` recognises binary files), `csv` and `json` split it into rows, `resource`
//! makes columns of the Data API's nested resources, `lines` counts lines, and `kinds` finds the types of a CSV column.
//! `row` is a row and its columns.
//! Does not own the meaning of columns. Invariants: every row is returned, with the line on which it begins; a row
//! that cannot be read is an error in its place.

mod csv;
mod file_kind;
mod json;
mod kinds;
mod lines;
mod resource;
mod row;
mod text;

use std::{collections::HashMap, sync::Arc};

use self::row::{Column, Rows, TableError, is_missing_word};
pub use self::text::{TextError, decode};
pub(crate) use self::{kinds::ColumnKind, lines::lines, row::TableRow};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableFormat {
    /// With a header line. The delimiter is found in it.
    Csv,
    /// The same, with a tab as the likeliest delimiter.
    Tsv,
    /// One JSON object per line.
    JsonLines,
    /// A JSON document, or JSON Lines.
    Json,
}

impl TableFormat {
    /// The format by file extension.
    #[must_use]
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

pub(crate) struct Table {
    /// The rows, each with its line.
    pub(crate) rows: Rows<TableRow>,
    /// The types of CSV columns by name; empty for JSON, whose values have types.
    pub(crate) kinds: HashMap<String, ColumnKind>,
}

/// Reads a table. `is_known` says which columns the caller looks for, by key.
///
/// # Errors
/// If no row can be read, such as without a header that has a known column.
pub(crate) fn read(
    text: &str,
    format: TableFormat,
    is_known: impl Fn(&str) -> bool,
) -> Result<Table, TableError> {
    match format {
        TableFormat::Csv => read_csv(text, b',', is_known),
        TableFormat::Tsv => read_csv(text, b'\t', is_known),
        TableFormat::JsonLines | TableFormat::Json => {
            let rows = json::read(text, format == TableFormat::JsonLines, is_known)?;
            Ok(Table { rows, kinds: HashMap::new() })
        }
    }
}

fn read_csv(text: &str, preferred: u8, is_known: impl Fn(&str) -> bool) -> Result<Table, TableError> {
    let (columns, rows) = csv::read(text, preferred, &is_known)?;
    if !columns.iter().any(|column| is_known(&column.key)) {
        let line = lines(text).position(|line| !text[line].trim().is_empty()).unwrap_or_default() as u64 + 1;
        let problem = if text.trim_start().starts_with(['{', '[']) {
            "the file is JSON: name it .json or .jsonl".to_owned()
        } else {
            let names: Vec<&str> = columns.iter().take(8).map(|column| column.name.as_str()).collect();
            format!("no known column among {}", names.join(", "))
        };
        return Err(TableError { line, problem });
    }
    let columns: Vec<Arc<Column>> = columns.into_iter().map(Arc::new).collect();
    let mut kinds = HashMap::new();
    for (index, column) in columns.iter().enumerate() {
        let cells = rows.iter().filter_map(|(_, row)| row.as_ref().ok()).map(|cells| cells[index].trim());
        let cells = cells.filter(|cell| !cell.is_empty() && !is_missing_word(cell));
        kinds.insert(column.name.clone(), ColumnKind::of(cells));
    }
    let row = |cells: Vec<String>| TableRow::of_texts(&columns, cells);
    let rows = rows.into_iter().map(|(line, cells)| (line, cells.map(row))).collect();
    Ok(Table { rows, kinds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_chosen_by_file_extension() {
        let check = |name, format| assert_eq!(TableFormat::from_file_name(name), format, "{name}");
        check("a.CSV", Some(TableFormat::Csv));
        check("a.tsv", Some(TableFormat::Tsv));
        check("folder.csv/a.jsonl", Some(TableFormat::JsonLines));
        check("a.ndjson", Some(TableFormat::JsonLines));
        check("a.json", Some(TableFormat::Json));
        check("a.txt", None);
        check("csv", None);
    }

    #[test]
    fn words_for_missing_values_are_missing_in_csv_only() {
        let table = |text, format| read(text, format, |key| key == "id").unwrap().rows;
        let csv = table("id,n\nx,NA\n", TableFormat::Csv).remove(0).1.unwrap();
        assert_eq!((csv.first(&["n"]), csv.first_text(&["n"])), (None, Some(&"NA".into())));
        let json = table(r#"{"id":"x","n":"NA","m":null}"#, TableFormat::Json).remove(0).1.unwrap();
        assert_eq!((json.first(&["n"]), json.first_text(&["m"])), (Some(&"NA".into()), None));
    }
}
