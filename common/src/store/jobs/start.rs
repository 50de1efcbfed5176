//! Starting a job, sending its heartbeats, and releasing it.
//!
//! Invariant: if a process dies during a job, the record stays in the state `started`, so that the next worker can
//! count the crash.

use std::sync::LazyLock;

use redis::Script;

use super::script::{JobRef, ignored_reason, job_script, optional};
use crate::{
    ids::InstanceId,
    store::{Store, StoreError},
};

/// Crashes during exclusive runs after which a job is poison.
const POISON_LIMIT: u32 = 3;

static START: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/start_job.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| job_script(include_str!("../scripts/release_job.lua")));
static HEARTBEAT: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/heartbeat_job.lua")));

/// The process that runs a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder<'a> {
    pub instance: InstanceId,
    /// Display name of the worker.
    pub worker: &'a str,
}

/// What to do with a received job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Run it; other jobs may be in flight.
    Run,
    /// Run it with no other job in flight: it may have crashed an earlier process.
    RunExclusive {
        /// Processes that died while it was in flight.
        crashes: u32,
    },
    /// Discard it: it reached the limit of crashes during exclusive runs.
    Poison {
        /// Processes that died while it was in flight.
        crashes: u32,
    },
    /// Discard it: its deadline has passed.
    Expired,
    /// Acknowledge it without running it, for this reason.
    Skip(&'static str),
}

/// Whether a process may have other jobs in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    Shared,
    Exclusive,
}

/// Whether to continue a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heartbeat {
    Open,
    /// Its submission is closed or no longer exists.
    Closed,
    /// Its deadline has passed.
    Expired,
}

impl Store {
    /// Records that `holder` starts a job, and returns what to do with it.
    pub async fn start_job(
        &self,
        job: JobRef<'_>,
        holder: Holder<'_>,
        redelivered: bool,
        isolation: Isolation,
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
            .arg(u8::from(isolation == Isolation::Exclusive))
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

    /// Makes a job of `instance` `available` again: the worker shuts down and gives it back.
    pub async fn release_job(&self, job: JobRef<'_>, instance: InstanceId) -> Result<(), StoreError> {
        let key = self.keys.of_submission(job.submission, "jobs");
        Ok(RELEASE
            .key(key)
            .arg(job.name)
            .arg(instance.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Records that `instance` is still running the job, and returns whether to continue.
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
