//! The shards of an exported embedding space: Parquet with the digest of each image and its embedding.
//!
//! The digest is 32 bytes (`FIXED_LEN_BYTE_ARRAY`), and the embedding a list of 512 numbers in single precision, which
//! pandas and pyarrow read as an array; a half-precision number is exact in it. Embeddings are checked when they are read:
//! length of the digest, number of values, and that they are finite in half precision.

use std::sync::Arc;

use bytes::Bytes;
use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding, Space},
};
use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, Type as PhysicalType, ZstdLevel},
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, DataType, FixedLenByteArray, FixedLenByteArrayType, FloatType},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        reader::{FileReader, RowGroupReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, Type, TypePtr},
};
use serde::{Deserialize, Serialize};

use super::{Shard, table::properties};

/// Rows per shard that an export writes: about 24 MB.
pub const SHARD_ROWS: usize = 16_384;
/// Largest shard that is read, in bytes and in rows.
pub const MAX_SHARD_BYTES: u64 = 512 << 20;
const MAX_SHARD_ROWS: usize = 1 << 18;
/// Longest name of a space.
const MAX_SPACE_BYTES: usize = 256;
/// Rows that are decoded at a time.
const PAGE: usize = 1024;
const SPACE_KEY: &str = "subwatch.space";

/// An image's digest with its embedding.
pub type StoredEmbedding = (Digest, Embedding);

/// The manifest of an exported space.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    pub space: Space,
    /// Values per embedding: 512.
    pub dimensions: usize,
    pub rows: u64,
    pub shards: Vec<Shard>,
}

/// Returns the name of the `number`th shard.
#[must_use]
pub fn shard_name(number: usize) -> String {
    format!("part-{number:05}.parquet")
}

/// Checks the name of a space: it is part of Redis keys and of URLs.
///
/// # Errors
/// When it is empty or too long, or has other characters than letters, digits and `-_.:+@`.
pub fn check_space(space: &Space) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+@".contains(&byte);
    match space.0.len() {
        1..=MAX_SPACE_BYTES if space.0.bytes().all(is_plain) => Ok(()),
        _ => {
            let shown = &space.0[..space.0.floor_char_boundary(64)];
            Err(format!(
                "'{shown}' is not the name of an embedding space: 1 to {MAX_SPACE_BYTES} letters, digits and -_.:+@"
            ))
        }
    }
}

/// Encodes embeddings as a shard.
///
/// # Errors
/// When Parquet refuses them.
pub fn encode(space: &Space, embeddings: &[StoredEmbedding]) -> Result<Bytes, String> {
    write(space, embeddings).map_err(|error| error.to_string())
}

fn write(space: &Space, embeddings: &[StoredEmbedding]) -> Result<Bytes, ParquetError> {
    let values = ColumnPath::from(vec!["embedding".to_owned(), "list".to_owned(), "element".to_owned()]);
    let space = KeyValue::new(SPACE_KEY.to_owned(), space.0.clone());
    let properties = properties()
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(vec![space]))
        .set_column_encoding(values.clone(), Encoding::BYTE_STREAM_SPLIT)
        .set_column_compression(values, Compression::ZSTD(ZstdLevel::try_new(1)?));
    let mut file = SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(properties.build()))?;
    let mut rows = file.next_row_group()?;

    let mut column = rows.next_column()?.expect("the schema has two columns");
    let digest = |(digest, _): &StoredEmbedding| FixedLenByteArray::from(ByteArray::from(digest.0.to_vec()));
    let digests: Vec<FixedLenByteArray> = embeddings.iter().map(digest).collect();
    column.typed::<FixedLenByteArrayType>().write_batch(&digests, None, None)?;
    column.close()?;

    let mut column = rows.next_column()?.expect("the schema has two columns");
    let repetition: Vec<i16> = (0..DIMENSIONS).map(|index| i16::from(index > 0)).collect();
    let definition = vec![1; DIMENSIONS * PAGE];
    let repetitions = repetition.repeat(PAGE);
    for page in embeddings.chunks(PAGE) {
        let values: Vec<f32> = page.iter().flat_map(|(_, embedding)| embedding.to_f32()).collect();
        let levels = (&definition[..values.len()], &repetitions[..values.len()]);
        column.typed::<FloatType>().write_batch(&values, Some(levels.0), Some(levels.1))?;
    }
    column.close()?;
    rows.close()?;
    Ok(Bytes::from(file.into_inner()?))
}

