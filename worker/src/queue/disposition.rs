//! From an outcome to its effects and the answer to the broker.
//!
//! Owns finishing, retry copies, pauses, dead letters and releases. Invariants: the outcome is durable before the
//! ack; a retry copy and a dead letter are confirmed before the ack. So a delivery may happen again, and its effects
//! are applied once.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    broker::{DeadLetterInfo, Delivery},
    job::{discard::DiscardReason, envelope::Envelope, outcome::ItemResult},
    store::{Finish, NodeFinish, Snooze, StoreError},
    topology::DelayTier,
};
use tokio_util::sync::CancellationToken;

use super::{
    counts::JobCounts,
    fatal_signal::{Blame, FatalSignal},
    job_record::JobRecord,
    watchdog,
};
use crate::{outcome::Outcome, worker::Worker};

/// Applies outcomes.
pub(super) struct Disposition {
    pub(super) worker: Arc<Worker>,
    pub(super) fatal: FatalSignal,
    pub(super) counts: JobCounts,
    /// Cancelled when jobs in flight are given up; then no outcome waits for the store any longer.
    pub(super) give_up: CancellationToken,
    /// Deliveries of jobs over their time limit: never answered, so that their next worker meets the mark.
    pub(super) timed_out: Mutex<Vec<Delivery>>,
}

/// What the broker is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ack,
    Release,
    /// Nothing: it releases the delivery itself once the process is gone.
    Keep,
}

