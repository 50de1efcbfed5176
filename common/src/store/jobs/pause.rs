//! Pauses: a job waits for a source, which costs it no attempt.

use std::sync::LazyLock;

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{
    finish::Finish,
    script::{JobRef, script_over_marks},
};
use crate::{
    ids::{BootId, SubmissionId},
    store::{Store, StoreError},
};

static PAUSE: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("../scripts/pause_job.lua")));
static END_PAUSES: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("../scripts/end_pauses.lua")));

/// Why a job rests, which is no fault of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// When it is tried again at the earliest, in Redis's time.
    pub until_ms: u64,
    /// What it waits for.
    pub reason: String,
}

impl Store {
    /// Ends an attempt that does not count: the job rests for a while, and its started mark is taken back.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn pause_job(
        &self,
        job: JobRef<'_>,
        boot: BootId,
        pause: &Pause,
    ) -> Result<Finish, StoreError> {
        let mut call = PAUSE.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(boot.to_string())
            .arg(pause.until_ms)
            .arg(&pause.reason)
            .arg(self.keys.doorbell())
            .arg(job.submission.to_string());
        self.invoke_finish(&call).await
    }

    /// Ends the rest of the jobs of a submission that wait for `host`; they are missed then, and published again.
    /// Returns how many did.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn end_pauses(&self, submission: SubmissionId, host: &str) -> Result<u64, StoreError> {
        let mut call = END_PAUSES.prepare_invoke();
        call.key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(host)
            .arg(self.keys.doorbell())
            .arg(submission.to_string());
        Ok(call.invoke_async(&mut self.connection.clone()).await?)
    }
}
