//! The arguments of each job kind: the JSON body of a job's message.
//!
//! Framing is in [`crate::job::envelope`], routing in [`crate::topology`].
//! Invariants: arguments contain references, never pixels or tensors. Changes are additive: unknown fields are
//! ignored and new ones have defaults; a breaking change needs a new version and a new queue.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    crawl::CrawlPlan,
    kind::Kind,
    output::{MAX_COLUMNS, Output},
};
use crate::{
    embedding::Space,
    ids::SubmissionId,
    training::{protocol::Phase, tree::Node},
};

/// Most items in one job.
pub const MAX_CHUNK_ITEMS: u32 = 1024;
/// Most bytes that a job's items take in the manifest: enough for 1,024, whose names, IDs and carried values have at most
/// 24 KiB of JSON each.
pub const MAX_CHUNK_BYTES: u64 = 32 << 20;

/// The arguments of one job, by kind. Serialised without a tag: the envelope's `type` names the kind.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum JobArgs {
    Embed(EmbedArgs),
    TrainEpoch(TrainEpochArgs),
    Predict(PredictArgs),
    Crawl(CrawlArgs),
}

impl JobArgs {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Embed(_) => Kind::Embed,
            Self::TrainEpoch(_) => Kind::TrainEpoch,
            Self::Predict(_) => Kind::Predict,
            Self::Crawl(_) => Kind::Crawl,
        }
    }

    /// Returns the job's name, unique within its submission and the same for every attempt.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Embed(EmbedArgs { chunk, .. })
            | Self::Predict(PredictArgs { chunk, .. })
            | Self::Crawl(CrawlArgs { chunk, .. }) => chunk.index.to_string(),
            Self::TrainEpoch(args) => format!("{}/{}", args.version, args.node),
        }
    }

    /// Checks the ranges of the fields, since any program may have published the message.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<(), String> {
        let Some(chunk) = self.chunk() else { return Ok(()) };
        if !(1..=MAX_CHUNK_ITEMS).contains(&chunk.items) {
            return Err(format!(
                "chunk.items is {}; it must be between 1 and {MAX_CHUNK_ITEMS}",
                chunk.items
            ));
        }
        if chunk.first_item.checked_add(u64::from(chunk.items)).is_none() {
            return Err(format!("chunk.first_item is {}, which is too large", chunk.first_item));
        }
        if let Some(ByteRange { offset, bytes }) = chunk.range
            && (bytes > MAX_CHUNK_BYTES || offset.checked_add(bytes).is_none())
        {
            return Err(format!(
                "chunk.range is {bytes} bytes at {offset}, over the limit of {MAX_CHUNK_BYTES} bytes"
            ));
        }
        let output = match self {
            Self::Predict(PredictArgs { output, .. }) => output.as_ref(),
            _ => None,
        };
        if let Some(columns) = output.map(|output| output.columns.len()).filter(|count| *count > MAX_COLUMNS)
        {
            return Err(format!("output.columns has {columns} columns, over the limit of {MAX_COLUMNS}"));
        }
        let folder = output.map(|output| &output.folder);
        let mut urls = [Some(&chunk.part), chunk.dataset.as_ref(), folder].into_iter().flatten();
        match urls.find(|url| url.cannot_be_a_base()) {
            Some(url) => Err(format!("'{url}' is not an object store URL")),
            None => Ok(()),
        }
    }

    /// Returns the job's items; `None` for a training job.
    #[must_use]
    pub fn chunk(&self) -> Option<&Chunk> {
        match self {
            Self::Embed(EmbedArgs { chunk, .. })
            | Self::Predict(PredictArgs { chunk, .. })
            | Self::Crawl(CrawlArgs { chunk, .. }) => Some(chunk),
            Self::TrainEpoch(_) => None,
        }
    }

    pub fn from_json(kind: Kind, body: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Embed => Self::Embed(serde_json::from_slice(body)?),
            Kind::TrainEpoch => Self::TrainEpoch(serde_json::from_slice(body)?),
            Kind::Predict => Self::Predict(serde_json::from_slice(body)?),
            Kind::Crawl => Self::Crawl(serde_json::from_slice(body)?),
        })
    }
}

