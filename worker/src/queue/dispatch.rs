//! Receiving deliveries, and isolating the suspects among them.
//!
//! Owns the started mark and who runs beside whom: a job that an earlier process may have died of runs alone. Does not
//! own what a job does (see [`crate::jobs`]), how long it may take (`attempt`), or what becomes of its outcome
//! (`settle`). Invariant: the mark precedes the work.

use std::sync::{Arc, Mutex};

use common::{
    broker::{Consumer, Delivery},
    job::{discard::DiscardReason, envelope::Envelope, outcome::EXPIRED},
    store::{Isolation, Start, StoreError},
};
use futures::future::Either;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use super::{
    attempt, counts::JobCounts, disposition::Disposition, fatal_signal::FatalSignal, job_record::JobRecord,
};
use crate::{outcome::Outcome, worker::Worker};

/// Handles deliveries, many at a time.
pub struct Dispatcher {
    worker: Arc<Worker>,
    counts: JobCounts,
    /// A suspect takes this alone; all others share it.
    alone: RwLock<()>,
    /// Cancelled when the worker gives up what is in flight.
    give_up: CancellationToken,
    disposition: Disposition,
}

/// A job with its started mark set.
struct StartedJob<'a> {
    /// Whether it may have been worked on before.
    repeated: bool,
    isolation: IsolationGuard<'a>,
}

/// Keeps suspects and other jobs apart.
type IsolationGuard<'a> = Either<RwLockReadGuard<'a, ()>, RwLockWriteGuard<'a, ()>>;

impl Dispatcher {
    /// Makes a dispatcher; `give_up` makes it release what is in flight.
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
        Self { worker, counts, alone: RwLock::new(()), give_up, disposition }
    }

    /// Receives deliveries until consuming ends; those in flight then go on.
    pub async fn consume(self: &Arc<Self>, consumer: &mut Consumer) {
        while let Some(delivery) = consumer.next().await {
            let (dispatcher, in_flight) = (self.clone(), self.counts.receive(&delivery.queue));
            tokio::spawn(async move {
                dispatcher.handle(delivery).await;
                drop(in_flight);
            });
        }
    }

    /// Handles one delivery to its end.
    async fn handle(&self, delivery: Delivery) {
        let (outcome, isolation) = match &delivery.job {
            Err(error) => (Outcome::discard(DiscardReason::Rejected, error.to_string()), None),
            Ok(job) => tokio::select! {
                ended = self.attempt(job, delivery.redelivered) => ended,
                () = self.give_up.cancelled() => (Outcome::Release, None),
            },
        };
        self.disposition.process(delivery, outcome, isolation).await;
    }

    async fn attempt(&self, job: &Envelope, redelivered: bool) -> (Outcome, Option<IsolationGuard<'_>>) {
        match self.start(job, redelivered).await {
            Ok(StartedJob { repeated, isolation }) => {
                (attempt::run(&self.worker, job, repeated).await, Some(isolation))
            }
            Err(outcome) => (outcome, None),
        }
    }

    /// Sets the started mark, and waits until a suspect is alone.
    async fn start(&self, job: &Envelope, redelivered: bool) -> Result<StartedJob<'_>, Outcome> {
        let record = JobRecord::new(&self.worker, job);
        let shared = self.alone.read().await;
        self.require_no_fatal_signal()?;
        match record.start(redelivered, Isolation::Shared).await {
            Ok(Start::Run) => {
                Ok(StartedJob { repeated: redelivered || job.attempt > 1, isolation: Either::Left(shared) })
            }
            Ok(Start::RunExclusive { crashes }) => {
                drop(shared);
                let alone = self.alone.write().await;
                self.require_no_fatal_signal()?;
                tracing::warn!(job = %record, crashes, "an earlier worker died while it held this job: it runs alone");
                match record.start(false, Isolation::Exclusive).await {
                    Ok(Start::Run) => Ok(StartedJob { repeated: true, isolation: Either::Right(alone) }),
                    other => Err(not_started(other)),
                }
            }
            other => Err(not_started(other)),
        }
    }

    /// A job that waited for others to end is not started once the process must end.
    fn require_no_fatal_signal(&self) -> Result<(), Outcome> {
        if self.disposition.fatal.reason().is_some() { Err(Outcome::Release) } else { Ok(()) }
    }
}

fn not_started(start: Result<Start, StoreError>) -> Outcome {
    match start {
        Ok(Start::Poison { crashes }) => Outcome::discard(
            DiscardReason::Poison,
            format!("{crashes} workers died while they held this job, the last of them running nothing else"),
        ),
        Ok(Start::Expired) => Outcome::discard(DiscardReason::Expired, EXPIRED),
        Ok(Start::Skip(why)) => Outcome::Ignored(why),
        Ok(Start::Run | Start::RunExclusive { .. }) => Outcome::retry("the job was not started"),
        Err(error) => Outcome::discard(DiscardReason::Failed, error.to_string()),
    }
}
