//! Data on its way to text, and what faults make of it.
//!
//! Owns the renaming, breaking and garbling of JSON. Without such a fault the text is the value's own.

use serde_json::{Map, Value};

use super::faults::Fault;

/// The value as text, with what the fault does to it.
pub(super) fn written(value: Value, fault: Option<Fault>) -> Vec<u8> {
    match fault {
        Some(Fault::SchemaDrift) => drifted(value).to_string().into_bytes(),
        // One colon is lost; braces and quotes still match.
        Some(Fault::InvalidJson) => value.to_string().replacen("\":", "\"", 1).into_bytes(),
        Some(Fault::BadUtf8) => garbled(&value.to_string()),
        _ => value.to_string().into_bytes(),
    }
}

fn drifted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.into_iter().map(|(key, value)| (renamed(key), drifted(value))).collect();
            Value::Object(fields)
        }
        Value::Array(values) => values.into_iter().map(drifted).collect(),
        other => other,
    }
}

fn renamed(key: String) -> String {
    match key.as_str() {
        "videoRenderer" | "lockupViewModel" => "mediaCardViewModel".to_owned(),
        "items" => "entries".to_owned(),
        _ => key,
    }
}

/// Puts bytes that no UTF-8 has into the first text that is not empty.
fn garbled(text: &str) -> Vec<u8> {
    let at = text
        .match_indices("\":\"")
        .map(|(at, found)| at + found.len())
        .find(|&at| text.as_bytes()[at] != b'"')
        .unwrap_or(0);
    [&text.as_bytes()[..at], b"\xff\xfe", &text.as_bytes()[at..]].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_breaks_what_it_says_and_nothing_else() {
        let value = || json!({"items": [{"videoRenderer": {"title": "a {\"b\"}"}}]});
        let parse = |fault| serde_json::from_slice::<Value>(&written(value(), fault));
        assert_eq!(parse(None).unwrap(), value());
        assert_eq!(parse(Some(Fault::Reset)).unwrap(), value());
        let drifted = json!({"entries": [{"mediaCardViewModel": {"title": "a {\"b\"}"}}]});
        assert_eq!(parse(Some(Fault::SchemaDrift)).unwrap(), drifted);
        assert!(parse(Some(Fault::InvalidJson)).is_err());
        let garbled = written(value(), Some(Fault::BadUtf8));
        assert!(std::str::from_utf8(&garbled).is_err());
        assert_eq!(
            serde_json::from_str::<Value>(&String::from_utf8_lossy(&garbled)).unwrap()["items"],
            json!(
                [{"videoRenderer": {"title": "\u{fffd}\u{fffd}a {\"b\"}"}}]
            )
        );
    }
}