fn schema() -> Result<TypePtr, ParquetError> {
    let digest = Type::primitive_type_builder("sha256", PhysicalType::FIXED_LEN_BYTE_ARRAY)
        .with_length(32)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let element = Type::primitive_type_builder("element", PhysicalType::FLOAT)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    let embedding = Type::group_type_builder("embedding")
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_converted_type(parquet::basic::ConvertedType::LIST)
        .with_fields(vec![Arc::new(list)])
        .build()?;
    let schema = Type::group_type_builder("schema")
        .with_fields(vec![Arc::new(digest), Arc::new(embedding)])
        .build()?;
    Ok(Arc::new(schema))
}

/// Decodes a shard, which need not be one that was written here: pyarrow may have written it.
///
/// # Errors
/// When it is not Parquet with the columns `sha256` and `embedding`, is of another space, or a row is invalid.
pub fn decode(space: &Space, bytes: Bytes) -> Result<Vec<StoredEmbedding>, String> {
    let invalid = |error: ParquetError| format!("it is not a readable Parquet file: {error}");
    let file = SerializedFileReader::new(bytes).map_err(invalid)?;
    let metadata = file.metadata().file_metadata();
    let named = metadata.key_value_metadata().into_iter().flatten();
    let named = named.filter(|entry| entry.key == SPACE_KEY).find_map(|entry| entry.value.as_deref());
    if let Some(other) = named.filter(|named| *named != space.0) {
        return Err(format!("it has embeddings of the space '{other}', not '{space}'"));
    }
    let rows = usize::try_from(metadata.num_rows()).unwrap_or(usize::MAX);
    if rows > MAX_SHARD_ROWS {
        return Err(format!("it has {rows} rows, over the limit of {MAX_SHARD_ROWS}"));
    }
    let schema = metadata.schema_descr();
    let column =
        |path: &str| (0..schema.num_columns()).find(|index| schema.column(*index).path().string() == path);
    let digests = column("sha256").ok_or("it has no column 'sha256'")?;
    let is_list = |index: &usize| schema.column(*index).path().parts()[0] == "embedding";
    let values = (0..schema.num_columns()).find(is_list).ok_or("it has no column 'embedding'")?;
    let types = (schema.column(digests).physical_type(), schema.column(values).physical_type());
    if types != (PhysicalType::FIXED_LEN_BYTE_ARRAY, PhysicalType::FLOAT)
        || schema.column(values).max_rep_level() != 1
    {
        return Err(
            "its columns are not sha256, 32 bytes of fixed length, and embedding, a list of f32".to_owned()
        );
    }
    if schema.column(digests).max_rep_level() != 0 || schema.column(digests).type_length() != 32 {
        return Err(format!("a digest has {} bytes, not 32", schema.column(digests).type_length()));
    }
    let mut embeddings = Vec::new();
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(invalid)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(usize::MAX);
        if embeddings.len().saturating_add(rows) > MAX_SHARD_ROWS {
            return Err(format!("it has over {MAX_SHARD_ROWS} rows"));
        }
        read_group(&*group, (digests, values), &mut embeddings)?;
    }
    Ok(embeddings)
}

fn read_group(
    group: &dyn RowGroupReader,
    (digests, values): (usize, usize),
    embeddings: &mut Vec<StoredEmbedding>,
) -> Result<(), String> {
    let invalid = |error: ParquetError| format!("it cannot be decoded: {error}");
    let column = |index: usize| group.get_column_reader(index).map_err(invalid);
    let mut digests = PagedColumn::<FixedLenByteArrayType>::new(column(digests)?, group, digests);
    let mut values = PagedColumn::<FloatType>::new(column(values)?, group, values);
    let rows = group.metadata().num_rows() as usize;
    for first in (0..rows).step_by(PAGE) {
        let count = PAGE.min(rows - first);
        let row = |index: usize| embeddings.len() + index + 1;
        digests.read(count).map_err(invalid)?;
        values.read(count).map_err(invalid)?;
        if digests.values.len() != count {
            return Err(format!("a row after row {} has no digest", row(0)));
        }
        if !values.has_rows_of(DIMENSIONS, count) {
            return Err(format!("a row from row {} on does not have {DIMENSIONS} values", row(0)));
        }
        let mut read = Vec::with_capacity(count);
        for (index, digest) in digests.values.iter().enumerate() {
            let digest: [u8; 32] = digest.data().try_into().map_err(|_| {
                format!("the digest of row {} has {} bytes, not 32", row(index), digest.len())
            })?;
            let embedding = Embedding::from_f32(&values.values[index * DIMENSIONS..][..DIMENSIONS]);
            if !embedding.to_f32().iter().all(|value| value.is_finite()) {
                return Err(format!("the embedding of row {} is not finite in half precision", row(index)));
            }
            read.push((Digest(digest), embedding));
        }
        embeddings.extend(read);
    }
    Ok(())
}

