//! Job state: started marks, heartbeats, and the one script that applies an outcome.
//!
//! Owns what a worker writes about a job; does not own the submission's record. Invariant: an outcome is
//! applied once per job and generation, however often the job is delivered.

use std::{collections::HashMap, fmt, sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{
    ids::{BootId, SubmissionId},
    job::outcome::ItemResult,
};

/// Crashes while alone after which a job is poison.
const POISON_LIMIT: u32 = 3;

static START: LazyLock<Script> = LazyLock::new(|| script_over_marks(include_str!("scripts/start_job.lua")));
static RELEASE: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("scripts/release_job.lua")));
static TOUCH: LazyLock<Script> = LazyLock::new(|| script_over_marks(include_str!("scripts/touch_job.lua")));
static SUSPEND: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("scripts/suspend_job.lua")));
static PAUSE: LazyLock<Script> = LazyLock::new(|| script_over_marks(include_str!("scripts/pause_job.lua")));
static END_PAUSES: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("scripts/end_pauses.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| script_over_marks(include_str!("scripts/finish_job.lua")));
static REQUEUE: LazyLock<Script> =
    LazyLock::new(|| script_over_marks(include_str!("scripts/requeue_job.lua")));

pub(super) fn script_over_marks(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/mark.lua")))
}

/// Which job: by its submission, its name there (see [`JobArgs::name`]), and its generation.
///
/// [`JobArgs::name`]: crate::job::args::JobArgs::name
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobRef<'a> {
    /// The submission.
    pub submission: SubmissionId,
    /// What singles it out there.
    pub name: &'a str,
    /// Rises when an operator requeues it.
    pub generation: u32,
}

/// The process that holds a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder<'a> {
    /// This life of the process.
    pub boot: BootId,
    /// Its name, for people.
    pub worker: &'a str,
}

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
    /// Discard it: its deadline has passed.
    Expired,
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

/// Whether the work on a job still has a point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// It has.
    Held,
    /// Its submission is closed or gone.
    Closed,
    /// Its deadline has passed.
    Expired,
}

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

/// How a job ended, for [`Store::finish_job`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// A worker resolved its items.
    Done,
    /// It was discarded.
    Dead,
}

/// Where a job is that a worker has received at least once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkState {
    /// A worker works on it.
    Started,
    /// A worker holds it until it can run alone.
    Waiting,
    /// It waits for a source to be available again.
    Paused,
    /// It waits for its next attempt.
    Released,
    /// An operator gave it another chance.
    Requeued,
    /// It is being discarded, since every worker that ran it alone died.
    Poisoned,
    /// A worker resolved its items.
    Done,
    /// It was discarded.
    Dead,
    /// A state of another version.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for MarkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One job's mark, as the sweeper reads it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct JobStatus {
    /// Where the job is.
    pub state: MarkState,
    /// Generation of the mark.
    #[serde(default)]
    pub generation: u32,
    /// When a worker last showed that it holds the job, in Redis's time.
    #[serde(default)]
    pub touched_ms: u64,
    /// Until when it rests between two attempts, likewise.
    #[serde(default)]
    pub not_before_ms: u64,
    /// The process that started it last.
    #[serde(default)]
    pub boot: Option<BootId>,
    /// The name of that process.
    #[serde(default)]
    pub worker: Option<String>,
    /// Processes that died while they held it.
    #[serde(default)]
    pub crashes: u32,
    /// Those of them that held nothing else.
    #[serde(default)]
    pub alone_crashes: u32,
    /// Until when it rests, while it is paused.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// What went wrong so far, newest last; the oldest are forgotten.
    #[serde(default)]
    pub history: Vec<Mishap>,
}

/// Why a job rests, which is no fault of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// When it is tried again at the earliest, in Redis's time.
    pub until_ms: u64,
    /// What it waits for.
    pub reason: String,
}

/// One attempt at a job that came to nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mishap {
    /// When, in Redis's time.
    pub at_ms: u64,
    /// The worker that held the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What went wrong.
    pub error: String,
}

impl JobStatus {
    /// Makes the mark of a job in a state that nothing has happened to.
    #[must_use]
    pub fn new(state: MarkState) -> Self {
        Self {
            state,
            generation: 0,
            touched_ms: 0,
            not_before_ms: 0,
            boot: None,
            worker: None,
            crashes: 0,
            alone_crashes: 0,
            paused: None,
            history: Vec::new(),
        }
    }

