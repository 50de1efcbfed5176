//! Submissions: how they are split into jobs, retried and retained.

use std::time::Duration;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};
use crate::job::{args::MAX_CHUNK_ITEMS, kind::Kind};

/// Jobs and submissions.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct JobSettings {
    /// Items per embed or predict job, at most 1024.
    pub chunk_items: u32,
    /// Attempts of an embed job before it is discarded.
    pub embed_attempts: u32,
    /// Attempts of a predict job before it is discarded.
    pub predict_attempts: u32,
    /// Attempts of a train-epoch job before its run fails.
    pub train_attempts: u32,
    /// Attempts of a crawl job before it is discarded. Waiting for a host that is backed off is not an
    /// attempt.
    pub crawl_attempts: u32,
    /// Largest number of unfinished submissions and runs. More are refused with status 429.
    pub max_active: u64,
    /// How long a finished submission is kept, in seconds. Runs with a head are kept forever.
    pub retention_seconds: u64,
    /// Seconds without a heartbeat after which a job is published again, if its queue is empty.
    pub rescue_after_seconds: u64,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            chunk_items: 64,
            embed_attempts: 5,
            predict_attempts: 5,
            train_attempts: 5,
            crawl_attempts: 5,
            max_active: 1000,
            retention_seconds: 30 * 24 * 3600,
            rescue_after_seconds: 30,
        }
    }
}

impl JobSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_CHUNK_ITEMS).contains(&self.chunk_items) {
            return fail("chunk_items", &self.chunk_items, &format!("between 1 and {MAX_CHUNK_ITEMS}"));
        }
        for kind in Kind::ALL {
            if self.max_attempts(kind) == 0 {
                return fail(&format!("{}_attempts", kind.name().replace("-epoch", "")), &0, "at least 1");
            }
        }
        if self.max_active == 0 {
            return fail("max_active", &0, "at least 1");
        }
        Ok(())
    }

    /// Number of attempts before a job is discarded.
    #[must_use]
    pub fn max_attempts(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Embed => self.embed_attempts,
            Kind::Predict => self.predict_attempts,
            Kind::TrainEpoch => self.train_attempts,
            Kind::Crawl => self.crawl_attempts,
        }
    }

    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    /// Time without a heartbeat after which a job is published again.
    #[must_use]
    pub fn rescue_after(&self) -> Duration {
        Duration::from_secs(self.rescue_after_seconds)
    }
}
