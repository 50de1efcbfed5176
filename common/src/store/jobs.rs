//! Job state: started marks, heartbeats, and the one script that applies an outcome.
//!
//! Owns what a worker writes about a job; does not own the submission's record. Invariant: an outcome is
//! applied once per job and generation, however often the job is delivered.

use std::{collections::HashMap, sync::LazyLock};

use redis::Script;
use serde::Deserialize;

use super::{Store, StoreError};
use crate::{
    ids::{BootId, SubmissionId},
    outcome::ItemResult,
};

/// Crashes while alone after which a job is poison.
const POISON_LIMIT: u32 = 3;

static START: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/start_job.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release_job.lua")));
static TOUCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/touch_job.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/finish_job.lua")));

/// What a worker may do with a job it received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Work on it beside others.
    Run,
    /// Work on it with nothing else in flight: an earlier process may have died of it.
    RunAlone {
        /// Processes that died while they held it.
        crashes: u32,
    },
    /// Discard it: every process that ran it alone died.
    Poison {
        /// Processes that died while they held it.
        crashes: u32,
    },
    /// Acknowledge it: it is finished, its submission is closed or gone, or its generation is over.
    Skip(&'static str),
}

/// Whether a process works on other jobs beside this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Company {
    /// It does, or may.
    Shared,
    /// It does not.
    Alone,
}

/// What came of applying an outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// The outcome counts.
    Applied,
    /// It has no effect, for the reason given; the job is acknowledged all the same.
    WithoutEffect(&'static str),
}

/// How a job ended, for [`Store::finish_job`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// A worker resolved its items.
    Done,
    /// It was discarded.
    Dead,
}

/// One job's mark, as the sweeper reads it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobStatus {
    /// `started`, `waiting` for its turn to run alone, `released`, `poisoned`, `done` or `dead`.
    pub state: String,
    /// Generation of the mark.
    #[serde(default)]
    pub generation: u32,
    /// When a worker last showed that it holds the job, in Redis's time.
    #[serde(default)]
    pub touched_ms: u64,
    /// The process that started it last.
    #[serde(default)]
    pub boot: Option<BootId>,
    /// Processes that died while they held it.
    #[serde(default)]
    pub crashes: u32,
}

impl JobStatus {
    /// Whether nothing more will happen to the job.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == "done" || self.state == "dead"
    }
}

impl Store {
    /// Marks the job `name` as started by `boot` and says what to do with it.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn start_job(
        &self,
        submission: SubmissionId,
        name: &str,
        generation: u32,
        boot: BootId,
        redelivered: bool,
        company: Company,
    ) -> Result<Start, StoreError> {
        let (verdict, crashes): (String, u32) = START
            .key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(name)
            .arg(generation)
            .arg(boot.to_string())
            .arg(u8::from(redelivered))
            .arg(u8::from(company == Company::Alone))
            .arg(POISON_LIMIT)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "run" => Start::Run,
            "run-alone" => Start::RunAlone { crashes },
            "poison" => Start::Poison { crashes },
            other => Start::Skip(no_effect(other)),
        })
    }

    /// Takes the started mark of `boot` back: the job is let go on purpose.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn release_job(
        &self,
        submission: SubmissionId,
        name: &str,
        boot: BootId,
    ) -> Result<(), StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        Ok(RELEASE
            .key(key)
            .arg(name)
            .arg(boot.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Shows that `boot` still works on the job.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn touch_job(
        &self,
        submission: SubmissionId,
        name: &str,
        boot: BootId,
    ) -> Result<(), StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        Ok(TOUCH.key(key).arg(name).arg(boot.to_string()).invoke_async(&mut self.connection.clone()).await?)
    }

    /// Applies the results of a job: items (by submission-wide index), counters and the end mark together,
    /// and closes the submission when it was the last job.
    ///
    /// # Errors
    /// When Redis does not serve; nothing was applied then, or all of it was and the repeat has no effect.
    pub async fn finish_job(
        &self,
        submission: SubmissionId,
        name: &str,
        generation: u32,
        end: JobState,
        results: &[(u64, ItemResult)],
    ) -> Result<Finish, StoreError> {
        let mut call = FINISH.prepare_invoke();
        call.key(self.keys.submission(submission))
            .key(self.keys.of_submission(submission, "results"))
            .key(self.keys.of_submission(submission, "jobs"))
            .arg(name)
            .arg(generation)
            .arg(match end {
                JobState::Done => "done",
                JobState::Dead => "dead",
            })
            .arg(self.keys.doorbell())
            .arg(submission.to_string());
        for (index, result) in results {
            let class = match result {
                failed if failed.is_failed() => "failed",
                cached if cached.is_cached() => "cached",
                _ => "succeeded",
            };
            let json = serde_json::to_string(result).expect("a result is plain data");
            call.arg(*index).arg(class).arg(json);
        }
        let verdict: String = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match verdict.as_str() {
            "applied" => Finish::Applied,
            other => Finish::WithoutEffect(no_effect(other)),
        })
    }

    /// Returns the marks of a submission's jobs, by name. A job without a mark was never started.
    ///
    /// # Errors
    /// When Redis does not serve or a mark is not one.
    pub async fn job_marks(
        &self,
        submission: SubmissionId,
    ) -> Result<HashMap<String, JobStatus>, StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        let raw: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        raw.into_iter()
            .map(|(name, json)| {
                let status =
                    serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?;
                Ok((name, status))
            })
            .collect()
    }
}

/// Words for why a delivery has no effect.
pub(super) fn no_effect(verdict: &str) -> &'static str {
    match verdict {
        "finished" | "repeated" => "it is finished already",
        "stale" => "a newer version of it exists",
        "orphaned" => "its submission is gone",
        "closed" => "its submission is closed",
        _ => "the store says so",
    }
}
