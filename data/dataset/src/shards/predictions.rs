//! The files of a batch prediction: a shard per job, a claim and a manifest.
//!
//! Owns their names and their contents. A shard is a function of the items of its job and of their stored results.

use bytes::Bytes;
use common::{
    embedding::Space,
    ids::SubmissionId,
    job::{
        outcome::ItemResult,
        output::{Column, ColumnType, Output, ShardFormat},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    Shard,
    table::{TableColumn, Values, json_lines, parquet},
};
use crate::manifest::ManifestItem;

/// Largest shard: 1,024 rows with the longest names, errors and values have a quarter of it.
pub const MAX_SHARD_BYTES: u64 = 64 << 20;

/// What the names of claims begin with.
pub const CLAIM_PREFIX: &str = "_submission-";

/// The columns that every shard begins with.
pub(super) const OWN_COLUMNS: [&str; 3] = ["item", "prediction", "error"];

/// A row of a shard.
#[derive(Clone, PartialEq, Debug)]
pub struct PredictionRow {
    pub item: String,
    /// The prediction in raw units, or why there is none.
    pub prediction: Result<f64, String>,
    /// Values of the carried columns; may be empty if all are null.
    pub values: Vec<Value>,
}

impl PredictionRow {
    /// Makes the row of an item with its stored result.
    #[must_use]
    pub fn of(item: ManifestItem, result: &ItemResult) -> Self {
        let prediction = match result {
            ItemResult::Predicted { prediction, .. } => Ok(*prediction),
            ItemResult::Failed(failure) => Err(failure.to_string()),
            _ => Err("the item has another result than a prediction".to_owned()),
        };
        Self { item: item.item, prediction, values: item.values }
    }
}

/// Returns the name of a part's shard.
#[must_use]
pub fn shard_name(part: u32, format: ShardFormat) -> String {
    format!("part-{part:05}.{format}")
}

/// Returns the name of the file by which a submission claims a folder.
#[must_use]
pub fn claim_name(submission: SubmissionId) -> String {
    format!("{CLAIM_PREFIX}{submission}.json")
}

/// Returns all columns of a shard: the item's name, prediction and error, then those carried along.
#[must_use]
pub fn all_columns(carried: &[Column]) -> Vec<Column> {
    let kinds = [ColumnType::Text, ColumnType::Number, ColumnType::Text];
    let own = OWN_COLUMNS.into_iter().zip(kinds).map(|(name, kind)| Column::new(name, kind));
    own.chain(carried.iter().cloned()).collect()
}

/// Encodes rows as a shard.
///
/// # Errors
/// When the rows cannot be encoded as Parquet.
pub fn encode(output: &Output, rows: Vec<PredictionRow>) -> Result<Bytes, String> {
    let count = rows.len();
    let carried = output.columns.iter().enumerate().map(|(index, column)| TableColumn {
        name: &column.name,
        values: carried_values(column.kind, rows.iter().map(|row| row.values.get(index))),
    });
    let carried: Vec<TableColumn<'_>> = carried.collect();
    let (mut items, mut predictions, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        items.push(Some(row.item));
        predictions.push(row.prediction.as_ref().ok().copied());
        errors.push(row.prediction.err());
    }
    let own = [Values::Text(items), Values::Number(predictions), Values::Text(errors)];
    let own = OWN_COLUMNS.into_iter().zip(own).map(|(name, values)| TableColumn { name, values });
    let columns: Vec<TableColumn<'_>> = own.chain(carried).collect();
    match output.format {
        ShardFormat::Parquet => parquet(&columns).map_err(|error| error.to_string()),
        ShardFormat::Jsonl => Ok(json_lines(&columns, count)),
    }
}

/// Converts the values of a column to its type. In a text column, other values become their
/// JSON.
fn carried_values<'a>(kind: ColumnType, values: impl Iterator<Item = Option<&'a Value>>) -> Values {
    let values = values.map(|value| value.filter(|value| !value.is_null()));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match kind {
        ColumnType::Text => Values::Text(values.map(|value| value.map(text)).collect()),
        ColumnType::Integer => Values::Integer(values.map(|value| value?.as_i64()).collect()),
        ColumnType::Number => Values::Number(values.map(|value| value?.as_f64()).collect()),
        ColumnType::Boolean => Values::Boolean(values.map(|value| value?.as_bool()).collect()),
    }
}

/// The claim of a submission on its output folder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    pub submission: SubmissionId,
    pub run: SubmissionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Url>,
}

