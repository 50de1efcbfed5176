//! Applies an outcome: stores results, publishes retries and dead letters, and answers the delivery.
//!
//! Invariants: the outcome is durable before the ack; a retry copy or dead letter is confirmed before the ack. So a
//! job may be delivered again, but its effects are applied once.

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

/// Delay of a release because of a failed publish.
const RELEASE_DELAY: Duration = Duration::from_secs(2);

/// Applies outcomes.
pub(super) struct Disposition {
    pub(super) worker: Arc<Worker>,
    pub(super) fatal: FatalSignal,
    pub(super) counts: JobCounts,
    /// Cancelled to release every job in flight; outcomes then no longer wait for Redis.
    pub(super) give_up: CancellationToken,
    /// Deliveries of timed-out jobs. They stay unanswered, so that the process is gone and the started mark counts as
    /// a crash before another worker receives them.
    pub(super) timed_out: Mutex<Vec<Delivery>>,
}

/// The answer to the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ack,
    Release,
    /// None: the broker requeues the message when the process is gone.
    Withhold,
}

impl Disposition {
    /// Applies an outcome and answers the delivery. Drops `isolation` once the results are stored, so that other jobs
    /// can run while the broker confirms.
    pub(super) async fn process<I>(&self, delivery: Delivery, outcome: Outcome, isolation: I) {
        let answer = match &delivery.job {
            Err(error) => self.discard(&delivery, DiscardReason::Rejected, error.to_string()).await,
            Ok(job) => {
                let job = JobRecord::new(&self.worker, job);
                match self.apply(&delivery, &job, outcome, isolation).await {
                    Ok(answer) => answer,
                    Err(error) => self.discard(&delivery, DiscardReason::Failed, error.to_string()).await,
                }
            }
        };
        let answered = match answer {
            Answer::Ack => delivery.ack().await,
            Answer::Release => delivery.release().await,
            Answer::Withhold => {
                self.timed_out.lock().expect("no holder of this lock panics").push(delivery);
                return;
            }
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "cannot answer the delivery; its redelivery will have no effect");
        }
    }

    /// # Errors
    /// If Redis rejects the outcome permanently.
    async fn apply<I>(
        &self,
        delivery: &Delivery,
        job: &JobRecord<'_>,
        outcome: Outcome,
        isolation: I,
    ) -> Result<Answer, StoreError> {
        let isolation = matches!(outcome, Outcome::Items(_) | Outcome::Node { .. }).then_some(isolation);
        match outcome {
            Outcome::Items(results) => {
                let finished = self.give_up.run_until_cancelled(job.finish(&results)).await.transpose()?;
                drop(isolation);
                match finished {
                    Some(Finish::Applied) => Ok(self.applied(job)),
                    Some(Finish::Ignored(reason)) => Ok(ignored(job, reason)),
                    None => Ok(self.release(job).await),
                }
            }
            Outcome::Node { version, node, bytes } => {
                let finish = job.finish_node(version, node, &bytes);
                let finished = self.give_up.run_until_cancelled(finish).await.transpose()?;
                drop(isolation);
                match finished {
                    Some(NodeFinish::Applied) => Ok(self.applied(job)),
                    Some(NodeFinish::Ignored(reason)) => Ok(ignored(job, reason)),
                    Some(NodeFinish::Conflict) => {
                        let error = format!(
                            "two workers computed different bits for leaves {node}: their arithmetic differs"
                        );
                        Ok(self.discard(delivery, DiscardReason::Conflict, error).await)
                    }
                    None => Ok(self.release(job).await),
                }
            }
            Outcome::Ignored(reason) => Ok(ignored(job, reason)),
            Outcome::Retry { error, results } => self.retry(delivery, job, error, &results).await,
            Outcome::Snooze(snooze) => self.snooze(delivery, job, &snooze).await,
            Outcome::Discard { reason, error } => Ok(self.discard(delivery, reason, error).await),
            Outcome::Release => Ok(self.release(job).await),
            Outcome::TimedOut => Ok(self.end_process(job)),
        }
    }

    fn applied(&self, job: &JobRecord<'_>) -> Answer {
        self.counts.finish(job.job.kind());
        Answer::Ack
    }

    /// Stores the results of the attempt, then publishes a copy of the job with a delay.
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
        if let Finish::Ignored(reason) = record.record_failed_attempt(&error, delay, results).await? {
            return Ok(ignored(record, reason));
        }
        if last {
            let error = format!("attempt {} of {}: {error}", job.attempt, job.max_attempts);
            return Ok(self.discard(delivery, DiscardReason::Attempts, error).await);
        }
        tracing::warn!(job = %record, attempt = job.attempt, %error, "attempt failed; retrying in {tier}");
        let mut copy = job.clone();
        copy.attempt += 1;
        Ok(self.delay(delivery, &copy, tier, "the retry copy").await)
    }

    /// Records the snooze, then publishes a copy of the job with a delay. The attempt number stays.
    async fn snooze(
        &self,
        delivery: &Delivery,
        job: &JobRecord<'_>,
        snooze: &Snooze,
    ) -> Result<Answer, StoreError> {
        let (finish, wait) = job.snooze(snooze).await?;
        if let Finish::Ignored(reason) = finish {
            return Ok(ignored(job, reason));
        }
        let tier = DelayTier::within(wait);
        tracing::info!(%job, reason = %snooze.reason, ?wait, "job snoozed; checking again in {tier}");
        Ok(self.delay(delivery, job.job, tier, "the copy of a snoozed job").await)
    }

    async fn delay(&self, delivery: &Delivery, copy: &Envelope, tier: DelayTier, message: &str) -> Answer {
        match self.worker.publisher.delay(copy, tier, &delivery.routing_key).await {
            Ok(()) => Answer::Ack,
            Err(error) => {
                tracing::warn!(job = %copy.job, %error, "cannot publish {message}; releasing the job");
                self.release_later().await
            }
        }
    }

    async fn discard(&self, delivery: &Delivery, reason: DiscardReason, error: String) -> Answer {
        let id = delivery.message.id().unwrap_or("unknown");
        tracing::error!(job = id, reason = reason.to_string(), %error, "job discarded");
        let info = DeadLetterInfo {
            reason,
            error,
            worker: Some(self.worker.name.clone()),
            origin: Some(delivery.queue.to_string()),
        };
        match self.worker.publisher.dead_letter(&delivery.message, &info).await {
            Ok(()) => Answer::Ack,
            Err(error) => {
                tracing::warn!(job = id, %error, "cannot publish the dead letter; releasing the job");
                self.release_later().await
            }
        }
    }

    /// Waits before a release after which the same publish is tried again: a full queue refuses at once.
    async fn release_later(&self) -> Answer {
        let _ = self.give_up.run_until_cancelled(tokio::time::sleep(RELEASE_DELAY)).await;
        Answer::Release
    }

    /// Clears the started mark, unless a fatal signal makes every job in flight a suspect.
    async fn release(&self, job: &JobRecord<'_>) -> Answer {
        if !self.fatal.suspects_all()
            && let Err(error) = job.release().await
        {
            tracing::debug!(%job, %error, "cannot clear the started mark; the job may run exclusively");
        }
        tracing::info!(%job, "job released");
        Answer::Release
    }

    /// Ends the process because of a job that cannot be cancelled. The delivery stays unanswered until the process is
    /// gone, so that the next worker finds the started mark. If the model hangs, any job in flight may be the cause.
    fn end_process(&self, job: &JobRecord<'_>) -> Answer {
        let limit = self.worker.job_timeout;
        match watchdog::stuck(self.worker.model_busy(), limit) {
            Some(reason) => self.fatal.raise(Blame::AllInFlight, reason),
            None => self.fatal.raise(
                Blame::OneJob,
                format!("job {job} exceeded its time limit of {limit:?} and cannot be cancelled"),
            ),
        }
        Answer::Withhold
    }
}

fn ignored(job: &JobRecord<'_>, reason: &'static str) -> Answer {
    tracing::debug!(%job, reason, "outcome ignored");
    Answer::Ack
}
