//! Holding a job: a worker starts it, shows that it works on it, and lets it go.
//!
//! Invariant: a process that dies with a job leaves its started mark, by which the next one knows.

use std::sync::LazyLock;

use redis::Script;

use super::script::{JobRef, ignored_reason, job_script, optional};
use crate::{
    ids::InstanceId,
    store::{Store, StoreError},
};

/// Crashes while alone after which a job is poison.
const POISON_LIMIT: u32 = 3;

static START: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/start_job.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/release_job.lua")));
static HEARTBEAT: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/heartbeat_job.lua")));

/// The process that holds a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder<'a> {
    /// This life of the process.
    pub instance: InstanceId,
    /// Its name, for people.
    pub worker: &'a str,
}

/// What a worker may do with a job it received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Work on it beside others.
    Run,
    /// Work on it with nothing else in flight: an earlier process may have died of it.
    RunExclusive {
        /// Processes that died while they held it.
        crashes: u32,
    },
    /// Discard it: every process that ran it alone died.
    Poison {
        /// Processes that died while they held it.
        crashes: u32,
    },
    /// Discard it: its deadline has passed.
    Expired,
    /// Acknowledge it: it is finished, its submission is closed or gone, or its generation is over.
    Skip(&'static str),
}

/// Whether a process works on other jobs beside this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// It does, or may.
    Shared,
    /// It does not.
    Exclusive,
}

/// Whether the work on a job still has a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heartbeat {
    /// It has.
    Open,
    /// Its submission is closed or gone.
    Closed,
    /// Its deadline has passed.
    Expired,
}

impl Store {
    /// Marks a job as started by `holder` and says what to do with it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn start_job(
        &self,
        job: JobRef<'_>,
        holder: Holder<'_>,
        redelivered: bool,
        company: Isolation,
        deadline_ms: Option<u64>,
    ) -> Result<Start, StoreError> {
        let (verdict, crashes): (String, u32) = START
            .key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(holder.instance.to_string())
            .arg(holder.worker)
            .arg(u8::from(redelivered))
            .arg(u8::from(company == Isolation::Exclusive))
            .arg(POISON_LIMIT)
            .arg(optional(deadline_ms))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "run" => Start::Run,
            "run-exclusive" => Start::RunExclusive { crashes },
            "poison" => Start::Poison { crashes },
            "expired" => Start::Expired,
            other => Start::Skip(ignored_reason(other)),
        })
    }

    /// Takes the started mark of `instance` back: the job is let go on purpose.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn release_job(&self, job: JobRef<'_>, instance: InstanceId) -> Result<(), StoreError> {
        let key = self.keys.of_submission(job.submission, "jobs");
        Ok(RELEASE
            .key(key)
            .arg(job.name)
            .arg(instance.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Shows that `instance` still works on the job, and says whether that has a point.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn heartbeat_job(
        &self,
        job: JobRef<'_>,
        instance: InstanceId,
        deadline_ms: Option<u64>,
    ) -> Result<Heartbeat, StoreError> {
        let verdict: String = HEARTBEAT
            .key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(instance.to_string())
            .arg(optional(deadline_ms))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "open" => Heartbeat::Open,
            "expired" => Heartbeat::Expired,
            _ => Heartbeat::Closed,
        })
    }
}
