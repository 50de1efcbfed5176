//! Snoozing: a job waits without spending an attempt.

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

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snooze {
    /// The job does not run before this time.
    pub until_ms: u64,
    /// Names the host that the job waits for, if any: [`Store::wake_snoozed_jobs`] searches for it.
    pub reason: String,
}

impl Store {
    /// Snoozes a job: ends the attempt without counting it.
    pub async fn snooze_job(
        &self,
        job: JobRef<'_>,
        instance: InstanceId,
        snooze: &Snooze,
    ) -> Result<Finish, StoreError> {
        let mut call = SNOOZE.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(instance.to_string())
            .arg(snooze.until_ms)
            .arg(&snooze.reason)
            .arg(self.keys.notifications())
            .arg(job.submission.to_string());
        self.invoke_finish(&call).await
    }

    /// Wakes the jobs of a submission that are snoozed because of `host`: the rescuer publishes them again. Returns how
    /// many there were.
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
