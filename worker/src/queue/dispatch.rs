//! Dispatching of deliveries, with suspects isolated.
//!
//! Owns the started mark and the isolation: a job that may have crashed an earlier process runs exclusively, with no
//! other job beside it, so that a further crash identifies it. Invariant: the mark is set before the job runs.

use std::sync::{Arc, Mutex};

use common::{
    broker::{Consumer, Delivery},
    job::{discard::DiscardReason, envelope::Envelope, outcome::EXPIRED},
    store::{Isolation, Start, StoreError},
    topology,
};
use futures::future::Either;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use super::{
    attempt, counts::JobCounts, disposition::Disposition, fatal_signal::FatalSignal, job_record::JobRecord,
};
use crate::{attempt::Attempt, outcome::Outcome, worker::Worker};

/// Handles deliveries concurrently.
pub struct Dispatcher {
    worker: Arc<Worker>,
    counts: JobCounts,
    /// A suspect takes the write lock, every other job a read lock.
    isolation_lock: RwLock<()>,
    /// Cancelled to release every job in flight.
    give_up: CancellationToken,
    disposition: Disposition,
}

/// A job with its started mark set.
struct StartedJob<'a> {
    /// Whether an earlier attempt or delivery may have resolved some of its items.
    repeated: bool,
    isolation: IsolationGuard<'a>,
}

/// A held `isolation_lock`.
type IsolationGuard<'a> = Either<RwLockReadGuard<'a, ()>, RwLockWriteGuard<'a, ()>>;

impl Dispatcher {
    /// Cancel `give_up` to release every job in flight.
    #[must_use]
    pub fn new(
        worker: Arc<Worker>,
        fatal: FatalSignal,
        counts: JobCounts,
        give_up: CancellationToken,
    ) -> Self {
        let disposition = Disposition {
            worker: worker.clone(),
            fatal,
            counts: counts.clone(),
            give_up: give_up.clone(),
            timed_out: Mutex::default(),
        };
        Self { worker, counts, isolation_lock: RwLock::new(()), give_up, disposition }
    }

    /// Receives deliveries until consuming ends. Jobs in flight keep running.
    pub async fn consume(self: &Arc<Self>, consumer: &mut Consumer) {
        while let Some(delivery) = consumer.next().await {
            let (dispatcher, in_flight) = (self.clone(), self.counts.receive(&delivery.queue));
            tokio::spawn(async move {
                dispatcher.handle(delivery).await;
                drop(in_flight);
            });
        }
    }

    async fn handle(&self, delivery: Delivery) {
        let (outcome, isolation) = match &delivery.job {
            Err(error) => (Outcome::discard(DiscardReason::Rejected, error.to_string()), None),
            Ok(job) => tokio::select! {
                ended = self.attempt(job, &delivery) => ended,
                () = self.give_up.cancelled() => (Outcome::Release, None),
            },
        };
        self.disposition.process(delivery, outcome, isolation).await;
    }

    async fn attempt(&self, job: &Envelope, delivery: &Delivery) -> (Outcome, Option<IsolationGuard<'_>>) {
        match self.start(job, delivery.redelivered).await {
            Ok(StartedJob { repeated, isolation }) => {
                let attempt = Attempt { repeated, priority: topology::priority(&delivery.routing_key) };
                (attempt::run(&self.worker, job, attempt).await, Some(isolation))
            }
            Err(outcome) => (outcome, None),
        }
    }

    /// Sets the started mark. For a suspect, first waits until no other job is in flight.
    async fn start(&self, job: &Envelope, redelivered: bool) -> Result<StartedJob<'_>, Outcome> {
        let record = JobRecord::new(&self.worker, job);
        let shared = self.isolation_lock.read().await;
        self.require_no_fatal_signal()?;
        match record.start(redelivered, Isolation::Shared).await {
            Ok(Start::Run) => {
                Ok(StartedJob { repeated: redelivered || job.attempt > 1, isolation: Either::Left(shared) })
            }
            Ok(Start::RunExclusive { crashes }) => {
                drop(shared);
                let exclusive = self.isolation_lock.write().await;
                self.require_no_fatal_signal()?;
                tracing::warn!(job = %record, crashes, "a worker died while this job was in flight; running it exclusively");
                match record.start(false, Isolation::Exclusive).await {
                    Ok(Start::Run) => Ok(StartedJob { repeated: true, isolation: Either::Right(exclusive) }),
                    other => Err(not_started(other)),
                }
            }
            other => Err(not_started(other)),
        }
    }

    /// Checked after waiting for the lock: no job may start once the process must end.
    fn require_no_fatal_signal(&self) -> Result<(), Outcome> {
        if self.disposition.fatal.reason().is_some() { Err(Outcome::Release) } else { Ok(()) }
    }
}

fn not_started(start: Result<Start, StoreError>) -> Outcome {
    match start {
        Ok(Start::Poison { crashes }) => Outcome::discard(
            DiscardReason::Poison,
            format!(
                "{crashes} workers died while this job was in flight, the last one while running it exclusively"
            ),
        ),
        Ok(Start::Expired) => Outcome::discard(DiscardReason::Expired, EXPIRED),
        Ok(Start::Skip(reason)) => Outcome::Ignored(reason),
        Ok(Start::Run | Start::RunExclusive { .. }) => Outcome::retry("the job could not be started"),
        Err(error) => Outcome::discard(DiscardReason::Failed, error.to_string()),
    }
}
