//! From a delivery to its acknowledgement.
//!
//! Owns the life of a delivery: started mark, work, outcome, ack; and what happens otherwise: retry
//! copy, dead letter, release. Does not own what a job does (see [`crate::jobs`]).
//! Invariants: the mark precedes the work; the outcome is durable before the ack; a retry copy and a dead
//! letter are confirmed before the ack. So a delivery may happen again, and its effects are applied once. A job
//! over its time limit may be stuck where nothing can stop it, so it ends the worker, and its mark stays.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    broker::{DeadNote, Delivery},
    job::{
        envelope::Envelope,
        kind::Kind,
        outcome::{EXPIRED, ItemResult},
    },
    store::{Company, Finish, Holder, JobRef, JobState, NodeFinish, Pause, Start, StoreError, Touch},
    topology::Tier,
};
use futures::FutureExt;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use super::watch;
use crate::{
    jobs::{self, JobError, Outcome},
    worker::Worker,
};

/// How often a job being worked on shows that it is, and is asked whether it still has a point.
const TOUCH_EVERY: Duration = Duration::from_secs(2);
/// Pause before the store is asked again when it does not serve.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Handles deliveries, many at a time.
pub struct Dispatcher {
    worker: Arc<Worker>,
    /// A job that an earlier process may have died of takes this alone; all others share it.
    alone: RwLock<()>,
    /// Cancelled when the worker gives up what it still holds.
    give_up: CancellationToken,
    /// Jobs finished with effect.
    finished: Finished,
    /// Deliveries of jobs over their time limit: never answered, so that their next worker knows.
    blamed: Mutex<Vec<Delivery>>,
}

/// How many jobs of each kind a worker finished with effect.
#[derive(Default)]
struct Finished {
    embed: AtomicU64,
    train_epoch: AtomicU64,
    predict: AtomicU64,
    crawl: AtomicU64,
}

impl Finished {
    fn of(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Embed => &self.embed,
            Kind::TrainEpoch => &self.train_epoch,
            Kind::Predict => &self.predict,
            Kind::Crawl => &self.crawl,
        }
    }
}

/// What becomes of a delivery once it is settled in the store.
enum Settled {
    /// Acknowledge it.
    Ack,
    /// Hand it over to the dead letters.
    Discard(&'static str, String),
    /// Try it again after a delay; these items are resolved.
    Retry(String, Vec<(u64, ItemResult)>),
    /// Let it rest; that costs no attempt.
    Pause(Pause),
    /// It is over its time limit: the worker ends, and the mark says of which job.
    OverTime,
}

impl Dispatcher {
    /// Makes a dispatcher; `give_up` makes it release what it holds.
    #[must_use]
    pub fn new(worker: Arc<Worker>, give_up: CancellationToken) -> Self {
        Self {
            worker,
            alone: RwLock::new(()),
            give_up,
            finished: Finished::default(),
            blamed: Mutex::default(),
        }
    }

    /// Returns how many jobs of a kind have been finished so far, with effect.
    #[must_use]
    pub fn finished(&self, kind: Kind) -> u64 {
        self.finished.of(kind).load(Ordering::Relaxed)
    }

    /// Handles one delivery to its end.
    pub async fn handle(&self, delivery: Delivery) {
        let settled = match &delivery.job {
            Err(error) => Settled::Discard("rejected", error.to_string()),
            Ok(job) => tokio::select! {
                settled = self.settle(job, delivery.redelivered) => settled,
                () = self.give_up.cancelled() => return self.release(job, &delivery).await,
            },
        };
        let answered = match settled {
            Settled::Ack => true,
            Settled::Discard(reason, error) => self.discard(&delivery, reason, error).await,
            Settled::Retry(error, results) => self.retry(&delivery, error, &results).await,
            Settled::Pause(pause) => self.pause(&delivery, pause).await,
            Settled::OverTime => return self.end_over(delivery),
        };
        let answer = if answered { delivery.ack().await } else { delivery.release().await };
        if let Err(error) = answer {
            tracing::debug!(%error, "the delivery comes again, which changes nothing");
        }
    }

    /// Works on a job until the store knows its outcome.
    async fn settle(&self, job: &Envelope, redelivered: bool) -> Settled {
        let shared = self.alone.read().await;
        match self.start(job, redelivered, Company::Shared).await {
            Ok(Start::Run) => self.work(job, redelivered).await,
            Ok(Start::RunAlone { crashes }) => {
                drop(shared);
                let _alone = self.alone.write().await;
                tracing::warn!(job = %job.job, crashes, "an earlier worker died while it held this job: it runs alone");
                match self.start(job, false, Company::Alone).await {
                    Ok(Start::Run) => self.work(job, true).await,
                    other => not_started(job, other),
                }
            }
            other => not_started(job, other),
        }
    }

