//! Makes columns of the nested resources of the YouTube Data API: `{"snippet": {"title": …}}` has the column
//! `snippet.title`, as with `pandas.json_normalize`.

use serde_json::{Map, Value};

const RESOURCES: [&str; 4] = ["snippet", "statistics", "contentDetails", "status"];
/// References to another resource, within one of [`RESOURCES`].
const REFERENCES: [&str; 2] = ["resourceId", "upload"];

pub(super) fn is_resource(row: &Map<String, Value>) -> bool {
    RESOURCES.iter().any(|part| row.get(*part).is_some_and(Value::is_object))
}

/// Returns the fields of a row; those of the resource's parts have their names in front.
pub(super) fn flatten(row: Map<String, Value>) -> Vec<(String, Value)> {
    if !is_resource(&row) {
        return row.into_iter().collect();
    }
    let mut fields = Vec::new();
    for (name, value) in row {
        match value {
            Value::Object(part) if name == "id" || RESOURCES.contains(&name.as_str()) => {
                for (field, value) in part {
                    let path = format!("{name}.{field}");
                    match value {
                        Value::Object(reference) if REFERENCES.contains(&field.as_str()) => {
                            let named = |(name, value)| (format!("{path}.{name}"), value);
                            fields.extend(reference.into_iter().map(named));
                        }
                        value => fields.push((path, value)),
                    }
                }
            }
            value => fields.push((name, value)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(row: &Value, expected: &[&str]) {
        let fields = flatten(row.as_object().unwrap().clone());
        let found: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_of_a_resource_are_columns() {
        let search = json!({"id": {"videoId": "a"}, "snippet": {"title": "t", "thumbnails": {}}});
        check(&search, &["id.videoId=\"a\"", "snippet.thumbnails={}", "snippet.title=\"t\""]);
        let item = json!({"snippet": {"resourceId": {"videoId": "a"}}, "contentDetails": {"videoId": "a"}});
        check(&item, &["contentDetails.videoId=\"a\"", "snippet.resourceId.videoId=\"a\""]);
        check(&json!({"id": {"a": 1}}), &["id={\"a\":1}"]);
    }
}
