//! The composition root of the worker.
//!
//! Owns the order in which things start and stop: load the model, connect, register, consume; then stop
//! consuming, finish what is in flight, release the rest, sign off. Invariant: whatever hangs, the end comes
//! within seconds of a second signal, of the grace period's end or of a fatal report.

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
use tokio_util::sync::CancellationToken;

use self::{
    drain::{End, drain},
    start::{StartedWorker, start},
};
use crate::queue::{counts::JobCounts, dispatch::Dispatcher, fatal_signal::FatalSignal, heartbeat};

/// How long releasing may take once there is no more time to finish.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// How long closing the connection may take after that.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Works until SIGTERM or Ctrl-C, then drains. A second signal, or a part of the worker that declares its
/// end, ends it at once.
///
/// # Errors
/// When the model cannot be loaded, a server refuses us, consuming ends unasked, or the worker ends without
/// having drained.
pub async fn run(settings: Settings, kinds: Vec<Kind>) -> anyhow::Result<()> {
    let Shutdown { stop, now } = shutdown::on_signal();
    // Probes are answered until the end: a worker that drains is alive.
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
    let signed_off = CancellationToken::new();
    let heartbeat = tokio::spawn(heartbeat::beat(
        worker.store.clone(),
        record,
        counts.clone(),
        consuming.clone(),
        signed_off.clone(),
    ));
    tracing::info!(worker = %worker.name, instance = %worker.instance, kinds = ?kinds, "worker consumes");

    let give_up = CancellationToken::new();
    // Lives until the end, as it keeps the deliveries of jobs over their time limit unanswered.
    let dispatcher = Arc::new(Dispatcher::new(worker, fatal.clone(), counts.clone(), give_up.clone()));
    dispatcher.consume(&mut consumer).await;
    let unasked = !consuming.is_cancelled();
    consuming.cancel();

    let end = drain(&counts, settings.worker.grace(), &now, &fatal).await;
    let released = counts.in_flight();
    if end != End::Drained {
        tracing::warn!(jobs = released, "{end}: releasing what is held");
        give_up.cancel();
        let _ = tokio::time::timeout(RELEASE_LIMIT, counts.drained()).await;
    }
    signed_off.cancel();
    heartbeat.await.context("the heartbeat panicked")?;
    // What hangs is never answered; the connection that goes with the process releases it.
    let _ = tokio::time::timeout(CLOSE_LIMIT, consumer.closed()).await;
    anyhow::ensure!(!unasked, "consuming ended though nobody asked for it");
    match end {
        End::Drained | End::GraceOver => {
            let [embed, train_epoch, predict, crawl] = Kind::ALL.map(|kind| counts.finished(kind));
            tracing::info!(embed, train_epoch, predict, crawl, "worker ended");
        }
        End::Impatience | End::Fatal(_) => anyhow::bail!("{end}; {released} jobs were released unfinished"),
    }
    Ok(())
}
