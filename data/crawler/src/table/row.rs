//! A row of a table, its columns, and which values are missing.

use std::sync::Arc;

use serde_json::Value;

/// Texts that pandas reads as a missing value.
const MISSING: [&str; 18] = [
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];
/// Resources of the Data API whose fields are columns.
const RESOURCE_PREFIXES: [&str; 6] =
    ["id", "snippet", "snippet.resourceid", "statistics", "contentdetails", "contentdetails.upload"];

/// A table that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct TableError {
    /// From 1.
    pub(crate) line: u64,
    pub(crate) problem: String,
}

/// Rows with the lines on which they begin.
pub(crate) type Rows<T> = Vec<(u64, Result<T, String>)>;

#[derive(PartialEq, Eq, Debug)]
pub(super) struct Column {
    /// As written, without spaces around it.
    pub(super) name: String,
    /// For comparisons: in lower case, with `_` for spaces and dashes, and without the name of an API resource.
    pub(super) key: String,
}

impl Column {
    pub(super) fn new(name: String) -> Self {
        let mut key = name.to_lowercase().replace([' ', '-', '\u{a0}'], "_");
        if let Some((resource, field)) = key.rsplit_once('.')
            && RESOURCE_PREFIXES.contains(&resource)
        {
            key = field.to_owned();
        }
        Self { name, key }
    }
}

#[derive(Debug)]
pub(crate) struct TableRow {
    cells: Vec<(Arc<Column>, Value)>,
    /// Whether the values are the texts of a CSV file.
    is_text: bool,
}

impl TableRow {
    pub(super) fn of_json(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let cell = |(name, value): (String, Value)| (Arc::new(Column::new(name.trim().to_owned())), value);
        Self { cells: fields.into_iter().map(cell).collect(), is_text: false }
    }

    pub(super) fn of_texts(columns: &[Arc<Column>], cells: Vec<String>) -> Self {
        let cells = columns.iter().cloned().zip(cells.into_iter().map(Value::from));
        Self { cells: cells.collect(), is_text: true }
    }

    /// Returns the first of these columns, in this order, that has a value: neither null nor blank nor an object nor,
    /// in CSV, a word for a missing value.
    pub(crate) fn first(&self, keys: &[&str]) -> Option<&Value> {
        let has_value = |value: &&Value| !self.is_missing(value) && !value.is_object();
        keys.iter().find_map(|key| self.values(key).find(has_value))
    }

    /// Returns all columns of this key.
    fn values(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.cells.iter().filter(move |(column, _)| column.key == key).map(|(_, value)| value)
    }

    /// Returns the first of these columns that is not blank, even if it is a word for a missing value.
    pub(crate) fn first_text(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().find_map(|key| self.values(key).find(|value| !is_blank(value)))
    }

    /// Returns the name, key and value of the columns with a value.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let present = self.cells.iter().filter(|(_, value)| !self.is_missing(value));
        present.map(|(column, value)| (column.name.as_str(), column.key.as_str(), value))
    }

    fn is_missing(&self, value: &Value) -> bool {
        is_blank(value) || self.is_text && value.as_str().is_some_and(is_missing_word)
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

pub(super) fn is_missing_word(text: &str) -> bool {
    MISSING.contains(&text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_compared_by_key() {
        let check = |name: &str, key: &str| assert_eq!(Column::new(name.to_owned()).key, key);
        check("Video ID", "video_id");
        check("channel-title", "channel_title");
        check("snippet.channelTitle", "channeltitle");
        check("id.videoId", "videoid");
        check("snippet.thumbnails.high.url", "snippet.thumbnails.high.url");
    }
}
