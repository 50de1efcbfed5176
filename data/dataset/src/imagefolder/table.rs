//! Reads `metadata.csv` and `metadata.parquet` as rows of JSON.
//!
//! Owns the meaning of cells: which texts are missing values and which are numbers, as pandas reads them. Both formats
//! need a file that can be read from several places, so the file is copied to a temporary one first. A thread reads it,
//! at most [`PAGE_ROWS`] rows ahead.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use jiff::Timestamp;
use parquet::{
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Map, Number, Value};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::names::{Format, MAX_METADATA_BYTES};
use crate::files::{Files, ReadError};

/// Largest CSV file; it is one record if a quote is not closed.
const MAX_CSV_BYTES: u64 = 256 << 20;
const PAGE_ROWS: usize = 256;
const FILE_NAME: &str = "file_name";

/// The texts that pandas reads as missing values.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// A row of a table.
pub(super) struct TableRow {
    /// From 1: in CSV the line, in Parquet the row.
    pub(super) line: u32,
    /// A JSON object, or why the row is invalid.
    pub(super) row: Result<Bytes, String>,
}

pub(super) struct Table {
    rows: mpsc::Receiver<Result<TableRow, String>>,
}

impl Table {
    pub(super) async fn open(files: &Files, name: &str, format: Format) -> Result<Self, ReadError> {
        let limit = if format == Format::Csv { MAX_CSV_BYTES } else { MAX_METADATA_BYTES };
        let mut content = files.open_content(name, limit).await?;
        let local = |error: io::Error| ReadError::Unavailable {
            name: name.to_owned(),
            reason: format!("it cannot be copied to a temporary file: {error}"),
        };
        let mut file = NamedTempFile::new().map_err(local)?;
        while let Some(chunk) = content.next_chunk().await? {
            file.write_all(&chunk).map_err(local)?;
        }
        let (sender, rows) = mpsc::channel(PAGE_ROWS);
        tokio::task::spawn_blocking(move || {
            let read = || match format {
                Format::Parquet => read_parquet(&file, &sender),
                Format::Csv | Format::JsonLines => read_csv(&file, &sender),
            };
            // Without this, a panic of the parser would look like the end of the file.
            let read = catch_unwind(AssertUnwindSafe(read));
            if let Err(error) = read.unwrap_or_else(|_| Err("it is corrupt".to_owned())) {
                // The receiver is gone if the rest is not wanted.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(Self { rows })
    }

    /// Returns the next row, or `None` at the end. The outer error is about the whole file.
    pub(super) async fn next(&mut self) -> Option<Result<TableRow, String>> {
        self.rows.recv().await
    }
}

type Sender = mpsc::Sender<Result<TableRow, String>>;

fn read_csv(file: &NamedTempFile, sender: &Sender) -> Result<(), String> {
    let unreadable = |error: io::Error| error.to_string();
    let mut lines = LineCounter::new(file.reopen().map_err(unreadable)?);
    let file = BufReader::new(file.reopen().map_err(unreadable)?);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
    let names = reader.headers().map_err(|error| format!("the header cannot be read: {error}"))?.clone();
    if !names.iter().any(|name| name.trim() == FILE_NAME) {
        return Err(format!("it has no column {FILE_NAME}"));
    }
    let mut record = ByteRecord::new();
    loop {
        let start = reader.position().byte();
        if !reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
            return Ok(());
        }
        let line = lines.line_at(start).map_err(unreadable)?;
        let row = csv_row(&names, &record).map(|row| Bytes::from(Value::Object(row).to_string()));
        if sender.blocking_send(Ok(TableRow { line, row })).is_err() {
            return Ok(());
        }
    }
}

fn csv_row(names: &StringRecord, record: &ByteRecord) -> Result<Map<String, Value>, String> {
    if record.len() != names.len() {
        return Err(format!("expected {} cells as in the header, found {}", names.len(), record.len()));
    }
    let record = StringRecord::from_byte_record(record.clone())
        .map_err(|error| format!("the row is not valid UTF-8: {}", error.utf8_error()))?;
    let cells = names.iter().zip(&record);
    Ok(cells.map(|(name, cell)| (name.trim().to_owned(), csv_value(name.trim(), cell.trim()))).collect())
}

/// Returns the value of a cell. Texts stay texts, so that IDs keep their leading zeros.
fn csv_value(column: &str, cell: &str) -> Value {
    if column == FILE_NAME {
        return Value::from(cell);
    }
    if MISSING.contains(&cell) {
        return Value::Null;
    }
    match column {
        "views" | "subscribers" => {
            let number = cell.parse::<u64>().map(Number::from).ok();
            let number = number.or_else(|| Number::from_f64(cell.parse().ok()?));
            number.map_or_else(|| Value::from(cell), Value::Number)
        }
        _ => match cell.to_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::from(cell),
        },
    }
}

/// Counts lines as an editor does: a record starts after blank lines, and a quoted line break counts.
struct LineCounter {
    file: BufReader<File>,
    offset: u64,
    line: u32,
    /// Whether the last byte was a carriage return, whose newline counts with it.
    after_return: bool,
}

impl LineCounter {
    fn new(file: File) -> Self {
        Self { file: BufReader::new(file), offset: 0, line: 1, after_return: false }
    }

