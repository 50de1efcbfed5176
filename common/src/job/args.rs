//! The closed set of job kinds and the arguments each carries.
//!
//! Owns the words that travel in a job's body; does not own how they are framed (see
//! [`crate::job::envelope`]) or routed (see [`crate::topology`]).
//! Invariant: arguments hold references, never pixels or tensors. They grow additively: unknown fields
//! are ignored, new ones have defaults; a breaking change is a new version and a new queue.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{crawl::CrawlPlan, kind::Kind};
use crate::{
    ids::SubmissionId,
    training::{protocol::Phase, tree::Node},
};

/// Most items of one job.
pub const MAX_CHUNK_ITEMS: u32 = 1024;

/// The arguments of one job, by kind. Serialised without a tag: the envelope's `type` names the kind.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum JobArgs {
    /// See [`Kind::Embed`].
    Embed(EmbedArgs),
    /// See [`Kind::TrainEpoch`].
    TrainEpoch(TrainEpochArgs),
    /// See [`Kind::Predict`].
    Predict(PredictArgs),
    /// See [`Kind::Crawl`].
    Crawl(CrawlArgs),
}

impl JobArgs {
    /// Returns the kind these arguments belong to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Embed(_) => Kind::Embed,
            Self::TrainEpoch(_) => Kind::TrainEpoch,
            Self::Predict(_) => Kind::Predict,
            Self::Crawl(_) => Kind::Crawl,
        }
    }

    /// Returns what singles the job out within its submission: the same for every try at the same work.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Embed(EmbedArgs { chunk })
            | Self::Predict(PredictArgs { chunk, .. })
            | Self::Crawl(CrawlArgs { chunk, .. }) => chunk.index.to_string(),
            Self::TrainEpoch(args) => format!("{}/{}", args.version, args.node),
        }
    }

    /// Checks that the fields are in range, whatever wrote them.
    ///
    /// # Errors
    /// When one is not, saying which.
    pub fn check(&self) -> Result<(), String> {
        let Some(chunk) = self.chunk() else { return Ok(()) };
        if !(1..=MAX_CHUNK_ITEMS).contains(&chunk.items) {
            return Err(format!(
                "chunk.items is {}: it must be between 1 and {MAX_CHUNK_ITEMS}",
                chunk.items
            ));
        }
        if chunk.first_item.checked_add(u64::from(chunk.items)).is_none() {
            return Err(format!("chunk.first_item is {}, beyond what can be counted", chunk.first_item));
        }
        let url = [Some(&chunk.part), chunk.dataset.as_ref()].into_iter().flatten();
        match url.into_iter().find(|url| url.cannot_be_a_base()) {
            Some(url) => Err(format!("'{url}' is no place in an object store")),
            None => Ok(()),
        }
    }

    /// Returns the items these arguments are about; nothing for a training job.
    #[must_use]
    pub fn chunk(&self) -> Option<&Chunk> {
        match self {
            Self::Embed(EmbedArgs { chunk })
            | Self::Predict(PredictArgs { chunk, .. })
            | Self::Crawl(CrawlArgs { chunk, .. }) => Some(chunk),
            Self::TrainEpoch(_) => None,
        }
    }

    /// Parses the JSON `body` of a job of `kind`.
    ///
    /// # Errors
    /// When the body is not JSON or lacks a field that has no default.
    pub fn from_json(kind: Kind, body: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Embed => Self::Embed(serde_json::from_slice(body)?),
            Kind::TrainEpoch => Self::TrainEpoch(serde_json::from_slice(body)?),
            Kind::Predict => Self::Predict(serde_json::from_slice(body)?),
            Kind::Crawl => Self::Crawl(serde_json::from_slice(body)?),
        })
    }
}

/// A run of consecutive items of a submission's manifest: one part of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// Where the manifest's part lies, in the object store.
    pub part: Url,
    /// The folder the items' names are relative to; absent when the images were uploaded and are read
    /// from the store by their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Url>,
    /// Position of this chunk among the submission's chunks; names the job.
    pub index: u32,
    /// Submission-wide index of the first item.
    pub first_item: u64,
    /// How many items the part holds.
    pub items: u32,
}

/// Arguments of an embed job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EmbedArgs {
    /// The images to embed.
    pub chunk: Chunk,
}

/// Arguments of a predict job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PredictArgs {
    /// The images to score.
    pub chunk: Chunk,
    /// The run whose head scores them.
    pub run: SubmissionId,
}

/// Arguments of a crawl job. Its chunk holds one item, and its dataset is the one that is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CrawlArgs {
    /// The [channel or slice](crate::job::crawl::CrawlItem) to crawl.
    pub chunk: Chunk,
    /// How to crawl it.
    pub plan: Box<CrawlPlan>,
}

/// Arguments of a train-epoch job. The run is the envelope's submission; batch size, seed, leaves and
/// samples are in the run's plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrainEpochArgs {
    /// Which pass this is.
    pub phase: Phase,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step within the epoch, from 0; 0 in an evaluation.
    pub step: u32,
    /// Parameter version the answer must be computed with.
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
    fn fields_out_of_range_are_refused() {
        let check = |part: &str, first_item: u64, items: u32, want: Result<(), &str>| {
            let chunk = Chunk { part: Url::parse(part).unwrap(), dataset: None, index: 0, first_item, items };
            let checked = JobArgs::Embed(EmbedArgs { chunk }).check();
            assert_eq!(checked.is_ok(), want.is_ok(), "{checked:?}");
            if let (Err(error), Err(want)) = (checked, want) {
                assert!(error.contains(want), "{error}");
            }
        };
        check("file:///m/0", 0, 1, Ok(()));
        check("file:///m/0", 1 << 40, 1024, Ok(()));
        check("file:///m/0", 0, 0, Err("chunk.items is 0"));
        check("file:///m/0", 0, u32::MAX, Err("between 1 and 1024"));
        check("file:///m/0", u64::MAX, 1, Err("beyond what can be counted"));
        check("mailto:x", 0, 1, Err("'mailto:x' is no place"));
    }
}
