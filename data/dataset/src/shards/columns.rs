//! The columns of a dataset's metadata that predictions carry along.

use common::job::output::{Column, ColumnType, MAX_COLUMN_BYTES, MAX_COLUMNS};
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::predictions::OWN_COLUMNS;
use crate::json;

/// Most bytes of JSON that the carried values of one row may have.
pub const MAX_VALUES_BYTES: usize = 4096;

/// Reads the values of the selected columns row by row, and finds the columns' types on the way.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    /// `None` until a row has a value that is not null.
    kinds: Vec<Option<ColumnType>>,
    /// Whether a row has the column.
    is_found: Vec<bool>,
}

impl Columns {
    /// Checks the names of columns.
    ///
    /// # Errors
    /// When there are too many, or one is empty, too long, given twice, or a column that every shard has.
    pub fn new(names: Vec<String>) -> Result<Self, String> {
        if names.len() > MAX_COLUMNS {
            return Err(format!("{} columns exceed the limit of {MAX_COLUMNS}", names.len()));
        }
        for (index, name) in names.iter().enumerate() {
            let problem = match name.len() {
                0 => "its name is empty".to_owned(),
                bytes if bytes > MAX_COLUMN_BYTES => {
                    format!("its name has {bytes} bytes, over the limit of {MAX_COLUMN_BYTES}")
                }
                _ if OWN_COLUMNS.contains(&name.as_str()) => {
                    "the predictions have a column of this name".to_owned()
                }
                _ if names[..index].contains(name) => "it is given twice".to_owned(),
                _ => continue,
            };
            let shown = &name[..name.floor_char_boundary(64)];
            return Err(format!("cannot carry the column '{shown}' along: {problem}"));
        }
        let count = names.len();
        Ok(Self { names, kinds: vec![None; count], is_found: vec![false; count] })
    }

    /// Returns the values of a row, which is empty for an image without one; empty if all are null.
    ///
    /// # Errors
    /// When a value is not valid JSON, or the values have more than [`MAX_VALUES_BYTES`].
    pub fn read(&mut self, row: &[u8]) -> Result<Vec<Value>, String> {
        if self.names.is_empty() || row.is_empty() {
            return Ok(Vec::new());
        }
        let text =
            std::str::from_utf8(row).map_err(|error| format!("the row is not valid UTF-8: {error}"))?;
        let text = json::with_whole_characters(text);
        let found = json::parse_with(&text, |text| {
            let mut parser = serde_json::Deserializer::from_str(text);
            RowValues(&self.names).deserialize(&mut parser)
        });
        let found = found.map_err(|error| format!("a column cannot be carried along: {error}"))?;
        let mut values = Vec::with_capacity(found.len());
        for (index, value) in found.into_iter().enumerate() {
            self.is_found[index] |= value.is_some();
            values.push(value.unwrap_or_default());
        }
        let bytes: usize = values.iter().map(|value| value.to_string().len()).sum();
        if bytes > MAX_VALUES_BYTES {
            return Err(format!(
                "the columns to carry along have {bytes} bytes, over the limit of {MAX_VALUES_BYTES} per row"
            ));
        }
        for (kind, value) in self.kinds.iter_mut().zip(&values) {
            *kind = common_type(*kind, type_of(value));
        }
        Ok(if values.iter().all(Value::is_null) { Vec::new() } else { values })
    }

    /// Returns the columns with their types. One without a value is text.
    ///
    /// # Errors
    /// When no row has one of the columns, which is probably misspelt.
    pub fn finish(self) -> Result<Vec<Column>, String> {
        let missing = self.names.iter().zip(&self.is_found).find(|(_, is_found)| !**is_found);
        if let Some((name, _)) = missing {
            return Err(format!("no row of the dataset has the column '{name}'"));
        }
        let columns = self.names.into_iter().zip(self.kinds);
        Ok(columns.map(|(name, kind)| Column::new(name, kind.unwrap_or(ColumnType::Text))).collect())
    }
}

