//! Splits JSON into rows, with the line on which each begins.
//!
//! A document is an array of objects, or one of these objects: a row; pandas' orients `columns` (its default),
//! `index`, `split` and `table`; a downloader's playlist (`entries`, which may be nested); a response of the YouTube
//! Data API (`items`). A file of several documents, one a line, has the rows of all. `NaN` and `Infinity`, which
//! Python writes, are null.

use std::{borrow::Cow, collections::HashMap};

use serde_json::{Deserializer, Map, Value};

use super::{
    lines::{LineIndex, lines},
    resource::{flatten, is_resource},
    row::{Column, Rows, TableError, TableRow},
};

/// Depth of nested playlists: a channel, its tabs, their videos.
const MAX_NESTED_PLAYLISTS: usize = 4;
/// Fields of a channel that its videos in a downloader's listing may lack.
const CHANNEL_FIELDS: [&str; 5] =
    ["channel", "channel_id", "channel_follower_count", "uploader", "uploader_id"];

/// Reads JSON. With `only_lines`, a line that is not JSON is an error of its row, even the first one.
pub(super) fn read(
    text: &str,
    only_lines: bool,
    is_known: impl Fn(&str) -> bool,
) -> Result<Rows<TableRow>, TableError> {
    let text = without_nan(text);
    let index = LineIndex::new(&text);
    let reader = Reader { text: &text, lines: &index, is_known: &is_known };
    let mut contents = lines(&text).filter(|line| !text[line.clone()].trim().is_empty());
    let Some(first) = contents.next() else {
        return Err(TableError { line: 1, problem: "the table is empty".to_owned() });
    };
    let is_lines = contents.next().is_some() && serde_json::from_str::<Value>(&text[first.clone()]).is_ok();
    if is_lines {
        return Ok(reader.lines());
    }
    match reader.documents() {
        Err(_) if only_lines => Ok(reader.lines()),
        documents => documents,
    }
}

/// Replaces `NaN`, `Infinity` and `-Infinity` outside of texts by `null`.
fn without_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return text.into();
    }
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        replaced.push_str(&rest[..at]);
        rest = &rest[at..];
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match word {
            Some(word) => {
                replaced.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            None if rest.starts_with('"') => text_length(rest),
            None => 1,
        };
        replaced.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    replaced.push_str(rest);
    replaced.into()
}

/// Length of the JSON text at the start, with its quotes.
fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

