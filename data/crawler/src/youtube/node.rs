//! A JSON value with its path, so that errors name the path of a missing value.

use serde_json::Value;

use super::faults::{ResponseKeys, SchemaDrift};

#[derive(Clone)]
pub(super) struct JsonNode<'a> {
    pub(super) value: &'a Value,
    path: String,
}

impl<'a> JsonNode<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { value, path: format!("{}{dot}{key}", self.path) }
    }

    /// Makes an error at this path.
    pub(super) fn drift(&self, problem: impl Into<String>) -> SchemaDrift {
        let path = if self.path.is_empty() { "$" } else { &self.path };
        SchemaDrift::new(path, problem)
    }

    /// Returns the value at the path `keys`, if it exists.
    pub(super) fn find(&self, keys: &[&str]) -> Option<Self> {
        keys.iter()
            .try_fold(self.clone(), |node, key| node.value.get(key).map(|value| node.child(key, value)))
    }

    /// Returns the value at the path `keys`.
    pub(super) fn at(&self, keys: &[&str]) -> Result<Self, SchemaDrift> {
        keys.iter().try_fold(self.clone(), |node, key| match node.value.get(key) {
            Some(value) => Ok(node.child(key, value)),
            None => Err(node.drift(format!("missing {key}, found {}", ResponseKeys(node.value)))),
        })
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, SchemaDrift> {
        let items = self.value.as_array().ok_or_else(|| self.drift("not a list"))?;
        let item = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// Returns the elements of the list at the path `keys`, or an empty vector if there is no list.
    pub(super) fn items_at(&self, keys: &[&str]) -> Vec<Self> {
        self.find(keys).and_then(|list| list.items().ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> Result<&'a str, SchemaDrift> {
        self.value.as_str().ok_or_else(|| self.drift("not a text"))
    }

    /// Returns the text at the path `keys`, if it exists.
    pub(super) fn text_at(&self, keys: &[&str]) -> Option<&'a str> {
        self.find(keys)?.value.as_str()
    }

    /// Returns a text in one of its three forms: `simpleText`, `content` or joined `runs`.
    pub(super) fn rich_text(&self) -> Option<String> {
        if let Some(text) = self.text_at(&["simpleText"]).or_else(|| self.text_at(&["content"])) {
            return Some(text.to_owned());
        }
        let runs = self.find(&["runs"])?.items().ok()?;
        Some(runs.iter().filter_map(|run| run.text_at(&["text"])).collect())
    }

    /// Returns the keys of a list's elements, for error messages.
    pub(super) fn kinds(&self) -> String {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut keys: Vec<String> = items.iter().map(|item| ResponseKeys(item).to_string()).collect();
        keys.dedup();
        if keys.is_empty() { "nothing".to_owned() } else { keys.join("; ") }
    }

    /// Returns the only key and value of an object such as `{"videoRenderer": {…}}`, ignoring tracking parameters.
    pub(super) fn kind(&self) -> Option<(&'a str, Self)> {
        let object = self.value.as_object()?;
        let is_content = |key: &str| key != "trackingParams" && key != "clickTrackingParams";
        let (key, value) = object.iter().find(|(key, _)| is_content(key))?;
        Some((key, self.child(key, value)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_value_is_named_by_its_path() {
        let response = json!({"tabs": [{"title": 3, "runs": [{"text": "a"}, {"text": "b"}]}]});
        let root = JsonNode::root(&response);
        assert_eq!(root.at(&["items"]).err(), Some(SchemaDrift::new("$", "missing items, found tabs")));
        let tab = &root.at(&["tabs"]).unwrap().items().unwrap()[0];
        let missing = tab.at(&["runs", "text"]).err().unwrap();
        assert_eq!(
            missing.to_string(),
            "unknown response layout at tabs[0].runs: missing text, found a value that is not an object"
        );
        assert_eq!(tab.at(&["title"]).unwrap().text(), Err(SchemaDrift::new("tabs[0].title", "not a text")));
        assert_eq!(tab.rich_text().unwrap(), "ab");
        assert!(tab.find(&["title", "deeper"]).is_none());
    }
}