impl Disposition {
    /// Applies an outcome and answers the delivery. Drops `isolation` once the results are in the store: the broker may
    /// take its time for a copy, a dead letter or the answer, and other jobs run meanwhile.
    pub(super) async fn process<I>(&self, delivery: Delivery, outcome: Outcome, isolation: I) {
        let answer = match &delivery.job {
            Err(error) => self.discard(&delivery, DiscardReason::Rejected, error.to_string()).await,
            Ok(job) => {
                let job = JobRecord::new(&self.worker, job);
                let finished = self.finish(&job, outcome).await;
                drop(isolation);
                match finished {
                    Ok(answer) => answer,
                    Err(outcome) => match self.apply(&delivery, &job, outcome).await {
                        Ok(answer) => answer,
                        Err(error) => self.discard(&delivery, DiscardReason::Failed, error.to_string()).await,
                    },
                }
            }
        };
        let answered = match answer {
            Answer::Ack => delivery.ack().await,
            Answer::Release => delivery.release().await,
            Answer::Keep => {
                self.timed_out.lock().expect("no holder of this lock panics").push(delivery);
                return;
            }
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "the delivery comes again, which changes nothing");
        }
    }

    /// Applies the results of a job that has any.
    ///
    /// # Errors
    /// How the job ends instead: it has no results, or the store refuses them for good.
    async fn finish(&self, job: &JobRecord<'_>, outcome: Outcome) -> Result<Answer, Outcome> {
        match outcome {
            Outcome::Items(results) => match self.give_up.run_until_cancelled(job.finish(&results)).await {
                Some(Ok(Finish::Applied)) => Ok(self.applied(job)),
                Some(Ok(Finish::Ignored(why))) => Ok(ignored(job, why)),
                Some(Err(error)) => Err(Outcome::discard(DiscardReason::Failed, error.to_string())),
                None => Ok(self.release(job).await),
            },
            Outcome::Node { version, node, bytes } => {
                let finish = job.finish_node(version, node, &bytes);
                match self.give_up.run_until_cancelled(finish).await {
                    Some(Ok(NodeFinish::Applied)) => Ok(self.applied(job)),
                    Some(Ok(NodeFinish::Ignored(why))) => Ok(ignored(job, why)),
                    Some(Ok(NodeFinish::Conflict)) => {
                        let error = format!(
                            "another worker computed other bits for leaves {node}: its arithmetic differs"
                        );
                        Err(Outcome::discard(DiscardReason::Conflict, error))
                    }
                    Some(Err(error)) => Err(Outcome::discard(DiscardReason::Failed, error.to_string())),
                    None => Ok(self.release(job).await),
                }
            }
            other => Err(other),
        }
    }

    /// Applies an outcome without results.
    ///
    /// # Errors
    /// When the store refuses the outcome, and would refuse it again.
    async fn apply(
        &self,
        delivery: &Delivery,
        job: &JobRecord<'_>,
        outcome: Outcome,
    ) -> Result<Answer, StoreError> {
        match outcome {
            Outcome::Items(_) | Outcome::Node { .. } => unreachable!("`finish` applies results"),
            Outcome::Ignored(why) => Ok(ignored(job, why)),
            Outcome::Retry { error, results } => self.retry(delivery, job, error, &results).await,
            Outcome::Snooze(pause) => self.pause(delivery, job, &pause).await,
            Outcome::Discard { reason, error } => Ok(self.discard(delivery, reason, error).await),
            Outcome::Release => Ok(self.release(job).await),
            Outcome::TimedOut => Ok(self.end_worker(job)),
        }
    }

    fn applied(&self, job: &JobRecord<'_>) -> Answer {
        self.counts.finish(job.job.kind());
        Answer::Ack
    }

    /// Keeps what the attempt resolved, then publishes the copy that comes back after a delay.
    async fn retry(
        &self,
        delivery: &Delivery,
        record: &JobRecord<'_>,
        error: String,
        results: &[(u64, ItemResult)],
    ) -> Result<Answer, StoreError> {
        let job = record.job;
        let last = job.attempt >= job.max_attempts;
        let tier = DelayTier::after_attempt(job.attempt);
        let delay = if last { Duration::ZERO } else { tier.delay() };
        if let Finish::Ignored(why) = record.suspend(&error, delay, results).await? {
            return Ok(ignored(record, why));
        }
        if last {
            let error = format!("attempt {} of {}: {error}", job.attempt, job.max_attempts);
            return Ok(self.discard(delivery, DiscardReason::Attempts, error).await);
        }
        tracing::warn!(job = %record, attempt = job.attempt, %error, "the job is tried again in {tier}");
        let mut copy = job.clone();
        copy.attempt += 1;
        Ok(self.delay(delivery, &copy, tier, "the retry copy").await)
    }

    /// Publishes a copy of a job that is deferred, which comes back as the same attempt.
    async fn pause(
        &self,
        delivery: &Delivery,
        job: &JobRecord<'_>,
        pause: &Snooze,
    ) -> Result<Answer, StoreError> {
        let (finish, wait) = job.pause(pause).await?;
        if let Finish::Ignored(why) = finish {
            return Ok(ignored(job, why));
        }
        let tier = DelayTier::within(wait);
        tracing::info!(%job, reason = %pause.reason, ?wait, "the job rests, and is looked at again in {tier}");
        Ok(self.delay(delivery, job.job, tier, "the copy of a resting job").await)
    }

    async fn delay(&self, delivery: &Delivery, copy: &Envelope, tier: DelayTier, what: &str) -> Answer {
        match self.worker.publisher.delay(copy, tier, &delivery.routing_key).await {
            Ok(()) => Answer::Ack,
            Err(error) => {
                tracing::warn!(job = %copy.job, %error, "{what} was not taken, the job is released");
                Answer::Release
            }
        }
    }

    /// Hands the message over to the dead letters.
    async fn discard(&self, delivery: &Delivery, reason: DiscardReason, error: String) -> Answer {
        let id = delivery.message.id().unwrap_or("unnamed");
        tracing::error!(job = id, reason = reason.to_string(), %error, "the job is discarded");
        let note = DeadLetterInfo {
            reason,
            error,
            worker: Some(self.worker.name.clone()),
            origin: Some(delivery.queue.to_string()),
        };
        match self.worker.publisher.dead_letter(&delivery.message, &note).await {
            Ok(()) => Answer::Ack,
            Err(error) => {
                tracing::warn!(job = id, %error, "the dead letter was not taken, the job is released");
                Answer::Release
            }
        }
    }

    /// Takes the started mark back, unless this job is among the suspects of a fatal report.
    async fn release(&self, job: &JobRecord<'_>) -> Answer {
        if !self.fatal.suspects_all()
            && let Err(error) = job.release().await
        {
            tracing::debug!(%job, %error, "the started mark stays; the job may run alone next time");
        }
        tracing::info!(%job, "the job is released to another worker");
        Answer::Release
    }

    /// Ends the worker because of a job that cannot be stopped otherwise. The delivery is kept until the process
    /// is gone, so that it is another process that meets the mark. If it is the model that hangs, any job in flight
    /// may be the cause.
    fn end_worker(&self, job: &JobRecord<'_>) -> Answer {
        let limit = self.worker.job_timeout;
        match watchdog::stuck(self.worker.model_busy(), limit) {
            Some(reason) => self.fatal.raise(Blame::AllInFlight, reason),
            None => self.fatal.raise(
                Blame::OneJob,
                format!("job {job} is over its time limit of {limit:?} and cannot be stopped"),
            ),
        }
        Answer::Keep
    }
}

fn ignored(job: &JobRecord<'_>, why: &'static str) -> Answer {
    tracing::debug!(%job, why, "the job has no effect");
    Answer::Ack
}
