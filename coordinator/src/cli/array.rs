//! A JSON array whose elements are printed as they come.
//!
//! Owns the text around and between them, which is that of `serde_json` for the whole array, but that
//! characters which steer a terminal are escaped. Holds nothing.

use common::harmless::escaped_json;
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
