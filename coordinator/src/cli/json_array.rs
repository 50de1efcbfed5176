//! JSON arrays whose elements are printed as they come, so that none is kept.
//!
//! Owns the text around and between elements, which is that of `serde_json` for the whole value, except that
//! characters which steer a terminal are escaped. `serde::ser::SerializeSeq` does not fit: what comes next is awaited,
//! which no `Serialize` inside another value can do, and a sequence that is begun borrows its serializer.

use common::terminal_escape::escaped_json;
use serde::Serialize;

use super::output::Format;

/// An array that is being printed.
pub(super) struct JsonArray {
    /// The indentation of the line that the array begins on; nothing where all is one line.
    indent: Option<usize>,
    empty: bool,
}

impl JsonArray {
    /// Begins an array in `format`, `depth` levels deep.
    pub(super) fn new(format: Format, depth: usize) -> Self {
        let indent = match format {
            Format::Jsonl => None,
            Format::Table | Format::Json => Some(2 * depth),
        };
        Self { indent, empty: true }
    }

    /// Returns the text of the next element, with what comes before it.
    pub(super) fn element(&mut self, value: &impl Serialize) -> String {
        let before = if std::mem::replace(&mut self.empty, false) { '[' } else { ',' };
        let Some(indent) = self.indent else {
            let text = serde_json::to_string(value).expect("a view is plain data");
            return format!("{before}{}", escaped_json(&text));
        };
        let start = format!("\n{:width$}", "", width = indent + 2);
        // A line's end inside a string is written as \n, so those that are left are the printer's own.
        let text = serde_json::to_string_pretty(value).expect("a view is plain data");
        let text = escaped_json(&text).replace('\n', &start);
        format!("{before}{start}{text}")
    }

    /// Returns the text of the end.
    pub(super) fn end(&self) -> String {
        match self.indent {
            _ if self.empty => "[]".to_owned(),
            None => "]".to_owned(),
            Some(indent) => format!("\n{:indent$}]", ""),
        }
    }
}

/// A value with a field that is such an array.
pub(super) struct JsonArrayField {
    /// The text before the array.
    pub(super) before: String,
    pub(super) array: JsonArray,
    after: String,
}

impl JsonArrayField {
    /// Begins `value`, whose own `field` is an empty array.
    pub(super) fn new(format: Format, value: &impl Serialize, field: &str) -> Self {
        let (text, key) = match format {
            Format::Jsonl => (serde_json::to_string(value), format!("\"{field}\":")),
            Format::Table | Format::Json => (serde_json::to_string_pretty(value), format!("\"{field}\": ")),
        };
        let text = escaped_json(&text.expect("a view is plain data"));
        // Quotes inside strings are escaped, so the first match is the field itself.
        let (before, after) = text.split_once(&format!("{key}[]")).expect("the field is an empty array");
        Self { before: format!("{before}{key}"), array: JsonArray::new(format, 1), after: after.to_owned() }
    }

    /// Returns the text of the end.
    pub(super) fn end(&self) -> String {
        self.array.end() + &self.after
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn printed(format: Format, depth: usize, elements: &[Value]) -> String {
        let mut array = JsonArray::new(format, depth);
        let text: String = elements.iter().map(|element| array.element(element)).collect();
        text + &array.end()
    }

    #[test]
    fn the_text_is_that_of_the_whole_array() {
        let some = vec![json!({"a": [1, {"b": "x\ny"}], "c": {}}), json!(2), json!([])];
        for elements in [Vec::new(), some[..1].to_vec(), some] {
            let whole = Value::Array(elements.clone());
            assert_eq!(printed(Format::Jsonl, 0, &elements), serde_json::to_string(&whole).unwrap());
            assert_eq!(printed(Format::Json, 0, &elements), serde_json::to_string_pretty(&whole).unwrap());
            let nested = serde_json::to_string_pretty(&json!({ "within": whole })).unwrap();
            let within = printed(Format::Json, 1, &elements);
            assert_eq!(format!("{{\n  \"within\": {within}\n}}"), nested);
        }
    }
}
