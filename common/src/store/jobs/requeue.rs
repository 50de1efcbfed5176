//! Requeueing: a dead job gets a new generation, and its submission is open again.

use std::sync::LazyLock;

use redis::Script;

use super::script::job_script;
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError},
};

static REQUEUE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/requeue_job.lua")));

/// What came of requeueing a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requeue {
    /// It is to be published again.
    Requeued {
        /// Its new generation.
        generation: u32,
        /// Failures that were taken back.
        restored_items: u64,
    },
    /// It is not dead: it was requeued already, or is worked on.
    NotDiscarded {
        /// Its generation.
        generation: u32,
    },
    /// Its submission is gone.
    Orphaned,
    /// Its submission failed or was cancelled.
    Closed,
}

impl Store {
    /// Gives a dead job another life: the failures that its death caused are taken back, and its submission
    /// is open again. The caller publishes it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn requeue_job(
        &self,
        submission: SubmissionId,
        name: &str,
        items: std::ops::Range<u64>,
    ) -> Result<Requeue, StoreError> {
        let (verdict, generation, restored_items): (String, u32, u64) = REQUEUE
            .key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "results"))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(name)
            .arg(items.start)
            .arg(items.end - items.start)
            .arg(self.keys.notifications())
            .arg(submission.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "requeued" => Requeue::Requeued { generation, restored_items },
            "not-discarded" => Requeue::NotDiscarded { generation },
            "orphaned" => Requeue::Orphaned,
            _ => Requeue::Closed,
        })
    }
}