struct Reader<'a> {
    text: &'a str,
    lines: &'a LineIndex,
    is_known: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    /// Reads a document a line.
    fn lines(&self) -> Rows<TableRow> {
        let mut rows = Vec::new();
        for line in lines(self.text).filter(|line| !self.text[line.clone()].trim().is_empty()) {
            let number = self.lines.line_of(line.start);
            match serde_json::from_str(&self.text[line.clone()]) {
                Ok(Value::Object(object)) => self.object(object, line.start, 0, &mut rows),
                Ok(_) => rows.push((number, Err("not a JSON object".to_owned()))),
                Err(error) => rows.push((number, Err(format!("not a JSON object: {}", of_line(&error))))),
            }
        }
        rows
    }

    /// Reads documents that may have several lines.
    fn documents(&self) -> Result<Rows<TableRow>, TableError> {
        let mut rows = Vec::new();
        let mut at = self.skip_space(0);
        while at < self.text.len() {
            let (value, end) = self.value(at)?;
            match value {
                Value::Object(object) => self.object(object, at, 0, &mut rows),
                Value::Array(elements) => self.array(elements, at, 0, &mut rows),
                _ => {
                    let problem = "neither a JSON object nor an array of objects".to_owned();
                    return Err(TableError { line: self.lines.line_of(at), problem });
                }
            }
            at = self.skip_space(end);
        }
        Ok(rows)
    }

    fn skip_space(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        at + (rest.len() - rest.trim_start().len())
    }

    /// Parses the value at an offset, and returns the offset of its end.
    fn value(&self, at: usize) -> Result<(Value, usize), TableError> {
        let mut values = Deserializer::from_str(&self.text[at..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => Ok((value, at + values.byte_offset())),
            Some(Err(error)) => {
                let lines = self.text[at..].split_inclusive('\n');
                let before: usize = lines.take(error.line().saturating_sub(1)).map(str::len).sum();
                let line = self.lines.line_of(at + before);
                Err(TableError { line, problem: format!("not JSON: {}", of_line(&error)) })
            }
            None => {
                Err(TableError { line: self.lines.line_of(at), problem: "a value is missing".to_owned() })
            }
        }
    }

    /// Returns the offsets of the elements of the array at an offset, which is valid.
    fn elements(&self, at: usize) -> Vec<usize> {
        let (mut offsets, mut at) = (Vec::new(), self.skip_space(at + 1));
        while !self.text[at..].starts_with(']') {
            let Ok((_, end)) = self.value(at) else { break };
            offsets.push(at);
            at = self.next_member(end);
        }
        offsets
    }

    /// Returns the offsets of the fields of the object at an offset, which is valid.
    fn fields(&self, at: usize) -> HashMap<String, usize> {
        let (mut offsets, mut at) = (HashMap::new(), self.skip_space(at + 1));
        while !self.text[at..].starts_with('}') {
            let Ok((Value::String(name), end)) = self.value(at) else { break };
            let value = self.skip_space(self.skip_space(end) + 1);
            let Ok((_, end)) = self.value(value) else { break };
            offsets.insert(name, value);
            at = self.next_member(end);
        }
        offsets
    }

    /// Skips the comma after a member, if there is one.
    fn next_member(&self, end: usize) -> usize {
        let end = self.skip_space(end);
        if self.text[end..].starts_with(',') { self.skip_space(end + 1) } else { end }
    }

    /// Adds the rows of an array at an offset.
    fn array(&self, elements: Vec<Value>, at: usize, depth: usize, rows: &mut Rows<TableRow>) {
        for (element, offset) in elements.into_iter().zip(self.elements(at)) {
            let row = match element {
                Value::Object(object) => {
                    self.object(object, offset, depth, rows);
                    continue;
                }
                Value::Null => "null: the entry was not available when the file was written",
                _ => "not a JSON object",
            };
            rows.push((self.lines.line_of(offset), Err(row.to_owned())));
        }
    }

    /// Adds the rows of an object at an offset: itself, or those that it contains.
    fn object(&self, mut object: Map<String, Value>, at: usize, depth: usize, rows: &mut Rows<TableRow>) {
        let offset = |field: &str| self.fields(at).get(field).copied().unwrap_or(at);
        if depth < MAX_NESTED_PLAYLISTS
            && let Some(list) = list_of(&object)
            && let Some(Value::Array(elements)) = object.remove(list)
        {
            return self.array(inherit(elements, &object), offset(list), depth + 1, rows);
        }
        if let (Some(Value::Array(columns)), Some(Value::Array(_))) =
            (object.get("columns"), object.get("data"))
        {
            let columns = columns.clone();
            let Some(Value::Array(data)) = object.remove("data") else { return };
            return self.split(&columns, data, offset("data"), rows);
        }
        let is_frame = !object.is_empty() && object.values().all(Value::is_object) && !is_resource(&object);
        if !is_frame {
            rows.push((self.lines.line_of(at), Ok(TableRow::of_json(flatten(object)))));
        } else if object.keys().any(|name| (self.is_known)(&Column::new(name.clone()).key)) {
            self.columns(object, at, rows);
        } else {
            let offsets = self.fields(at);
            let offset = |index: &str| offsets.get(index).copied().unwrap_or(at);
            let mut found: Vec<(usize, Value)> =
                object.into_iter().map(|(index, row)| (offset(&index), row)).collect();
            found.sort_by_key(|(offset, _)| *offset);
            for (offset, row) in found {
                if let Value::Object(row) = row {
                    rows.push((self.lines.line_of(offset), Ok(TableRow::of_json(flatten(row)))));
                }
            }
        }
    }

    /// Adds the rows of `{"columns": ["a", …], "data": [[1, …], …]}`.
    fn split(&self, columns: &[Value], data: Vec<Value>, at: usize, rows: &mut Rows<TableRow>) {
        for (row, offset) in data.into_iter().zip(self.elements(at)) {
            let row = match row {
                Value::Array(cells) if cells.len() == columns.len() => {
                    let names = columns.iter().map(|name| name.as_str().unwrap_or_default().to_owned());
                    Ok(TableRow::of_json(names.zip(cells)))
                }
                _ => Err(format!("not an array of {} cells, as `columns` has", columns.len())),
            };
            rows.push((self.lines.line_of(offset), row));
        }
    }

    /// Adds the rows of `{"a": {"0": 1, …}, …}`, in the order of the first column.
    fn columns(&self, object: Map<String, Value>, at: usize, rows: &mut Rows<TableRow>) {
        let line = self.lines.line_of(at);
        let mut columns: Vec<(String, Map<String, Value>)> = Vec::new();
        for (name, values) in object {
            if let Value::Object(values) = values {
                columns.push((name, values));
            }
        }
        let mut indices: Vec<String> =
            columns.iter().flat_map(|(_, values)| values.keys().cloned()).collect();
        indices.sort_by_cached_key(|index| (index.parse::<u64>().unwrap_or(u64::MAX), index.clone()));
        indices.dedup();
        for index in indices {
            let cell = |(name, values): &mut (String, Map<String, Value>)| {
                (name.clone(), values.remove(&index).unwrap_or_default())
            };
            let cells: Vec<(String, Value)> = columns.iter_mut().map(cell).collect();
            rows.push((line, Ok(TableRow::of_json(cells))));
        }
    }
}

