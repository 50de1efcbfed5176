//! Encodes columns as Parquet or JSON Lines, to the same bytes for the same values.

use std::sync::Arc;

use bytes::Bytes;
use parquet::{
    basic::{Compression, ConvertedType, LogicalType, Repetition, Type as PhysicalType},
    column::writer::ColumnWriterImpl,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::{WriterProperties, WriterPropertiesBuilder},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{Type, TypePtr},
};
use serde::Serialize;

/// A column with a value, or null, for each row.
pub(super) struct TableColumn<'a> {
    pub(super) name: &'a str,
    pub(super) values: Values,
}

pub(super) enum Values {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
}

/// The properties of all Parquet files: nothing in them depends on the time, the machine, or the library's version.
pub(super) fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_created_by("subwatch".to_owned()).set_compression(Compression::SNAPPY)
}

/// Encodes columns of equal length as one row group.
pub(super) fn parquet(columns: &[TableColumn<'_>]) -> Result<Bytes, ParquetError> {
    let fields = columns.iter().map(|column| field(column).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
    let properties = Arc::new(properties().build());
    let mut file = SerializedFileWriter::new(Vec::new(), TypePtr::new(schema), properties)?;
    let mut rows = file.next_row_group()?;
    for column in columns {
        let mut writer = rows.next_column()?.expect("the schema has a field for each column");
        match &column.values {
            Values::Text(values) => {
                let bytes = |text: &String| ByteArray::from(text.as_bytes().to_vec());
                write::<ByteArrayType, _>(&mut writer, values, bytes)?;
            }
            Values::Integer(values) => write::<Int64Type, _>(&mut writer, values, |value| *value)?,
            Values::Number(values) => write::<DoubleType, _>(&mut writer, values, |value| *value)?,
            Values::Boolean(values) => write::<BoolType, _>(&mut writer, values, |value| *value)?,
        }
        writer.close()?;
    }
    rows.close()?;
    Ok(Bytes::from(file.into_inner()?))
}

fn field(column: &TableColumn<'_>) -> Result<Type, ParquetError> {
    let kind = match &column.values {
        Values::Text(_) => PhysicalType::BYTE_ARRAY,
        Values::Integer(_) => PhysicalType::INT64,
        Values::Number(_) => PhysicalType::DOUBLE,
        Values::Boolean(_) => PhysicalType::BOOLEAN,
    };
    let field = Type::primitive_type_builder(column.name, kind).with_repetition(Repetition::OPTIONAL);
    let field = match &column.values {
        Values::Text(_) => {
            field.with_logical_type(Some(LogicalType::String)).with_converted_type(ConvertedType::UTF8)
        }
        _ => field,
    };
    field.build()
}

/// Writes an optional column: a definition level of 0 is null.
fn write<T: DataType, V>(
    writer: &mut SerializedColumnWriter<'_>,
    values: &[Option<V>],
    value: impl Fn(&V) -> T::T,
) -> Result<(), ParquetError> {
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.iter().flatten().map(value).collect();
    let writer: &mut ColumnWriterImpl<'_, T> = writer.typed::<T>();
    writer.write_batch(&values, Some(&levels), None).map(drop)
}

/// Encodes columns of equal length as one JSON object per line, with the fields in the order of the columns.
pub(super) fn json_lines(columns: &[TableColumn<'_>], rows: usize) -> Bytes {
    let names: Vec<String> = columns.iter().map(|column| json(&column.name)).collect();
    let mut text = String::new();
    for row in 0..rows {
        for (column, name) in columns.iter().zip(&names) {
            let value = match &column.values {
                Values::Text(values) => json(&values[row]),
                Values::Integer(values) => json(&values[row]),
                Values::Number(values) => json(&values[row]),
                Values::Boolean(values) => json(&values[row]),
            };
            text.push(if text.is_empty() || text.ends_with('\n') { '{' } else { ',' });
            text.push_str(name);
            text.push(':');
            text.push_str(&value);
        }
        text.push_str("}\n");
    }
    Bytes::from(text)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data serializes to JSON")
}
