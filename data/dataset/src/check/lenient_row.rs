//! Lenient access to the columns of a row that items do not have.
//!
//! A value of an unexpected type counts as missing, since these columns do not decide whether a row is
//! usable.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::json;

pub(super) struct Columns(Map<String, Value>);

impl Columns {
    /// Parses a row; anything but a JSON object has no columns.
    pub(super) fn of(row: &[u8]) -> Self {
        Self(std::str::from_utf8(row).ok().and_then(|row| json::parse(row).ok()).unwrap_or_default())
    }

    /// Returns a non-blank string, trimmed, or a number as text.
    pub(super) fn text(&self, column: &str) -> Option<Cow<'_, str>> {
        let text = match self.0.get(column)? {
            Value::String(text) => Cow::Borrowed(text.trim()),
            Value::Number(number) => Cow::Owned(number.to_string()),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn is_true(&self, column: &str) -> bool {
        self.0.get(column) == Some(&Value::Bool(true))
    }
}
