//! The types of a table's columns, as `datasets` and pandas infer them from JSON.
//!
//! Arrow reads JSON in blocks of some megabytes: a column has one type in a block, and `datasets` takes the columns of
//! the first block for all. So the rows that show a column, or widen its type, must come first; and a column with
//! numbers and texts must be written as texts, since Arrow refuses it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::row::COLUMNS;

/// Most rows that are moved to the front.
const MAX_FIRST: usize = 1000;

#[derive(Clone, PartialEq, Debug)]
enum Kind {
    Null,
    Bool,
    Integer,
    Number,
    /// A text that begins with a date: Arrow makes timestamps of them, unless another text is none.
    Date,
    Text,
    List(Box<Self>),
    Object(BTreeMap<String, Self>),
    /// Values that have no common type.
    Mixed,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(text) if is_date(text) => Self::Date,
            Value::String(_) => Self::Text,
            Value::Array(values) => {
                let mut item = Self::Null;
                for value in values {
                    item.widen(Self::of(value));
                }
                Self::List(Box::new(item))
            }
            Value::Object(values) => {
                Self::Object(values.iter().map(|(name, value)| (name.clone(), Self::of(value))).collect())
            }
        }
    }

    /// Becomes the common type of both. Returns whether it changed.
    fn widen(&mut self, other: Self) -> bool {
        match (&mut *self, other) {
            (_, Self::Null) | (Self::Mixed, _) | (Self::Number, Self::Integer) | (Self::Text, Self::Date) => {
                false
            }
            (Self::List(item), Self::List(other)) => item.widen(*other),
            (Self::Object(values), Self::Object(others)) => {
                let mut changed = false;
                for (name, other) in others {
                    changed |= values.entry(name).or_insert(Self::Null).widen(other);
                }
                changed
            }
            (this, other) if *this == other => false,
            (this, other) if this.is_narrower_than(&other) => {
                *this = other;
                true
            }
            (this, _) => {
                *this = Self::Mixed;
                true
            }
        }
    }

    /// Whether every value of this type has the other type, too.
    fn is_narrower_than(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Null, _) | (Self::Integer, Self::Number) | (Self::Date, Self::Text))
    }

    fn is_mixed(&self) -> bool {
        match self {
            Self::Mixed => true,
            Self::List(item) => item.is_mixed(),
            Self::Object(values) => values.values().any(Self::is_mixed),
            _ => false,
        }
    }
}

/// Whether a text begins with `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let is_expected = |(index, byte): (usize, &u8)| {
        if [4, 7].contains(&index) { *byte == b'-' } else { byte.is_ascii_digit() }
    };
    text.len() >= 10 && text.as_bytes()[..10].iter().enumerate().all(is_expected)
}

#[derive(Default)]
pub(super) struct Schema {
    columns: BTreeMap<String, Kind>,
    first: usize,
}

impl Schema {
    /// Adds a row. Returns whether it should be among the first, since it changes the type of a column.
    pub(super) fn add(&mut self, row: &Map<String, Value>) -> bool {
        let mut changed = false;
        for (name, value) in row {
            let kind = Kind::of(value);
            match self.columns.get_mut(name) {
                Some(known) => changed |= known.widen(kind),
                None if kind == Kind::Null => {}
                None => {
                    self.columns.insert(name.clone(), kind);
                    changed = true;
                }
            }
        }
        self.first += usize::from(changed);
        changed && self.first <= MAX_FIRST
    }

    /// Returns a row whose values in columns of mixed types are texts; `None` if it has none. The columns of a dataset
    /// keep their values, since their meaning depends on the type.
    pub(super) fn with_texts(&self, row: &Map<String, Value>) -> Option<Map<String, Value>> {
        let is_mixed = |name: &String| {
            !COLUMNS.contains(&name.as_str()) && self.columns.get(name).is_some_and(Kind::is_mixed)
        };
        if !row.keys().any(is_mixed) {
            return None;
        }
        let text = |(name, value): (&String, &Value)| {
            let value = match value {
                value if !is_mixed(name) => value.clone(),
                Value::Null | Value::String(_) => value.clone(),
                value => Value::from(value.to_string()),
            };
            (name.clone(), value)
        };
        Some(row.iter().map(text).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_widened_as_arrow_does() {
        let check = |a: Value, b: Value, want: &Kind| {
            for (one, other) in [(&a, &b), (&b, &a)] {
                let mut kind = Kind::of(one);
                kind.widen(Kind::of(other));
                assert_eq!(&kind, want, "{one} {other}");
            }
        };
        check(json!(1), json!(null), &Kind::Integer);
        check(json!(1), json!(1.5), &Kind::Number);
        check(json!("2026-01-01T00:00:00Z"), json!("2014"), &Kind::Text);
        check(json!(1), json!("x"), &Kind::Mixed);
        check(json!([1, null]), json!([1.5]), &Kind::List(Box::new(Kind::Number)));
        check(json!([1]), json!(["x"]), &Kind::List(Box::new(Kind::Mixed)));
        check(
            json!({"a": 1}),
            json!({"b": "x"}),
            &Kind::Object([("a".to_owned(), Kind::Integer), ("b".to_owned(), Kind::Text)].into()),
        );
        assert!(Kind::of(&json!([{"a": [1, "x"]}])).is_mixed());
    }
}
