//! Columns that an import copies as they are.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{
    columns::{CATEGORY, CHANNEL, CHANNEL_ID, FILE, PUBLISHED, SUBSCRIBERS, TITLE, VIDEO, VIEWS},
    video::{id_of, is_link},
};
use crate::table::{ColumnKind, TableRow};

/// Columns of the dataset that an import writes; the table's are recognised, or describe another file.
const WRITTEN: [&str; 18] = [
    "file_name",
    "video_id",
    "title",
    "channel_id",
    "channel",
    "category",
    "published",
    "views",
    "views_approximate",
    "subscribers",
    "subscribers_approximate",
    "thumbnail_width",
    "thumbnail_height",
    "thumbnail_variant",
    "thumbnail_crop",
    "sha256",
    "etag",
    "source",
];
/// The index that pandas writes as a column.
const INDEX: &str = "Unnamed: 0";

/// Returns the columns with a value that are not recognised, or of which another one was preferred. The names of those
/// that hold objects are added to `nested` instead.
pub(super) fn others(
    row: &TableRow,
    video_id: &str,
    kinds: &HashMap<String, ColumnKind>,
    nested: &mut BTreeSet<String>,
) -> Map<String, Value> {
    let recognised: [&[&str]; 7] =
        [&TITLE, &CHANNEL_ID, &CHANNEL, &CATEGORY, &PUBLISHED, &VIEWS, &SUBSCRIBERS];
    let used: Vec<&Value> = recognised.iter().filter_map(|names| row.first(names)).collect();
    let mut others = Map::new();
    for (name, key, value) in row.present() {
        let is_used = WRITTEN.contains(&name.to_lowercase().as_str())
            || name == INDEX
            || used.iter().any(|used| std::ptr::eq(*used, value))
            || VIDEO.contains(&key) && id_of(value).is_ok_and(|id| id.as_deref() == Some(video_id))
            || FILE.contains(&key) && value.as_str().is_some_and(|text| !is_link(text));
        if is_used {
            continue;
        }
        if is_nested(value) {
            nested.insert(name.to_owned());
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