    /// Whether nothing more will happen to the job.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.state, MarkState::Done | MarkState::Dead)
    }
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
        company: Company,
        deadline_ms: Option<u64>,
    ) -> Result<Start, StoreError> {
        let (verdict, crashes): (String, u32) = START
            .key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(holder.boot.to_string())
            .arg(holder.worker)
            .arg(u8::from(redelivered))
            .arg(u8::from(company == Company::Alone))
            .arg(POISON_LIMIT)
            .arg(optional(deadline_ms))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "run" => Start::Run,
            "run-alone" => Start::RunAlone { crashes },
            "poison" => Start::Poison { crashes },
            "expired" => Start::Expired,
            other => Start::Skip(no_effect(other)),
        })
    }

    /// Takes the started mark of `boot` back: the job is let go on purpose.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn release_job(&self, job: JobRef<'_>, boot: BootId) -> Result<(), StoreError> {
        let key = self.keys.of_submission(job.submission, "jobs");
        Ok(RELEASE
            .key(key)
            .arg(job.name)
            .arg(boot.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Shows that `boot` still works on the job, and says whether that has a point.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn touch_job(
        &self,
        job: JobRef<'_>,
        boot: BootId,
        deadline_ms: Option<u64>,
    ) -> Result<Touch, StoreError> {
        let verdict: String = TOUCH
            .key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(boot.to_string())
            .arg(optional(deadline_ms))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "held" => Touch::Held,
            "expired" => Touch::Expired,
            _ => Touch::Closed,
        })
    }

    /// Ends an attempt that did not resolve every item: keeps `results` and why it stopped, and takes the
    /// started mark back. The next attempt comes after `rest`.
    ///
    /// # Errors
    /// When Redis does not serve; nothing was applied then, or all of it was.
    pub async fn suspend_job(
        &self,
        job: JobRef<'_>,
        holder: Holder<'_>,
        error: &str,
        rest: Duration,
        results: &[(u64, ItemResult)],
    ) -> Result<Finish, StoreError> {
        let mut call = SUSPEND.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "results"))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation)
            .arg(holder.boot.to_string())
            .arg(holder.worker)
            .arg(error)
            .arg(self.keys.doorbell())
            .arg(job.submission.to_string())
            .arg(rest.as_millis() as u64);
        push_results(&mut call, results);
        self.invoke_finish(&call).await
    }

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

    /// Applies the results of a job: items (by submission-wide index), counters and the end mark together,
    /// and closes the submission when it was the last job.
    ///
    /// # Errors
    /// When Redis does not serve; nothing was applied then, or all of it was and the repeat has no effect.
    pub async fn finish_job(
        &self,
        job: JobRef<'_>,
        end: JobState,
        results: &[(u64, ItemResult)],
    ) -> Result<Finish, StoreError> {
        let mut call = FINISH.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "results"))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .key(self.keys.crawled(job.submission, job.name))
            .arg(job.name)
            .arg(job.generation)
            .arg(match end {
                JobState::Done => "done",
                JobState::Dead => "dead",
            })
            .arg(self.keys.doorbell())
            .arg(job.submission.to_string());
        push_results(&mut call, results);
        self.invoke_finish(&call).await
    }

    async fn invoke_finish(&self, call: &ScriptInvocation<'_>) -> Result<Finish, StoreError> {
        let verdict: String = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match verdict.as_str() {
            "applied" => Finish::Applied,
            other => Finish::WithoutEffect(no_effect(other)),
        })
    }

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

    /// Returns the mark of one job; nothing when it was never started.
    ///
    /// # Errors
    /// When Redis does not serve or the mark is not one.
    pub async fn job_mark(
        &self,
        submission: SubmissionId,
        name: &str,
    ) -> Result<Option<JobStatus>, StoreError> {
        let key = self.keys.of_submission(submission, "jobs");
        let mut command = redis::cmd("HGET");
        command.arg(&key).arg(name);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error)))
            .transpose()
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

/// Adds results to the call of a script that applies them.
fn push_results(call: &mut ScriptInvocation<'_>, results: &[(u64, ItemResult)]) {
    for (index, result) in results {
        let class = match result {
            failed if failed.is_failed() => "failed",
            cached if cached.is_cached() => "cached",
            _ => "succeeded",
        };
        let json = serde_json::to_string(result).expect("a result is plain data");
        call.arg(*index).arg(class).arg(json);
    }
}

/// A script's argument that may be absent: then it is empty.
pub(super) fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Words for why a delivery has no effect.
pub(super) fn no_effect(verdict: &str) -> &'static str {
    match verdict {
        "finished" | "repeated" => "it is finished already",
        "stale" => "it is of another generation or version",
        "orphaned" => "its submission is gone",
        "closed" => "its submission is closed",
        _ => "the store says so",
    }
}