/// Returns the field with the rows of an object that is a list: a playlist, a response of the Data API, or pandas'
/// orient `table`.
fn list_of(object: &Map<String, Value>) -> Option<&'static str> {
    let has_rows = |field: &str, is_list: bool| {
        let elements = object.get(field).and_then(Value::as_array);
        elements.is_some_and(|elements| {
            (is_list || !elements.is_empty())
                && elements.iter().all(|element| element.is_object() || element.is_null())
        })
    };
    let starts = |field: &str, start: &str| {
        object.get(field).and_then(Value::as_str).is_some_and(|text| text.starts_with(start))
    };
    let lists = [
        ("entries", starts("_type", "playlist")),
        ("items", starts("kind", "youtube#")),
        ("data", object.get("schema").is_some_and(Value::is_object)),
    ];
    let (field, _) = lists
        .into_iter()
        .find(|(field, is_list)| (*field != "data" || *is_list) && has_rows(field, *is_list))?;
    Some(field)
}

/// Gives the entries of a channel's listing the channel's fields that they lack. The owner of any other playlist is
/// not the channel of its videos.
fn inherit(mut entries: Vec<Value>, playlist: &Map<String, Value>) -> Vec<Value> {
    let id = playlist.get("id").filter(|id| id.is_string());
    let is_channel = id.is_some()
        && (id == playlist.get("channel_id") || id == playlist.get("uploader_id"))
        && playlist.get("snippet").is_none();
    if is_channel {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            for field in CHANNEL_FIELDS {
                if let Some(value) = playlist.get(field)
                    && entry.get(field).is_none_or(Value::is_null)
                {
                    entry.insert(field.to_owned(), value.clone());
                }
            }
        }
    }
    entries
}

