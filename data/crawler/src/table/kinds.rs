//! The types of CSV columns, as pandas finds them, except that numbers with leading zeros and integers beyond 64 bits
//! are text.

use serde_json::Value;

/// The type of all cells of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ColumnKind {
    Boolean,
    Integer,
    /// At least one number is not an integer.
    Number,
    Text,
}

impl ColumnKind {
    /// Returns the type of these cells, none of which is missing.
    pub(super) fn of<'a>(cells: impl Iterator<Item = &'a str>) -> Self {
        let mut common = None;
        for cell in cells {
            let kind = kind_of(cell);
            let joined = match (common, kind) {
                (None, kind) => kind,
                (Some(common), kind) if common == kind => kind,
                (Some(Self::Integer | Self::Number), Self::Integer | Self::Number) => Self::Number,
                _ => Self::Text,
            };
            if joined == Self::Text {
                return Self::Text;
            }
            common = Some(joined);
        }
        common.unwrap_or(Self::Text)
    }

    /// Converts a cell of a column of this type.
    pub(crate) fn value(self, text: &str) -> Value {
        let cell = text.trim();
        let value = match self {
            Self::Boolean => Some(Value::Bool(cell.eq_ignore_ascii_case("true"))),
            Self::Integer => cell.parse::<i64>().ok().map(Value::from),
            Self::Number => cell.parse::<f64>().ok().map(Value::from),
            Self::Text => None,
        };
        value.unwrap_or_else(|| Value::from(text))
    }
}

fn kind_of(cell: &str) -> ColumnKind {
    if ["true", "True", "TRUE", "false", "False", "FALSE"].contains(&cell) {
        return ColumnKind::Boolean;
    }
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let has_leading_zero =
        digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    if has_leading_zero || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return ColumnKind::Text;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // Readers of JSON make floats of larger integers, which would change them.
        return if cell.parse::<i64>().is_ok() { ColumnKind::Integer } else { ColumnKind::Text };
    }
    if cell.parse::<f64>().is_ok_and(f64::is_finite) { ColumnKind::Number } else { ColumnKind::Text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn column_has_one_type() {
        let check = |cells: &[&str], expected: Value| {
            let kind = ColumnKind::of(cells.iter().copied());
            let values: Vec<Value> = cells.iter().map(|cell| kind.value(cell)).collect();
            assert_eq!(Value::from(values), expected, "{kind:?}");
        };
        check(&["1", "-20", "0"], json!([1, -20, 0]));
        check(&["1", "2.5", "1e3"], json!([1.0, 2.5, 1000.0]));
        check(&["True", "FALSE"], json!([true, false]));
        check(&["1", " x"], json!(["1", " x"]));
        check(&["true", "1"], json!(["true", "1"]));
        check(&["007", "12"], json!(["007", "12"]));
        check(&["9223372036854775807"], json!([i64::MAX]));
        check(&["12345678901234567890"], json!(["12345678901234567890"]));
        check(&["inf"], json!(["inf"]));
        check(&["1,5"], json!(["1,5"]));
        check(&["+5"], json!(["+5"]));
    }
}
