//! Serialises JSON, with the faults that rename fields or break its text.

use serde_json::{Map, Value};

use super::faults::Fault;

/// Serialises the value with the fault applied.
pub(super) fn serialize(value: Value, fault: Option<Fault>) -> Vec<u8> {
    match fault {
        Some(Fault::SchemaDrift) => rename_fields(value).to_string().into_bytes(),
        // Drop one colon; braces and quotes still match.
        Some(Fault::InvalidJson) => value.to_string().replacen("\":", "\"", 1).into_bytes(),
        Some(Fault::BadUtf8) => insert_invalid_utf8(&value.to_string()),
        _ => value.to_string().into_bytes(),
    }
}

fn rename_fields(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.into_iter().map(|(key, value)| (renamed_key(key), rename_fields(value))).collect();
            Value::Object(fields)
        }
        Value::Array(values) => values.into_iter().map(rename_fields).collect(),
        other => other,
    }
}

fn renamed_key(key: String) -> String {
    match key.as_str() {
        "videoRenderer" | "lockupViewModel" => "mediaCardViewModel".to_owned(),
        "items" => "entries".to_owned(),
        _ => key,
    }
}

/// Inserts invalid UTF-8 into the first non-empty string.
fn insert_invalid_utf8(text: &str) -> Vec<u8> {
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
    fn each_fault_corrupts_only_its_part() {
        let value = || json!({"items": [{"videoRenderer": {"title": "a {\"b\"}"}}]});
        let parse = |fault| serde_json::from_slice::<Value>(&serialize(value(), fault));
        assert_eq!(parse(None).unwrap(), value());
        assert_eq!(parse(Some(Fault::Reset)).unwrap(), value());
        let rename_fields = json!({"entries": [{"mediaCardViewModel": {"title": "a {\"b\"}"}}]});
        assert_eq!(parse(Some(Fault::SchemaDrift)).unwrap(), rename_fields);
        assert!(parse(Some(Fault::InvalidJson)).is_err());
        let insert_invalid_utf8 = serialize(value(), Some(Fault::BadUtf8));
        assert!(std::str::from_utf8(&insert_invalid_utf8).is_err());
        assert_eq!(
            serde_json::from_str::<Value>(&String::from_utf8_lossy(&insert_invalid_utf8)).unwrap()["items"],
            json!(
                [{"videoRenderer": {"title": "\u{fffd}\u{fffd}a {\"b\"}"}}]
            )
        );
    }
}