/// Consecutive items of a submission.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// URL of the file of the manifest that has the items, in the object store.
    pub part: Url,
    /// Where in that file they are; they are the whole file if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ByteRange>,
    /// The folder that item names are relative to; absent for uploaded images, which are read from Redis by
    /// digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Url>,
    /// Index of this chunk within the submission; the job's name.
    pub index: u32,
    /// Submission-wide index of the first item.
    pub first_item: u64,
    pub items: u32,
}

/// A part of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ByteRange {
    pub offset: u64,
    pub bytes: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EmbedArgs {
    pub chunk: Chunk,
    /// The space to embed into. Absent in jobs of earlier versions: the worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PredictArgs {
    pub chunk: Chunk,
    /// The run whose head predicts.
    pub run: SubmissionId,
    /// The space of the embeddings. Absent in jobs of earlier versions: the worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// Where the job writes a shard of the predictions; absent if they are only stored as results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<Output>>,
}

/// Arguments of a crawl job. Its chunk has one item; its dataset is where the rows are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlArgs {
    /// The [`CrawlItem`](crate::job::crawl::CrawlItem) to crawl.
    pub chunk: Chunk,
    pub plan: Box<CrawlPlan>,
}

/// Arguments of a train-epoch job. The run is the envelope's submission; batch size, seed, leaves and
/// samples are in the run's plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrainEpochArgs {
    pub phase: Phase,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step within the epoch, from 0; 0 in an evaluation.
    pub step: u32,
    /// Version of the parameters to compute with.
    pub version: u64,
    /// The part of the reduction tree to compute.
    pub node: Node,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_are_errors() {
        let body =
            br#"{"chunk":{"part":"file:///m/0","index":0,"first_item":0,"items":2,"later":1},"new":true}"#;
        let JobArgs::Embed(args) = JobArgs::from_json(Kind::Embed, body).unwrap() else {
            panic!("wrong kind")
        };
        assert_eq!(args.chunk.items, 2);
        assert!(JobArgs::from_json(Kind::Embed, b"{}").is_err());
        assert!(JobArgs::from_json(Kind::Predict, body).is_err());
    }

    #[test]
    fn fields_out_of_range_are_rejected() {
        let check = |part: &str, first_item: u64, items: u32, want: Result<(), &str>| {
            let part = Url::parse(part).unwrap();
            let chunk = Chunk { part, range: None, dataset: None, index: 0, first_item, items };
            let checked = JobArgs::Embed(EmbedArgs { chunk, space: None }).check();
            assert_eq!(checked.is_ok(), want.is_ok(), "{checked:?}");
            if let (Err(error), Err(want)) = (checked, want) {
                assert!(error.contains(want), "{error}");
            }
        };
        check("file:///m/0", 0, 1, Ok(()));
        check("file:///m/0", 1 << 40, 1024, Ok(()));
        check("file:///m/0", 0, 0, Err("chunk.items is 0"));
        check("file:///m/0", 0, u32::MAX, Err("between 1 and 1024"));
        check("file:///m/0", u64::MAX, 1, Err("is too large"));
        check("mailto:x", 0, 1, Err("'mailto:x' is not"));
        let in_range = |offset, bytes| {
            let part = Url::parse("file:///m/0").unwrap();
            let range = Some(ByteRange { offset, bytes });
            let chunk = Chunk { part, range, dataset: None, index: 0, first_item: 0, items: 1 };
            JobArgs::Embed(EmbedArgs { chunk, space: None }).check()
        };
        assert_eq!(in_range(1 << 40, MAX_CHUNK_BYTES), Ok(()));
        assert!(in_range(0, MAX_CHUNK_BYTES + 1).unwrap_err().contains("chunk.range is"));
        assert!(in_range(u64::MAX, 1).is_err());
    }
}