/// Describes a JSON error within a line, whose number the row has.
fn of_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((problem, _)) => format!("{problem} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_rows(text: &str) -> Rows<TableRow> {
        read(text, false, |key| key == "id").unwrap()
    }

    /// Returns each row's line, ID and number.
    fn found(text: &str) -> Vec<(u64, String)> {
        let row = |(line, row): (u64, Result<TableRow, String>)| match row {
            Ok(row) => {
                let get = |key| row.first(&[key]).map(ToString::to_string).unwrap_or_default();
                (line, format!("{} {}", get("id"), get("n")).trim().to_owned())
            }
            Err(problem) => (line, problem),
        };
        read_rows(text).into_iter().map(row).collect()
    }

    fn check(text: &str, expected: &[(u64, &str)]) {
        let expected: Vec<(u64, String)> =
            expected.iter().map(|(line, row)| (*line, (*row).to_owned())).collect();
        assert_eq!(found(text), expected, "{text}");
    }

    #[test]
    fn rows_of_lines_and_arrays_have_their_lines() {
        check(
            "{\"id\":1}\r\n\r\n{\"id\":2,\"n\":NaN}\r[]\n{\n",
            &[
                (1, "1"),
                (3, "2"),
                (4, "not a JSON object"),
                (5, "not a JSON object: EOF while parsing an object at column 1"),
            ],
        );
        check(
            "[\n {\"id\": 1},\n\n {\"id\":\n 2}, 7,\nnull]",
            &[
                (2, "1"),
                (4, "2"),
                (5, "not a JSON object"),
                (6, "null: the entry was not available when the file was written"),
            ],
        );
        check("{\n\"id\": 1\n}\n{\n\"id\": 2\n}\n", &[(1, "1"), (4, "2")]);
        check("[]", &[]);
    }

    #[test]
    fn not_a_number_is_null_outside_of_texts() {
        let text = "{\"id\": \"NaN \\\" -Infinity\", \"n\": -Infinity, \"m\": -1}";
        assert_eq!(without_nan(text), "{\"id\": \"NaN \\\" -Infinity\", \"n\": null, \"m\": -1}");
        check(text, &[(1, "\"NaN \\\" -Infinity\"")]);
    }

    #[test]
    fn orients_of_pandas_are_read() {
        let rows = &[(1, "\"a\" 3"), (1, "\"b\"")];
        check(r#"{"id":{"0":"a","1":"b"},"n":{"0":3,"1":null}}"#, rows);
        check(r#"{"0":{"id":"a","n":3},"1":{"id":"b","n":null}}"#, rows);
        check(r#"{"columns":["id","n"],"index":[0,1],"data":[["a",3],["b",null]]}"#, rows);
        check(r#"{"schema":{"fields":[]},"data":[{"id":"a","n":3},{"id":"b","n":null}]}"#, rows);
        check(
            "{\"columns\":[\"id\"],\n\"data\":[[\"a\"],\n[]]}",
            &[(2, "\"a\""), (3, "not an array of 1 cells, as `columns` has")],
        );
        let many: Vec<String> = (0..12).map(|number| format!("\"{number}\":{number}")).collect();
        let text = format!("{{\"id\":{{{}}}}}", many.join(","));
        let rows: Vec<String> = (0..12).map(|number| format!("\"{number}\":{{\"id\":{number}}}")).collect();
        assert_eq!(found(&text), found(&format!("{{{}}}", rows.join(","))));
        let order: Vec<String> = found(&text).into_iter().map(|(_, row)| row).collect();
        assert_eq!(order, (0..12).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn entries_of_playlists_and_items_of_responses_are_rows() {
        check(
            "{\"id\":\"PL\",\"entries\":[\n{\"id\":\"a\"},\nnull,{\"entries\":[\n{\"id\":\"b\"}]}]}",
            &[(2, "\"a\""), (3, "null: the entry was not available when the file was written"), (4, "\"b\"")],
        );
        let response =
            "{\"kind\":\"youtube#videoListResponse\",\n\"items\":[\n{\"id\":\"a\",\"snippet\":{}}]}";
        check(response, &[(3, "\"a\"")]);
        check("{\"items\":[{\"id\":\"a\"}]}\n{\"items\":[{\"id\":\"b\"}]}\n", &[(1, "\"a\""), (2, "\"b\"")]);
    }

    #[test]
    fn only_entries_of_a_channel_take_its_fields() {
        let channel = |id: &str| {
            let text = format!(
                r#"{{"id":"{id}","channel_id":"UC","channel_follower_count":5,"entries":[{{"id":"a"}}]}}"#
            );
            let row = read_rows(&text).remove(0).1.unwrap();
            row.first(&["channel_follower_count"]).cloned()
        };
        assert_eq!(channel("UC"), Some(5.into()));
        assert_eq!(channel("PL"), None);
    }

    #[test]
    fn document_that_is_not_json_is_an_error_with_its_line() {
        let error = |text: &str| read(text, false, |_| true).unwrap_err().to_string();
        assert_eq!(error("[\n{\"id\": 1},\n{\"id\" 2}]"), "line 3: not JSON: expected `:` at column 7");
        assert_eq!(error("video_id,views\n"), "line 1: not JSON: expected value at column 1");
        assert_eq!(error(" \n"), "line 1: the table is empty");
        assert_eq!(error("7"), "line 1: neither a JSON object nor an array of objects");
    }
}
