//! The end of an attempt: applying its results.
//!
//! Invariant: an outcome is applied once per job and generation, however often the job is delivered.

use std::{sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation};

use super::{
    script::{JobRef, ignored_reason, job_script},
    start::Holder,
};
use crate::{
    embedding::DeviceClass,
    job::outcome::ItemResult,
    store::{Store, StoreError},
};

static RECORD_FAILED_ATTEMPT: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/record_failed_attempt.lua")));
static ADD_RESULTS: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/add_results.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/finish_job.lua")));

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    Applied,
    /// The outcome has no effect, for this reason. The delivery is acknowledged all the same.
    Ignored(&'static str),
}

/// How a job ended, for [`Store::finish_job`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobEnd {
    /// A worker resolved its items.
    Done,
    Discarded,
}

/// Results of items of a job.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Results<'a> {
    /// By submission-wide index.
    pub items: &'a [(u64, ItemResult)],
    /// The class of the device that computed those that were not in the cache.
    pub device_class: Option<&'a DeviceClass>,
}

impl<'a, T: AsRef<[(u64, ItemResult)]> + ?Sized> From<&'a T> for Results<'a> {
    fn from(items: &'a T) -> Self {
        Self { items: items.as_ref(), device_class: None }
    }
}

impl Store {
    /// Ends a failed attempt: stores `results` and the error, and makes the job `retryable`. The next attempt follows
    /// after `delay`. After an error, either everything was applied or nothing; repeating it is safe.
    pub async fn record_failed_attempt(
        &self,
        job: JobRef<'_>,
        holder: Holder<'_>,
        error: &str,
        delay: Duration,
        results: impl Into<Results<'_>>,
    ) -> Result<Finish, StoreError> {
        let mut call = RECORD_FAILED_ATTEMPT.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "results"))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(holder.instance.to_string())
            .arg(holder.worker)
            .arg(error)
            .arg(self.keys.notifications())
            .arg(job.submission.to_string())
            .arg(delay.as_millis() as u64);
        push_results(&mut call, results.into());
        self.invoke_finish(&call).await
    }

    /// Stores results of an unfinished job; an item that has one keeps it. Then every worker that runs the job reads the
    /// same results. Repeating it is safe.
    pub async fn add_results(
        &self,
        job: JobRef<'_>,
        results: impl Into<Results<'_>>,
    ) -> Result<Finish, StoreError> {
        let mut call = ADD_RESULTS.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "results"))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(self.keys.notifications())
            .arg(job.submission.to_string());
        push_results(&mut call, results.into());
        self.invoke_finish(&call).await
    }

    /// Ends a job: applies item results, counters and the job's state together, and closes
    /// the submission after its last job, unless [`Store::end_submission`] does. After an error, either everything was
    /// applied or nothing; repeating it is safe.
    pub async fn finish_job(
        &self,
        job: JobRef<'_>,
        end: JobEnd,
        results: impl Into<Results<'_>>,
    ) -> Result<Finish, StoreError> {
        let mut call = FINISH.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "results"))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .key(self.keys.crawled(job.submission, job.name))
            .arg(job.name)
            .arg(job.generation)
            .arg(match end {
                JobEnd::Done => "done",
                JobEnd::Discarded => "discarded",
            })
            .arg(self.keys.notifications())
            .arg(job.submission.to_string());
        push_results(&mut call, results.into());
        self.invoke_finish(&call).await
    }

    pub(super) async fn invoke_finish(&self, call: &ScriptInvocation<'_>) -> Result<Finish, StoreError> {
        let verdict: String = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match verdict.as_str() {
            "applied" => Finish::Applied,
            other => Finish::Ignored(ignored_reason(other)),
        })
    }
}

/// Appends the arguments that `apply_results` in `job.lua` reads.
fn push_results(call: &mut ScriptInvocation<'_>, results: Results<'_>) {
    call.arg(results.device_class.map_or("", |class| &class.0));
    for (index, result) in results.items {
        let class = match result {
            failed if failed.is_failed() => "failed",
            cached if cached.is_cached() => "cached",
            _ => "succeeded",
        };
        let json = serde_json::to_string(result).expect("a result is plain data");
        call.arg(*index).arg(class).arg(json);
    }
}
