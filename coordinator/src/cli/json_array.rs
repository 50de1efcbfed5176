//! Streams JSON arrays: each element is printed when it arrives, and none is kept in memory.
//!
//! The output is that of `serde_json` for the whole value, with control and bidirectional characters escaped.
//! `serde::ser::SerializeSeq` does not fit: a started sequence borrows its serializer, and a `Serialize` inside
//! another value cannot await the next element.

use common::terminal_escape::escaped_json;
use serde::Serialize;

use super::output::Format;

/// An array of which some elements are printed.
pub(super) struct JsonArray {
    /// Indentation of the line that the array begins on; `None` if the output is a single line.
    indent: Option<usize>,
    empty: bool,
}

impl JsonArray {
    /// Starts an array that is nested in `depth` other values.
    pub(super) fn new(format: Format, depth: usize) -> Self {
        let indent = match format {
            Format::Jsonl => None,
            Format::Table | Format::Json | Format::Csv => Some(2 * depth),
        };
        Self { indent, empty: true }
    }

    /// Returns the text of the next element, with the bracket or comma before it.
    pub(super) fn element(&mut self, value: &impl Serialize) -> String {
        let before = if std::mem::replace(&mut self.empty, false) { '[' } else { ',' };
        let Some(indent) = self.indent else {
            let text = serde_json::to_string(value).expect("a view is plain data");
            return format!("{before}{}", escaped_json(&text));
        };
        let start = format!("\n{:width$}", "", width = indent + 2);
        // Newlines inside strings are escaped, so the remaining ones separate lines of the output.
        let text = serde_json::to_string_pretty(value).expect("a view is plain data");
        let text = escaped_json(&text).replace('\n', &start);
        format!("{before}{start}{text}")
    }

    /// Returns the text that closes the array.
    pub(super) fn end(&self) -> String {
        match self.indent {
            _ if self.empty => "[]".to_owned(),
            None => "]".to_owned(),
            Some(indent) => format!("\n{:indent$}]", ""),
        }
    }
}

/// A value with a field that is a streamed array.
pub(super) struct JsonArrayField {
    /// The text before the array.
    pub(super) before: String,
    pub(super) array: JsonArray,
    after: String,
}

impl JsonArrayField {
    /// Starts `value`, in which `field` must be an empty array.
    pub(super) fn new(format: Format, value: &impl Serialize, field: &str) -> Self {
        let (text, key) = match format {
            Format::Jsonl => (serde_json::to_string(value), format!("\"{field}\":")),
            Format::Table | Format::Json | Format::Csv => {
                (serde_json::to_string_pretty(value), format!("\"{field}\": "))
            }
        };
        let text = escaped_json(&text.expect("a view is plain data"));
        // Quotes inside strings are escaped, so the first match is the field itself.
        let (before, after) = text.split_once(&format!("{key}[]")).expect("the field is an empty array");
        Self { before: format!("{before}{key}"), array: JsonArray::new(format, 1), after: after.to_owned() }
    }

    /// Returns the text that closes the array and the value.
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
    fn output_equals_that_of_the_whole_array() {
        let all = vec![json!({"a": [1, {"b": "x\ny"}], "c": {}}), json!(2), json!([])];
        for elements in [Vec::new(), all[..1].to_vec(), all] {
            let whole = Value::Array(elements.clone());
            assert_eq!(printed(Format::Jsonl, 0, &elements), serde_json::to_string(&whole).unwrap());
            assert_eq!(printed(Format::Json, 0, &elements), serde_json::to_string_pretty(&whole).unwrap());
            let nested = serde_json::to_string_pretty(&json!({ "within": whole })).unwrap();
            let within = printed(Format::Json, 1, &elements);
            assert_eq!(format!("{{\n  \"within\": {within}\n}}"), nested);
        }
    }
}