/// The manifest of a complete batch prediction. Its bytes depend on the submission alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    pub submission: SubmissionId,
    pub run: SubmissionId,
    /// The predicted value, in raw units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The embedding space of its jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Url>,
    pub format: ShardFormat,
    /// The columns of every shard.
    pub columns: Vec<Column>,
    pub rows: u64,
    /// Rows with an error.
    pub failed_rows: u64,
    /// In the order of the rows.
    pub shards: Vec<Shard>,
}

impl Manifest {
    /// Encodes the manifest, with one shard per line.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut text = serde_json::to_string(self).expect("plain data serializes to JSON");
        text = text.replace(r#"{"name":"part-"#, "\n{\"name\":\"part-");
        text.push('\n');
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use common::{
        digest::Digest,
        job::outcome::{FailureReason, ItemFailure},
    };
    use serde_json::json;

    use super::*;

    fn rows() -> Vec<PredictionRow> {
        let item = |name: &str, values: Vec<Value>| ManifestItem { values, ..ManifestItem::named(name) };
        let failed = ItemResult::Failed(ItemFailure::new(FailureReason::Empty, "the file has 0 bytes"));
        let predicted =
            |prediction| ItemResult::Predicted { sha256: Digest::of(b"x"), cached: true, prediction };
        vec![
            PredictionRow::of(
                item("여행, \"1\" 😀.jpg", vec![json!("007"), json!(1), json!(true), json!(2)]),
                &predicted(0.1),
            ),
            PredictionRow::of(item("b.jpg", vec![]), &failed),
            PredictionRow::of(
                item("c.jpg", vec![json!([1, "x"]), json!(null), json!(false), json!(2.5)]),
                &predicted(1e-300),
            ),
        ]
    }

    fn output(format: ShardFormat) -> Output {
        let columns = [
            ("text", ColumnType::Text),
            ("views", ColumnType::Integer),
            ("flag", ColumnType::Boolean),
            ("share", ColumnType::Number),
        ];
        let columns = columns.map(|(name, kind)| Column::new(name, kind)).to_vec();
        Output { folder: Url::parse("s3://bucket/out/").unwrap(), format, columns }
    }

    #[test]
    fn json_lines_have_all_columns_in_order() {
        let bytes = encode(&output(ShardFormat::Jsonl), rows()).unwrap();
        let lines: Vec<&str> = std::str::from_utf8(&bytes).unwrap().lines().collect();
        assert_eq!(
            lines,
            [
                r#"{"item":"여행, \"1\" 😀.jpg","prediction":0.1,"error":null,"text":"007","views":1,"flag":true,"share":2.0}"#,
                r#"{"item":"b.jpg","prediction":null,"error":"empty: the file has 0 bytes","text":null,"views":null,"flag":null,"share":null}"#,
                r#"{"item":"c.jpg","prediction":1e-300,"error":null,"text":"[1,\"x\"]","views":null,"flag":false,"share":2.5}"#,
            ]
        );
    }

    #[test]
    fn the_same_rows_make_the_same_bytes() {
        for format in ShardFormat::ALL {
            let first = encode(&output(format), rows()).unwrap();
            assert_eq!(encode(&output(format), rows()).unwrap(), first);
            let mut others = rows();
            others.swap(0, 2);
            assert_ne!(encode(&output(format), others).unwrap(), first, "the order of the rows counts");
        }
    }

    /// A change of these bytes breaks the promise that versions which run side by side write the same shard.
    #[test]
    fn parquet_bytes_do_not_change() {
        let bytes = encode(&output(ShardFormat::Parquet), rows()).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        assert_eq!(Digest::of(&bytes).prefix(16), "08f262987b8c0cb1");
    }

    #[test]
    fn manifest_has_a_line_for_each_shard() {
        let id: SubmissionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let shard = |part| Shard {
            name: shard_name(part, ShardFormat::Parquet),
            rows: 2,
            bytes: 300,
            sha256: Digest::of(b"x"),
        };
        let manifest = Manifest {
            version: 1,
            submission: id,
            run: id,
            target: Some("views".to_owned()),
            space: None,
            dataset: None,
            format: ShardFormat::Parquet,
            columns: all_columns(&output(ShardFormat::Parquet).columns),
            rows: 4,
            failed_rows: 1,
            shards: vec![shard(0), shard(1)],
        };
        let bytes = manifest.to_bytes();
        assert_eq!(serde_json::from_slice::<Manifest>(&bytes).unwrap(), manifest);
        assert_eq!(std::str::from_utf8(&bytes).unwrap().lines().count(), 3);
    }
}
