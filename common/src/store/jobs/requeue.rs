//! Requeueing: a dead job gets a new generation, and its submission is open again.

use std::sync::LazyLock;

use redis::Script;

use super::script::script_over_marks;
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError},
};

static REQUEUE: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("../scripts/requeue_job.lua")));

/// What came of requeueing a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requeue {
    /// It is to be published again.
    Requeued {
        /// Its new generation.
        generation: u32,
        /// Failures that were taken back.
        healed: u64,
    },
    /// It is not dead: it was requeued already, or is worked on.
    NotDead {
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
        let (verdict, generation, healed): (String, u32, u64) = REQUEUE
            .key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "results"))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(name)
            .arg(items.start)
            .arg(items.end - items.start)
            .arg(self.keys.doorbell())
            .arg(submission.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "requeued" => Requeue::Requeued { generation, healed },
            "not-dead" => Requeue::NotDead { generation },
            "orphaned" => Requeue::Orphaned,
            _ => Requeue::Closed,
        })
    }
}
