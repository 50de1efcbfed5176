//! Requeueing a discarded job under a new generation.

use std::sync::LazyLock;

use redis::Script;

use super::script::job_script;
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError},
};

static REQUEUE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/requeue_job.lua")));

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requeue {
    /// The caller must publish it.
    Requeued {
        /// The new generation.
        generation: u32,
        /// Items whose failure was removed.
        restored_items: u64,
    },
    /// The job is not discarded: it was already requeued, or is in progress.
    NotDiscarded { generation: u32 },
    /// Its submission no longer exists.
    Orphaned,
    /// Its submission failed or was cancelled.
    Closed,
}

impl Store {
    /// Requeues a discarded job: removes the failures of items that it left unresolved, and reopens its submission.
    /// The caller publishes the job.
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
