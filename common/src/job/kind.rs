//! The closed set of job kinds.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, SubmissionId};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Compute and store the embeddings of a chunk of images.
    Embed,
    /// Compute one node's share of a training step, or of an evaluation pass.
    TrainEpoch,
    /// Predict the target of a chunk of images with a run's head.
    Predict,
    /// Crawl one channel, or part of a list of videos, into a dataset.
    Crawl,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Embed, Self::TrainEpoch, Self::Predict, Self::Crawl];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::TrainEpoch => "train-epoch",
            Self::Predict => "predict",
            Self::Crawl => "crawl",
        }
    }

    /// Whether jobs of this kind need the backbone.
    #[must_use]
    pub fn needs_model(self) -> bool {
        match self {
            Self::Embed | Self::Predict => true,
            Self::TrainEpoch | Self::Crawl => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown job kind '{text}' (known: {known})")
        })
    }
}

impl JobId {
    /// Derives the ID of the job called `name` of `kind` within `submission`.
    #[must_use]
    pub fn derive(submission: SubmissionId, kind: Kind, name: &str) -> Self {
        Self::from_name(submission, &format!("{kind}/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_through_their_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!(
            "dance".parse::<Kind>().unwrap_err(),
            "unknown job kind 'dance' (known: embed, train-epoch, predict, crawl)"
        );
    }

    #[test]
    fn job_ids_are_stable_and_distinct() {
        let submission = SubmissionId::now();
        let job = JobId::derive(submission, Kind::Embed, "7");
        assert_eq!(job, JobId::derive(submission, Kind::Embed, "7"));
        assert_ne!(job, JobId::derive(submission, Kind::Embed, "8"));
        assert_ne!(job, JobId::derive(submission, Kind::Predict, "7"));
        assert_ne!(job, JobId::derive(SubmissionId::now(), Kind::Embed, "7"));
    }
}
