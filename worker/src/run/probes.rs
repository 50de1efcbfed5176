//! The worker's health probes: readiness and liveness.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use common::{
    broker::Consumer,
    health::{Check, Health},
};
use tokio_util::sync::CancellationToken;

use crate::{
    queue::{counts::JobCounts, fatal_signal::FatalSignal, watchdog::Watchdog},
    worker::Worker,
};

/// Time limit of the readiness check's request to Redis.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves probes at `address` until `ended`.
pub(super) async fn serve(address: Option<SocketAddr>, ended: &CancellationToken) -> anyhow::Result<Health> {
    let health = Health::default();
    if let Some(address) = address {
        let address = health
            .serve(address, ended.clone())
            .await
            .with_context(|| format!("cannot listen on SUBWATCH_HEALTH_ADDRESS {address}"))?;
        tracing::info!(%address, "serving health probes");
    }
    Ok(health)
}

/// Ready means consuming from RabbitMQ and able to reach Redis.
pub(super) fn readiness(worker: &Arc<Worker>, consuming: Arc<AtomicBool>) -> Check {
    let worker = worker.clone();
    Box::new(move || {
        let (worker, consuming) = (worker.clone(), consuming.clone());
        Box::pin(async move {
            if !consuming.load(Ordering::Relaxed) {
                return Err("not consuming from RabbitMQ".to_owned());
            }
            match tokio::time::timeout(PING_TIMEOUT, worker.store.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err("Redis is unavailable".to_owned()),
            }
        })
    })
}

/// Alive means that the watchdog, which runs until `ended`, finds neither a stuck model nor a stalled consumer.
pub(super) fn liveness(
    worker: &Arc<Worker>,
    counts: &JobCounts,
    fatal: &FatalSignal,
    consumer: &Consumer,
    ended: &CancellationToken,
) -> Check {
    let (consuming, reconnect) = (consumer.consuming(), consumer.reconnect());
    let watchdog =
        Arc::new(Watchdog::new(worker.clone(), counts.clone(), fatal.clone(), consuming, reconnect));
    let (running, ended) = (watchdog.clone(), ended.clone());
    tokio::spawn(async move { ended.run_until_cancelled(running.run()).await });
    Box::new(move || {
        let alive = watchdog.alive();
        Box::pin(async move { alive })
    })
}
