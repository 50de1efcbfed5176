//! The columns of a row that say more than an item does.
//!
//! Owns reading them as leniently as can be: what has another form than expected is as good as missing, since
//! whatever it is keeps nobody from using the row.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// A row.
pub(super) struct Columns(Map<String, Value>);

impl Columns {
    /// Reads a row; one that is no JSON object has no columns.
    pub(super) fn of(row: &[u8]) -> Self {
        Self(serde_json::from_slice(row).unwrap_or_default())
    }

    /// A text that says something, or a number as text.
    pub(super) fn text(&self, column: &str) -> Option<Cow<'_, str>> {
        let text = match self.0.get(column)? {
            Value::String(text) => Cow::Borrowed(text.trim()),
            Value::Number(number) => Cow::Owned(number.to_string()),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// Whether the column says `true`.
    pub(super) fn is_true(&self, column: &str) -> bool {
        self.0.get(column) == Some(&Value::Bool(true))
    }
}
