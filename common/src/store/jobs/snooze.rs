//! Pauses: a job waits for a source, which costs it no attempt.

use std::sync::LazyLock;

use redis::Script;
use serde::{Deserialize, Serialize};

use super::{
    finish::Finish,
    script::{JobRef, job_script},
};
use crate::{
    ids::{InstanceId, SubmissionId},
    store::{Store, StoreError},
};

static SNOOZE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/snooze_job.lua")));
static WAKE: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/wake_snoozed_jobs.lua")));

/// Why a job rests, which is no fault of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snooze {
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
    pub async fn snooze_job(
        &self,
        job: JobRef<'_>,
        instance: InstanceId,
        pause: &Snooze,
    ) -> Result<Finish, StoreError> {
        let mut call = SNOOZE.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(instance.to_string())
            .arg(pause.until_ms)
            .arg(&pause.reason)
            .arg(self.keys.notifications())
            .arg(job.submission.to_string());
        self.invoke_finish(&call).await
    }

    /// Ends the rest of the jobs of a submission that wait for `host`; they are missed then, and published again.
    /// Returns how many did.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn wake_snoozed_jobs(&self, submission: SubmissionId, host: &str) -> Result<u64, StoreError> {
        let mut call = WAKE.prepare_invoke();
        call.key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(host)
            .arg(self.keys.notifications())
            .arg(submission.to_string());
        Ok(call.invoke_async(&mut self.connection.clone()).await?)
    }
}
