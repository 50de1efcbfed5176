//! Splits CSV into rows, as pandas does, with the line on which each begins.
//!
//! A cell may be quoted; a quote within it is doubled. Lines of spaces and rows of empty cells are left out. Two
//! things that pandas accepts are errors, because rows would be lost: a quote that is never closed, and one that
//! spans lines and is closed in the middle of a cell.

use common::csv_formula;

use super::{
    lines::{LineIndex, line_end},
    row::{Column, Rows, TableError},
};

/// Delimiters, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A line of a table, or several if a cell has line breaks.
struct Record {
    /// Offset in the text.
    start: usize,
    cells: Vec<String>,
    problem: Option<String>,
}

/// Reads a table with a header line. `preferred` is the delimiter if several fit; `is_known` says which columns the
/// caller looks for.
pub(super) fn read(
    text: &str,
    preferred: u8,
    is_known: impl Fn(&str) -> bool,
) -> Result<(Vec<Column>, Rows<Vec<String>>), TableError> {
    let lines = LineIndex::new(text);
    let mut reader = Reader { text, lines: &lines, at: 0, delimiter: preferred };
    let declared = reader.declared_delimiter();
    reader.delimiter = declared.unwrap_or_else(|| reader.likely_delimiter(preferred, is_known));
    let Some(header) = reader.next() else {
        return Err(TableError { line: 1, problem: "the table is empty".to_owned() });
    };
    if let Some(problem) = header.problem {
        return Err(TableError { line: lines.line_of(header.start), problem });
    }
    let columns = columns(&header.cells);
    let rows = reader.filter(|record| record.problem.is_some() || !is_blank(&record.cells)).map(|record| {
        let Record { start, mut cells, problem } = record;
        // As this program writes texts that begin like a formula, such as the handle of a channel.
        for cell in &mut cells {
            let apostrophe = cell.len() - csv_formula::original(cell).len();
            cell.drain(..apostrophe);
        }
        let wanted = columns.len();
        // Spreadsheets add delimiters at the end of a line.
        if cells.len() > wanted && is_blank(&cells[wanted..]) {
            cells.truncate(wanted);
        }
        let row = match problem {
            Some(problem) => Err(problem),
            None if cells.len() == wanted => Ok(cells),
            None => Err(format!("expected {wanted} cells as in the header, found {}", cells.len())),
        };
        (lines.line_of(start), row)
    });
    let rows = rows.collect();
    Ok((columns, rows))
}

fn is_blank(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.trim().is_empty())
}

/// Names the columns as pandas does: `Unnamed: 3` without a name, `views.1` for a repeated one.
fn columns(names: &[String]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let name = name.trim();
        let name = if name.is_empty() { format!("Unnamed: {index}") } else { name.to_owned() };
        let is_taken = |name: &str| columns.iter().any(|column| column.name == name);
        let mut unique = name.clone();
        for number in 1.. {
            if !is_taken(&unique) {
                break;
            }
            unique = format!("{name}.{number}");
        }
        columns.push(Column::new(unique));
    }
    columns
}

struct Reader<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    at: usize,
    delimiter: u8,
}

impl<'a> Reader<'a> {
    /// Reads the line `sep=;`, which tells Excel the delimiter.
    fn declared_delimiter(&mut self) -> Option<u8> {
        let (end, next) = line_end(self.text, 0);
        let line = self.text[..end].trim_matches('"');
        let [delimiter] = line.strip_prefix("sep=").or_else(|| line.strip_prefix("SEP="))?.as_bytes() else {
            return None;
        };
        self.at = next;
        Some(*delimiter)
    }

    /// Returns the delimiter whose header has most columns that the caller knows; if it knows none, the one whose
    /// header has most columns.
    fn likely_delimiter(&self, preferred: u8, is_known: impl Fn(&str) -> bool) -> u8 {
        let others = DELIMITERS.into_iter().filter(|other| *other != preferred);
        let candidates = std::iter::once(preferred).chain(others);
        let rated = candidates.map(|delimiter| {
            let mut reader = Reader { delimiter, ..*self };
            let columns = reader.next().map(|header| columns(&header.cells)).unwrap_or_default();
            let known = columns.iter().filter(|column| is_known(&column.key)).count();
            (delimiter, (known, columns.len()))
        });
        // The first of several that are equally good.
        let best = rated.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(preferred, |(delimiter, _)| delimiter)
    }

    fn skip_blank_lines(&mut self) {
        while self.at < self.text.len() {
            let (end, next) = line_end(self.text, self.at);
            if !self.text[self.at..end].trim().is_empty() {
                return;
            }
            self.at = next;
        }
    }

    /// Reads a cell up to its delimiter or line end.
    fn cell(&mut self) -> (String, Option<String>) {
        let opened = self.at;
        let mut cell = String::new();
        let mut problem = None;
        if self.text[opened..].starts_with('"') {
            self.at += 1;
            let is_closed = self.quoted(&mut cell);
            let line = self.lines.line_of(opened);
            if !is_closed {
                return (cell, Some(format!("the quote that opens in line {line} is never closed")));
            }
            let rest = self.plain();
            if !rest.trim().is_empty() && cell.contains(['\r', '\n']) {
                let end = self.lines.line_of(self.at - rest.len());
                problem = Some(format!(
                    "the quote that opens in line {line} is closed in line {end} in the middle of a cell"
                ));
            }
            cell.push_str(rest);
        } else {
            cell.push_str(self.plain());
        }
        (cell, problem)
    }