fn type_of(value: &Value) -> Option<ColumnType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ColumnType::Boolean),
        Value::Number(number) if number.is_i64() => Some(ColumnType::Integer),
        Value::Number(number) if number.is_f64() => Some(ColumnType::Number),
        // An integer beyond 64 bits with a sign keeps its digits as a text.
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => Some(ColumnType::Text),
    }
}

/// Values of different types are texts, except for integers among other numbers.
fn common_type(known: Option<ColumnType>, other: Option<ColumnType>) -> Option<ColumnType> {
    use ColumnType::{Integer, Number, Text};
    match (known, other) {
        (kind, None) | (None, kind) => kind,
        (Some(kind), Some(other)) if kind == other => Some(kind),
        (Some(Integer | Number), Some(Integer | Number)) => Some(Number),
        _ => Some(Text),
    }
}

/// The values of some columns of a row; the others are skipped, whatever they are.
struct RowValues<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for RowValues<'_> {
    type Value = Vec<Option<Value>>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowValues<'_> {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut row: M) -> Result<Self::Value, M::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(name) = row.next_key::<String>()? {
            match self.0.iter().position(|wanted| *wanted == name) {
                Some(index) => values[index] = Some(row.next_value()?),
                None => {
                    row.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(names: &[&str], rows: &[&str]) -> (Vec<Vec<Value>>, Result<Vec<Column>, String>) {
        let mut columns = Columns::new(names.iter().map(|name| (*name).to_owned()).collect()).unwrap();
        let values = rows.iter().map(|row| columns.read(row.as_bytes()).unwrap()).collect();
        (values, columns.finish())
    }

    #[test]
    fn columns_get_one_type_for_all_rows() {
        let check = |values: &[&str], want: ColumnType| {
            let rows: Vec<String> =
                values.iter().map(|value| format!(r#"{{"x":1e999,"a":{value}}}"#)).collect();
            let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
            assert_eq!(read(&["a"], &rows).1.unwrap(), [Column::new("a", want)], "{values:?}");
        };
        check(&["null", "1", "-2"], ColumnType::Integer);
        check(&["1", "2.5", "NaN"], ColumnType::Number);
        check(&["true", "null"], ColumnType::Boolean);
        check(&["null"], ColumnType::Text);
        check(&["1", "\"007\""], ColumnType::Text);
        check(&["true", "1"], ColumnType::Text);
        check(&["18446744073709551615"], ColumnType::Text);
        check(&["[1]", "{}"], ColumnType::Text);
    }

    #[test]
    fn values_are_read_in_the_order_of_the_names() {
        let rows = [
            r#"{"b":"x, \"y\"","file_name":"a.jpg","a":1,"title":"cut \ud83d"}"#,
            r#"{"file_name":"a.jpg"}"#,
            "",
        ];
        let (values, columns) = read(&["a", "title", "b"], &rows);
        assert_eq!(values, [vec![json!(1), json!("cut \u{fffd}"), json!("x, \"y\"")], vec![], vec![]]);
        assert_eq!(columns.unwrap().len(), 3);
        let misspelt = read(&["a", "titel"], &rows).1.unwrap_err();
        assert_eq!(misspelt, "no row of the dataset has the column 'titel'");
    }

    #[test]
    fn unusable_columns_are_errors() {
        let error =
            |names: &[&str]| Columns::new(names.iter().map(|name| (*name).to_owned()).collect()).unwrap_err();
        assert!(error(&["a", ""]).contains("empty"));
        assert!(error(&["a", "b", "a"]).contains("'a' along: it is given twice"));
        assert!(error(&["prediction"]).contains("the predictions have a column of this name"));
        assert!(error(&[&"x".repeat(257)]).contains("257 bytes"));
        assert!(error(&vec!["x"; 65]).contains("65 columns exceed the limit of 64"));
        let mut columns = Columns::new(vec!["a".to_owned()]).unwrap();
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_VALUES_BYTES));
        assert!(columns.read(long.as_bytes()).unwrap_err().contains("over the limit of 4096 per row"));
    }
}
