//! The embeddings of a space, for copies of it.

use base64::{Engine, engine::general_purpose::STANDARD};
use common::{digest::Digest, embedding::Embedding};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// One line of `GET /v1/spaces/{name}/embeddings`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEmbedding {
    /// SHA-256 of the image.
    pub sha256: Digest,
    /// 512 numbers in half precision, little-endian, as base64.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub embedding: Embedding,
}

/// `POST /v1/spaces/{name}/embeddings`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddEmbeddings {
    pub embeddings: Vec<RawEmbedding>,
}

impl AddEmbeddings {
    /// Maximum length of `embeddings`, and of a page.
    pub const MAX: usize = 2048;
}

/// Response of `POST /v1/spaces/{name}/embeddings`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AddedEmbeddings {
    /// Embeddings that the space did not have.
    pub added: u64,
    /// Embeddings that the space had already.
    pub present: u64,
    /// Images of which the space has another embedding, which stays.
    pub different: u64,
}

impl AddedEmbeddings {
    /// Adds the response to another request.
    pub fn add(&mut self, more: Self) {
        let Self { added, present, different } = more;
        self.added += added;
        self.present += present;
        self.different += different;
    }
}

fn write<S: Serializer>(embedding: &Embedding, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(embedding.to_bytes()))
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Embedding, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(|error| D::Error::custom(format!("not base64: {error}")))?;
    let embedding = Embedding::from_bytes(&bytes);
    let embedding = embedding
        .ok_or_else(|| D::Error::custom(format!("an embedding has 1024 bytes, not {}", bytes.len())))?;
    match embedding.to_f32().iter().all(|value| value.is_finite()) {
        true => Ok(embedding),
        false => Err(D::Error::custom("an embedding has numbers that are not finite")),
    }
}

#[cfg(test)]
mod tests {
    use common::embedding::DIMENSIONS;

    use super::*;

    #[test]
    fn embeddings_round_trip_and_invalid_ones_are_errors() {
        let raw = |value: f32| RawEmbedding {
            sha256: Digest::of(b"x"),
            embedding: Embedding::from_f32(&[value; DIMENSIONS]),
        };
        let json = serde_json::to_string(&raw(0.5)).unwrap();
        assert_eq!(serde_json::from_str::<RawEmbedding>(&json).unwrap(), raw(0.5));
        for invalid in [json.replace("AD", "A-"), json.replacen("ADgA", "", 1)] {
            assert!(serde_json::from_str::<RawEmbedding>(&invalid).is_err(), "{invalid}");
        }
        let infinite = serde_json::to_string(&raw(f32::INFINITY)).unwrap();
        let error = serde_json::from_str::<RawEmbedding>(&infinite).unwrap_err().to_string();
        assert!(error.contains("not finite"), "{error}");
    }
}