/// The values of some rows of a column, with their levels.
struct PagedColumn<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    max_definition: i16,
}

impl<T: DataType> PagedColumn<T> {
    fn new(reader: parquet::column::reader::ColumnReader, group: &dyn RowGroupReader, index: usize) -> Self {
        let max_definition = group.metadata().schema_descr().column(index).max_def_level();
        Self {
            reader: parquet::column::reader::get_typed_column_reader(reader),
            values: Vec::new(),
            definition: Vec::new(),
            repetition: Vec::new(),
            max_definition,
        }
    }

    fn read(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.values.clear();
        self.definition.clear();
        self.repetition.clear();
        let mut read = 0;
        while read < rows {
            let (records, ..) = self.reader.read_records(
                rows - read,
                Some(&mut self.definition),
                Some(&mut self.repetition),
                &mut self.values,
            )?;
            if records == 0 {
                break;
            }
            read += records;
        }
        Ok(())
    }

    /// Whether each of `rows` lists has `length` values, none of which is null.
    fn has_rows_of(&self, length: usize, rows: usize) -> bool {
        let is_whole = |list: &[i16]| list[0] == 0 && list[1..].iter().all(|level| *level == 1);
        self.values.len() == length * rows
            && self.definition.iter().all(|level| *level == self.max_definition)
            && self.repetition.len() == length * rows
            && self.repetition.chunks(length).all(is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embeddings(count: usize) -> Vec<StoredEmbedding> {
        let embedding = |number: usize| {
            let features: Vec<f32> =
                (0..DIMENSIONS).map(|index| ((number * 31 + index) % 97) as f32 / 7.0).collect();
            (Digest::of(&number.to_le_bytes()), Embedding::from_f32(&features))
        };
        (0..count).map(embedding).collect()
    }

    #[test]
    fn shards_are_read_back() {
        let space = Space("space-1".to_owned());
        for count in [0, 1, PAGE + 3] {
            let rows = embeddings(count);
            let bytes = encode(&space, &rows).unwrap();
            assert_eq!(encode(&space, &rows).unwrap(), bytes);
            assert_eq!(decode(&space, bytes).unwrap(), rows);
        }
    }

    #[test]
    fn invalid_shards_are_errors() {
        let space = Space("space-1".to_owned());
        let bytes = encode(&space, &embeddings(2)).unwrap();
        let error = decode(&Space("other".to_owned()), bytes.clone()).unwrap_err();
        assert_eq!(error, "it has embeddings of the space 'space-1', not 'other'");
        assert!(decode(&space, Bytes::from_static(b"PAR1")).unwrap_err().contains("Parquet"));
        for cut in [4, bytes.len() / 2, bytes.len() - 1] {
            assert!(decode(&space, bytes.slice(..cut)).is_err());
        }
        let infinite = vec![(Digest::of(b"x"), Embedding::from_f32(&[1e6; DIMENSIONS]))];
        let error = decode(&space, encode(&space, &infinite).unwrap()).unwrap_err();
        assert_eq!(error, "the embedding of row 1 is not finite in half precision");
    }

    #[test]
    fn names_of_spaces_are_plain() {
        let check = |name: &str| check_space(&Space(name.to_owned()));
        assert!(check("resnet34-1a2b-p3-k2-bf16@avx512-bf16").is_ok());
        for name in ["", "a b", "a/b", "{x}", "a\n", &"x".repeat(257)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
