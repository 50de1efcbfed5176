//! The composition root of the worker.
//!
//! Start: load the model, connect, consume, register. Shutdown: stop consuming, finish the jobs in flight, release the
//! rest, deregister. Invariant: even if a job hangs, the process ends within seconds of a second signal, of the end of
//! the grace period, or of a fatal signal.

mod drain;
mod probes;
mod start;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use common::{
    config::Settings,
    job::kind::Kind,
    shutdown::{self, Shutdown},
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::{
    drain::{DrainOutcome, drain},
    start::{StartedWorker, start},
};
use crate::queue::{counts::JobCounts, dispatch::Dispatcher, fatal_signal::FatalSignal, heartbeat};

/// Time limit for releasing the jobs in flight.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for closing the consuming connection after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or Ctrl-C, then drains. A second signal or a [`FatalSignal`] ends the process immediately.
///
/// A future is compiled by the crate that polls it first. Because this function polls it, the worker is compiled once,
/// in the library, and not a second time in the binary.
///
/// # Errors
/// If the model cannot be loaded, RabbitMQ or Redis rejects the connection, consuming stops unexpectedly, or the drain
/// is cut short by a second signal or a fatal signal.
pub fn run_on(runtime: &Runtime, settings: Settings, kinds: Vec<Kind>) -> anyhow::Result<()> {
    runtime.block_on(run(settings, kinds))
}

async fn run(settings: Settings, kinds: Vec<Kind>) -> anyhow::Result<()> {
    let Shutdown { stop, now } = shutdown::on_signal();
    // Probes are served until the end: a draining worker is alive.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    let health = probes::serve(settings.logging.health_address, &ended).await?;
    let started = tokio::select! {
        started = start(&settings, &kinds, &stop) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let StartedWorker { worker, record, mut consumer, consuming } = started;

    let fatal = FatalSignal::new(consuming.clone());
    let counts = JobCounts::new(consumer.queues().map(str::to_owned));
    health.set_readiness_check(probes::readiness(&worker, consumer.consuming()));
    health.set_liveness_check(probes::liveness(&worker, &counts, &fatal, &consumer, &ended));
    let deregister = CancellationToken::new();
    let heartbeat = tokio::spawn(heartbeat::run(
        worker.store.clone(),
        record,
        counts.clone(),
        consuming.clone(),
        worker.stages(),
        deregister.clone(),
    ));
    tracing::info!(worker = %worker.name, instance = %worker.instance, kinds = ?kinds, "worker is consuming jobs");

    let give_up = CancellationToken::new();
    // Lives until the process ends: it keeps the deliveries of timed-out jobs unanswered.
    let dispatcher = Arc::new(Dispatcher::new(worker, fatal.clone(), counts.clone(), give_up.clone()));
    dispatcher.consume(&mut consumer).await;
    let unexpected = !consuming.is_cancelled();
    consuming.cancel();

    let end = drain(&counts, settings.worker.grace(), &now, &fatal).await;
    let released = counts.in_flight();
    if end != DrainOutcome::Drained {
        tracing::warn!(jobs = released, reason = %end, "releasing the jobs in flight");
        give_up.cancel();
        let _ = tokio::time::timeout(RELEASE_TIMEOUT, counts.drained()).await;
    }
    deregister.cancel();
    heartbeat.await.context("the heartbeat panicked")?;
    // A job that hangs is never answered: RabbitMQ requeues it when the process is gone.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, consumer.closed()).await;
    anyhow::ensure!(!unexpected, "consuming from RabbitMQ stopped unexpectedly");
    match end {
        DrainOutcome::Drained | DrainOutcome::GraceExpired => {
            let [embed, train_epoch, predict, crawl] = Kind::ALL.map(|kind| counts.finished(kind));
            tracing::info!(embed, train_epoch, predict, crawl, "worker stopped");
        }
        DrainOutcome::SecondSignal | DrainOutcome::Fatal(_) => {
            anyhow::bail!("{end}; jobs released unfinished: {released}")
        }
    }
    Ok(())
}
