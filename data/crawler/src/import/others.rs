//! Columns that an import copies as they are.

use std::collections::{BTreeSet, HashMap};

use dataset::row::COLUMNS;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    columns::{CATEGORY, CHANNEL, CHANNEL_ID, FILE, PUBLISHED, SUBSCRIBERS, TITLE, VIDEO, VIEWS},
    video::{id_of, is_link},
};
use crate::table::{ColumnKind, TableRow};

/// Columns of the dataset that keep a table's values: an earlier crawl wrote them. Values of the other ones are
/// recognised, or describe another file.
const KEPT: [&str; 2] = ["published_text", "crawled_at"];
/// The index that pandas writes as a column.
const INDEX: &str = "Unnamed: 0";

/// Columns that an import does not copy, although they have values.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct NotCopied {
    /// Columns that hold objects.
    pub nested_columns: BTreeSet<String>,
    /// Columns whose names have another meaning in a dataset, such as `part`.
    pub reserved_columns: BTreeSet<String>,
}

/// Returns the columns with a value that are not recognised, or of which another one was preferred, and adds the names
/// of those that cannot be copied to `not_copied`.
pub(super) fn others(
    row: &TableRow,
    video_id: &str,
    kinds: &HashMap<String, ColumnKind>,
    not_copied: &mut NotCopied,
) -> Map<String, Value> {
    let recognised: [&[&str]; 7] =
        [&TITLE, &CHANNEL_ID, &CHANNEL, &CATEGORY, &PUBLISHED, &VIEWS, &SUBSCRIBERS];
    let used: Vec<&Value> = recognised.iter().filter_map(|names| row.first(names)).collect();
    let mut others = Map::new();
    for (name, key, value) in row.present() {
        let is_used = name == INDEX
            || used.iter().any(|used| std::ptr::eq(*used, value))
            || VIDEO.contains(&key) && id_of(value).is_ok_and(|id| id.as_deref() == Some(video_id))
            || FILE.contains(&key) && value.as_str().is_some_and(|text| !is_link(text));
        if is_used {
            continue;
        }
        let column = name.to_lowercase();
        if COLUMNS.contains(&column.as_str()) && !KEPT.contains(&column.as_str()) {
            not_copied.reserved_columns.insert(name.to_owned());
            continue;
        }
        if is_nested(value) {
            not_copied.nested_columns.insert(name.to_owned());
            continue;
        }
        let value = match (value, kinds.get(name)) {
            (Value::String(text), Some(kind)) => kind.value(text),
            _ => value.clone(),
        };
        others.insert(name.to_owned(), value);
    }
    others
}

fn is_nested(value: &Value) -> bool {
    let contains = |one: &Value| one.is_object() || one.is_array();
    value.is_object() || value.as_array().is_some_and(|values| values.iter().any(contains))
}