    async fn start(&self, job: &Envelope, redelivered: bool, company: Company) -> Result<Start, StoreError> {
        let name = job.args.name();
        let (store, holder) = (&self.worker.store, self.holder());
        until_served(|| store.start_job(job_ref(job, &name), holder, redelivered, company, job.deadline_ms))
            .await
    }

    async fn work(&self, job: &Envelope, redelivered: bool) -> Settled {
        let repeated = redelivered || job.attempt > 1;
        loop {
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(jobs::run(&self.worker, job, repeated)).catch_unwind() => {
                    outcome.unwrap_or_else(|panic| Err(JobError::Retryable(panic_text(&*panic))))
                }
                settled = self.keep_touching(job) => return settled,
                () = tokio::time::sleep(self.worker.job_limit) => return Settled::OverTime,
            };
            match outcome {
                Ok(outcome) => return self.finish(job, outcome).await,
                Err(JobError::Permanent(error)) => return Settled::Discard("failed", error),
                Err(JobError::Retryable(error)) => return Settled::Retry(error, Vec::new()),
                Err(JobError::Rests(pause)) => return Settled::Pause(pause),
                Err(JobError::Store(error)) => {
                    tracing::warn!(job = %job.job, %error, "the job waits for the store");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Touches a job for as long as it has a point; what it resolved after that would have no effect.
    async fn keep_touching(&self, job: &Envelope) -> Settled {
        let name = job.args.name();
        loop {
            tokio::time::sleep(TOUCH_EVERY).await;
            let touch = self.worker.store.touch_job(job_ref(job, &name), self.worker.boot, job.deadline_ms);
            match touch.await {
                Ok(Touch::Held) => {}
                Ok(Touch::Closed) => return without_effect(job, "its submission is closed"),
                Ok(Touch::Expired) => return expired(),
                Err(error) => tracing::debug!(job = %job.job, %error, "a heartbeat of the job was lost"),
            }
        }
    }

    async fn finish(&self, job: &Envelope, outcome: Outcome) -> Settled {
        let (store, name) = (&self.worker.store, job.args.name());
        let finished = match outcome {
            Outcome::Items { results, unresolved: Some(error) } => return Settled::Retry(error, results),
            Outcome::Items { results, unresolved: None } => {
                let finish = || store.finish_job(job_ref(job, &name), JobState::Done, &results);
                until_served(finish).await.map(|finish| match finish {
                    Finish::Applied => self.applied(job),
                    Finish::WithoutEffect(why) => without_effect(job, why),
                })
            }
            Outcome::Node { version, node, bytes } => {
                let finish = || store.finish_node(job.submission, &name, version, node, &bytes);
                until_served(finish).await.map(|finish| match finish {
                    NodeFinish::Applied => self.applied(job),
                    NodeFinish::WithoutEffect(why) => without_effect(job, why),
                    NodeFinish::Conflict => Settled::Discard(
                        "conflict",
                        format!(
                            "another worker computed other bits for leaves {node}: its arithmetic differs"
                        ),
                    ),
                })
            }
            Outcome::Stale => Ok(without_effect(job, "a newer version of it exists")),
        };
        finished.unwrap_or_else(|error| Settled::Discard("failed", error.to_string()))
    }

    fn applied(&self, job: &Envelope) -> Settled {
        self.finished.of(job.kind()).fetch_add(1, Ordering::Relaxed);
        Settled::Ack
    }

    /// Keeps what the attempt resolved, then publishes the copy that comes back after a delay. Returns
    /// whether it is safe to acknowledge.
    async fn retry(&self, delivery: &Delivery, error: String, results: &[(u64, ItemResult)]) -> bool {
        let Ok(job) = &delivery.job else { return false };
        let name = job.args.name();
        let last = job.attempt >= job.max_attempts;
        let tier = Tier::after_attempt(job.attempt);
        let rest = if last { Duration::ZERO } else { tier.delay() };
        let suspend =
            || self.worker.store.suspend_job(job_ref(job, &name), self.holder(), &error, rest, results);
        match until_served(suspend).await {
            Ok(Finish::Applied) => {}
            Ok(Finish::WithoutEffect(why)) => {
                without_effect(job, why);
                return true;
            }
            Err(error) => return self.discard(delivery, "failed", error.to_string()).await,
        }
        if last {
            let error = format!("attempt {} of {}: {error}", job.attempt, job.max_attempts);
            return self.discard(delivery, "attempts", error).await;
        }
        tracing::warn!(job = %job.job, attempt = job.attempt, %error, "the job is tried again in {tier}");
        let mut copy = job.clone();
        copy.attempt += 1;
        match self.worker.publisher.delay(&copy, tier, &delivery.routing_key).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(job = %job.job, %error, "the retry copy was not taken, the job is released");
                false
            }
        }
    }

    /// Publishes a copy of a job that rests, which comes back as the same attempt. Returns whether it is safe
    /// to acknowledge.
    async fn pause(&self, delivery: &Delivery, pause: Pause) -> bool {
        let Ok(job) = &delivery.job else { return false };
        let name = job.args.name();
        let store = &self.worker.store;
        let wait = match until_served(|| store.now_ms()).await {
            Ok(now_ms) => Duration::from_millis(pause.until_ms.saturating_sub(now_ms)),
            Err(error) => return self.discard(delivery, "failed", error.to_string()).await,
        };
        let boot = self.worker.boot;
        match until_served(|| store.pause_job(job_ref(job, &name), boot, &pause)).await {
            Ok(Finish::Applied) => {}
            Ok(Finish::WithoutEffect(why)) => {
                without_effect(job, why);
                return true;
            }
            Err(error) => return self.discard(delivery, "failed", error.to_string()).await,
        }
        let tier = Tier::within(wait);
        tracing::info!(job = %job.job, reason = %pause.reason, ?wait, "the job rests, and is looked at again in {tier}");
        match self.worker.publisher.delay(job, tier, &delivery.routing_key).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(job = %job.job, %error, "the copy of a resting job was not taken, the job is released");
                false
            }
        }
    }

