//! What a run shows of itself while it goes on and when it is through.
//!
//! Owns the stored document `report`; the view adds the submission's record to it.

use common::{digest::Digest, store::Submission};
use serde::{Deserialize, Serialize};

use crate::api::{EpochReport, LeftOut, RunRequest, RunView, SplitCounts, TestReport};

/// The stored document.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Report {
    pub(super) progress: String,
    pub(super) fraction: f64,
    pub(super) split: Option<SplitCounts>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) epochs: Vec<EpochReport>,
    pub(super) best_epoch: Option<u32>,
    pub(super) test: Option<TestReport>,
    pub(super) weights_sha256: Option<Digest>,
    pub(super) space: Option<String>,
}

impl Report {
    /// Joins the report with the run's record.
    pub(super) fn view(self, submission: &Submission, request: RunRequest, now_ms: u64) -> RunView {
        let end = submission.finished_ms.unwrap_or(now_ms);
        RunView {
            run: submission.id,
            state: submission.state,
            progress: self.progress,
            fraction: self.fraction,
            request,
            split: self.split,
            left_out: self.left_out,
            epochs: self.epochs,
            best_epoch: self.best_epoch,
            test: self.test,
            weights_sha256: self.weights_sha256,
            space: self.space,
            elapsed_seconds: end.saturating_sub(submission.created_ms) as f64 / 1e3,
            error: submission.error.clone(),
        }
    }
}