    /// Reads up to the closing quote. Returns whether there is one.
    fn quoted(&mut self, cell: &mut String) -> bool {
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find('"') else {
                cell.push_str(rest);
                self.at = self.text.len();
                return false;
            };
            cell.push_str(&rest[..length]);
            self.at += length + 1;
            if !self.text[self.at..].starts_with('"') {
                return true;
            }
            cell.push('"');
            self.at += 1;
        }
    }

    fn plain(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| [self.delimiter, b'\r', b'\n'].contains(byte);
        let length = rest.bytes().position(|byte| is_end(&byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

impl Iterator for Reader<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.skip_blank_lines();
        if self.at == self.text.len() {
            return None;
        }
        let mut record = Record { start: self.at, cells: Vec::new(), problem: None };
        loop {
            let (cell, problem) = self.cell();
            record.cells.push(cell);
            record.problem = record.problem.or(problem);
            if self.text.as_bytes().get(self.at) != Some(&self.delimiter) {
                self.at = line_end(self.text, self.at).1;
                return Some(record);
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(u64, Result<Vec<String>, String>)>;

    fn table(text: &str) -> (Vec<String>, Found) {
        let (columns, rows) = read(text, b',', |key| key == "video_id").unwrap();
        (columns.into_iter().map(|column| column.name).collect(), rows)
    }

    fn check(text: &str, rows: &[(u64, &[&str])]) {
        let found = table(text).1;
        let expected: Found = rows
            .iter()
            .map(|(line, cells)| (*line, Ok(cells.iter().map(|cell| (*cell).to_owned()).collect())))
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn lines_are_numbered_as_in_an_editor() {
        check("video_id,n\r\n\r\n\r\na,1\r\n", &[(4, &["a", "1"])]);
        check("video_id,n\ra,1\r\rb,2\r", &[(2, &["a", "1"]), (4, &["b", "2"])]);
        check("\n \nvideo_id,n\n\"a\r\nx\",1\n,\n\"b\",2", &[(4, &["a\r\nx", "1"]), (7, &["b", "2"])]);
        check("video_id,n\na,1\n#b,2\n", &[(2, &["a", "1"]), (3, &["#b", "2"])]);
    }

    #[test]
    fn defused_formulas_are_read_back() {
        check("a,b\n'@one,'=1\n'x,-0.5\n", &[(2, &["@one", "=1"]), (3, &["'x", "-0.5"])]);
    }

    #[test]
    fn quotes_are_read_as_pandas_reads_them() {
        check("video_id,n\n\"a \"\"b\"\", c\",1\n", &[(2, &["a \"b\", c", "1"])]);
        check("video_id,n\n5\" disk,\"a\" b\n", &[(2, &["5\" disk", "a b"])]);
        check("video_id,n\n\"\",x\na,\n", &[(2, &["", "x"]), (3, &["a", ""])]);
    }

    #[test]
    fn quote_that_would_swallow_rows_is_an_error() {
        let problems = |text: &str| -> Vec<(u64, String)> {
            table(text).1.into_iter().filter_map(|(line, row)| Some((line, row.err()?))).collect()
        };
        assert_eq!(
            problems("video_id,n\na,1\nb,\"2\nc,3\n"),
            [(3, "the quote that opens in line 3 is never closed".to_owned())]
        );
        assert_eq!(
            problems("video_id,n\na,\"1\nb,2\nc,3\" x\nd,4\n"),
            [(2, "the quote that opens in line 2 is closed in line 4 in the middle of a cell".to_owned())]
        );
        assert_eq!(
            problems("video_id,n\na\nb,1,,\nc,1,2\n"),
            [
                (2, "expected 2 cells as in the header, found 1".to_owned()),
                (4, "expected 2 cells as in the header, found 3".to_owned())
            ]
        );
    }

    #[test]
    fn delimiter_is_declared_or_found_in_the_header() {
        check("video_id;n\na;1,5\n", &[(2, &["a", "1,5"])]);
        check("\"n, m\"\tvideo_id\n1\ta\n", &[(2, &["1", "a"])]);
        check("sep=;\r\nvideo_id;n\r\na;1\r\n", &[(3, &["a", "1"])]);
        check("video_id\na\n", &[(2, &["a"])]);
        check("a|b;video_id\n1|2;x\n", &[(2, &["1|2", "x"])]);
    }

    #[test]
    fn columns_without_a_name_of_their_own_are_numbered() {
        let names = table(",video_id, n ,n\n0,a,1,2\n").0;
        assert_eq!(names, ["Unnamed: 0", "video_id", "n", "n.1"]);
        assert_eq!(read("", b',', |_| false).err().map(|error| error.line), Some(1));
    }
}