    /// Hands the message over to the dead letters. Returns whether it is safe to acknowledge.
    async fn discard(&self, delivery: &Delivery, reason: &str, error: String) -> bool {
        let id = delivery.message.id().unwrap_or("unnamed");
        tracing::error!(job = id, reason, %error, "the job is discarded");
        let note = DeadNote {
            reason: reason.to_owned(),
            error,
            worker: Some(self.worker.name.clone()),
            origin: Some(delivery.queue.to_string()),
        };
        match self.worker.publisher.dead_letter(&delivery.message, &note).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(job = id, %error, "the dead letter was not taken, the job is released");
                false
            }
        }
    }

    async fn release(&self, job: &Envelope, delivery: &Delivery) {
        if !self.worker.fatal.suspects_all() {
            let name = job.args.name();
            if let Err(error) = self.worker.store.release_job(job_ref(job, &name), self.worker.boot).await {
                tracing::debug!(job = %job.job, %error, "the started mark stays; the job may run alone next time");
            }
        }
        tracing::info!(job = %job.job, "the job is released to another worker");
        if let Err(error) = delivery.release().await {
            tracing::debug!(%error, "the broker releases the job itself");
        }
    }

    /// Ends the worker over a job that cannot be stopped otherwise. The delivery is kept until the process
    /// is gone, so that it is another process that meets the mark. Where it is the model that hangs, any job
    /// held may be the cause.
    fn end_over(&self, delivery: Delivery) {
        let job = delivery.message.id().unwrap_or("unnamed").to_owned();
        self.blamed.lock().expect("no holder of this lock panics").push(delivery);
        let limit = self.worker.job_limit;
        match watch::stuck(self.worker.model_busy(), limit) {
            Some(reason) => self.worker.fatal.report_suspecting_all(reason),
            None => self
                .worker
                .fatal
                .report(format!("job {job} is over its time limit of {limit:?} and cannot be stopped")),
        }
    }

    fn holder(&self) -> Holder<'_> {
        Holder { boot: self.worker.boot, worker: &self.worker.name }
    }
}

/// What a panic said. It is a fault of this program, and no reason to end what else is going on.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the worker panicked: {}", said.unwrap_or("no text"))
}

fn job_ref<'a>(job: &Envelope, name: &'a str) -> JobRef<'a> {
    JobRef { submission: job.submission, name, generation: job.generation }
}

/// Calls the store until it serves: an outage delays jobs and fails none.
async fn until_served<T, F: Future<Output = Result<T, StoreError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError> {
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "waiting for the store");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn not_started(job: &Envelope, start: Result<Start, StoreError>) -> Settled {
    match start {
        Ok(Start::Poison { crashes }) => Settled::Discard(
            "poison",
            format!("{crashes} workers died while they held this job, the last of them running nothing else"),
        ),
        Ok(Start::Expired) => expired(),
        Ok(Start::Skip(why)) => without_effect(job, why),
        Ok(Start::Run | Start::RunAlone { .. }) => {
            Settled::Retry("the job was not started".to_owned(), Vec::new())
        }
        Err(error) => Settled::Discard("failed", error.to_string()),
    }
}

fn expired() -> Settled {
    Settled::Discard("expired", EXPIRED.to_owned())
}

fn without_effect(job: &Envelope, why: &'static str) -> Settled {
    tracing::debug!(job = %job.job, why, "the job has no effect");
    Settled::Ack
}