    /// Returns the line of the first record at or after the byte `start`, which must not decrease.
    fn line_at(&mut self, start: u64) -> io::Result<u32> {
        loop {
            let Some(byte) = self.file.fill_buf()?.first().copied() else { return Ok(self.line) };
            if self.offset >= start && byte != b'\n' && byte != b'\r' {
                return Ok(self.line);
            }
            if byte == b'\r' || (byte == b'\n' && !self.after_return) {
                self.line = self.line.saturating_add(1);
            }
            self.after_return = byte == b'\r';
            self.offset += 1;
            self.file.consume(1);
        }
    }
}

fn read_parquet(file: &NamedTempFile, sender: &Sender) -> Result<(), String> {
    let file = file.reopen().map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new(file).map_err(|error| parquet_error(&error))?;
    let columns = reader.metadata().file_metadata().schema().get_fields().to_vec();
    if !columns.iter().any(|column| column.name() == FILE_NAME) {
        return Err(format!("it has no column {FILE_NAME}"));
    }
    let rows = reader.get_row_iter(None).map_err(|error| parquet_error(&error))?;
    for (line, row) in (1..).zip(rows) {
        let row = row.map_err(|error| parquet_error(&error))?;
        let row = row.get_column_iter().map(|(name, field)| (name.clone(), parquet_value(field))).collect();
        let row = Ok(Bytes::from(Value::Object(row).to_string()));
        if sender.blocking_send(Ok(TableRow { line, row })).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn parquet_error(error: &ParquetError) -> String {
    let text = error.to_string();
    match text.split_once("Disabled feature at compile time: ") {
        Some((_, codec)) => format!("it is compressed with {codec}: write it with snappy, gzip or zstd"),
        None => text,
    }
}

fn parquet_value(field: &Field) -> Value {
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::Long(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) => bytes.as_utf8().map_or(Value::Null, Value::from),
        Field::TimestampMillis(ms) => timestamp(Timestamp::from_millisecond(*ms).ok()),
        Field::TimestampMicros(us) => timestamp(Timestamp::from_microsecond(*us).ok()),
        other => Value::from(other.to_string()),
    }
}

fn timestamp(timestamp: Option<Timestamp>) -> Value {
    timestamp.map_or(Value::Null, |timestamp| Value::from(timestamp.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;

    async fn read(name: &str, bytes: &[u8]) -> Vec<Result<(u32, Result<Value, String>), String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let files = Files::open(&Url::from_directory_path(folder.path()).unwrap()).unwrap();
        let format = if name.ends_with("csv") { Format::Csv } else { Format::Parquet };
        let mut table = Table::open(&files, name, format).await.unwrap();
        let mut rows = Vec::new();
        while let Some(row) = table.next().await {
            let json = |row: Bytes| serde_json::from_slice(&row).unwrap();
            rows.push(row.map(|row| (row.line, row.row.map(json))));
        }
        rows
    }

    #[tokio::test]
    async fn cells_are_read_as_pandas_reads_them() {
        let text = "\u{feff}\"file_name\",views,video_id,note,ok\r\n\r\n\
            a.jpg,10,007,\"two\r\nlines\",True\r\n\r\nb.jpg,11.0,NaN,,\r\nc.jpg,1.1M,x\r\nNA,,1,NULL,1\r\n";
        let rows: Vec<_> =
            read("metadata.csv", text.as_bytes()).await.into_iter().map(Result::unwrap).collect();
        let row = |name: &str, views: Value, id: Value, note: Value, ok: Value| {
            Ok(json!({"file_name": name, "views": views, "video_id": id, "note": note, "ok": ok}))
        };
        let want = [
            (3, row("a.jpg", json!(10), json!("007"), json!("two\r\nlines"), json!(true))),
            (6, row("b.jpg", json!(11.0), json!(null), json!(null), json!(null))),
            (7, Err("expected 5 cells as in the header, found 3".to_owned())),
            (8, row("NA", json!(null), json!("1"), json!(null), json!("1"))),
        ];
        assert_eq!(rows, want);
    }

    #[tokio::test]
    async fn unusable_tables_are_errors() {
        let error = async |name: &str, bytes: &[u8]| read(name, bytes).await.pop().unwrap().unwrap_err();
        assert_eq!(error("metadata.csv", b"a;b\n1;2\n").await, "it has no column file_name");
        assert!(error("metadata.parquet", b"PAR1 no").await.contains("Parquet"));
        let invalid = read("metadata.csv", b"file_name\n\xff.jpg\n").await.pop().unwrap().unwrap();
        assert!(invalid.1.unwrap_err().contains("not valid UTF-8"));
    }
}
