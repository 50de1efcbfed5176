//! The composition root of the worker.
//!
//! Owns the order in which things start and stop: load the model, connect, register, consume; then stop
//! consuming, finish what is held, release the rest, sign off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription},
    config::Settings,
    health::{Check, Health},
    ids::BootId,
    jobs::Kind,
    shutdown,
    store::{Store, StoreConfig, WorkerRecord},
    topology::Route,
    training::head_fingerprint,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    budget::{CpuPool, ImageMemory},
    dispatch::Dispatcher,
    heartbeat,
    run_data::Runs,
    worker::Worker,
};

/// How long releasing may take once the grace period is over.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// Works until SIGTERM or Ctrl-C, then drains.
///
/// # Errors
/// When the model cannot be loaded, a server refuses us, or consuming ends unasked.
pub async fn run(settings: Settings, kinds: Vec<Kind>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal();
    let health = Health::default();
    if let Some(address) = settings.health_address {
        health.serve(address, stop.clone()).await.with_context(|| {
            format!("cannot listen on {address}, where SUBWATCH_HEALTH_ADDRESS wants the probes")
        })?;
    }
    let started = tokio::select! {
        started = start(&settings, &kinds, &stop) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let Started { worker, record, mut consumer } = started;
    health.started(readiness(&worker, consumer.consuming()));

    let signed_off = CancellationToken::new();
    let beating = tokio::spawn(heartbeat::beat(worker.store.clone(), record, signed_off.clone()));
    let give_up = CancellationToken::new();
    let dispatcher = Arc::new(Dispatcher::new(worker.clone(), give_up.clone()));
    let held = TaskTracker::new();
    tracing::info!(worker = %worker.name, boot = %worker.boot, kinds = ?kinds, "worker consumes");
    while let Some(delivery) = consumer.next().await {
        let dispatcher = dispatcher.clone();
        held.spawn(async move { dispatcher.handle(delivery).await });
    }
    let unasked = !stop.is_cancelled();

    held.close();
    let grace = Duration::from_secs(settings.grace_seconds);
    tracing::info!(jobs = held.len(), "worker finishes what it holds");
    if tokio::time::timeout(grace, held.wait()).await.is_err() {
        tracing::warn!(jobs = held.len(), "the grace period is over, releasing the rest");
        give_up.cancel();
        let _ = tokio::time::timeout(RELEASE_LIMIT, held.wait()).await;
    }
    signed_off.cancel();
    beating.await.context("the heartbeat panicked")?;
    consumer.closed().await;
    anyhow::ensure!(!unasked, "consuming ended though nobody asked for it");
    let [embed, train_epoch, predict] =
        [Kind::Embed, Kind::TrainEpoch, Kind::Predict].map(|kind| dispatcher.finished(kind));
    tracing::info!(embed, train_epoch, predict, "worker ended");
    Ok(())
}

struct Started {
    worker: Arc<Worker>,
    record: WorkerRecord,
    consumer: Consumer,
}

async fn start(settings: &Settings, kinds: &[Kind], stop: &CancellationToken) -> anyhow::Result<Started> {
    let boot = BootId::random();
    let name = format!("{}:{}", hostname(), std::process::id());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let fingerprints = vec![head_fingerprint()];
    let mut record = WorkerRecord {
        boot,
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kinds: kinds.to_vec(),
        device: None,
        threads: None,
        space: None,
        fingerprints: fingerprints.clone(),
        started_ms: 0,
        seen_ms: 0,
    };
    #[cfg(feature = "model")]
    let embedder = load_model(settings, kinds, &mut record).await?;

    let store = Store::connect(&StoreConfig {
        url: settings.redis_url.clone(),
        authorities: settings.redis_authorities.clone(),
        key_prefix: settings.redis_key_prefix.clone(),
    })
    .await?;
    record.started_ms = store.now_ms().await?;
    if let Some(space) = &record.space {
        store.register_space(space, &format!("by {name}, version {}", record.version)).await?;
    }
    let broker =
        BrokerConfig::new(settings.amqp_url.clone(), "worker").trusting(settings.amqp_authorities.clone());
    let publisher = Publisher::connect(&broker).await?;
    let subscriptions = Route::for_kinds(kinds, &fingerprints)
        .into_iter()
        .map(|route| Subscription { queue: route.queue(), prefetch: settings.prefetch })
        .collect();
    let consumer = Consumer::connect(&broker, subscriptions, stop.clone()).await?;
    let worker = Arc::new(Worker {
        boot,
        name,
        store,
        publisher,
        runs: Runs::default(),
        image_memory: ImageMemory::default(),
        decoder: CpuPool::new(settings.decode_threads.unwrap_or(cores)),
        max_image_bytes: settings.max_image_bytes,
        #[cfg(feature = "model")]
        embedder,
    });
    Ok(Started { worker, record, consumer })
}

/// Ready is who consumes and reaches the store.
fn readiness(worker: &Arc<Worker>, consuming: Arc<AtomicBool>) -> Check {
    let worker = worker.clone();
    Box::new(move || {
        let (worker, consuming) = (worker.clone(), consuming.clone());
        Box::pin(async move {
            if !consuming.load(Ordering::Relaxed) {
                return Err("RabbitMQ is not consumed".to_owned());
            }
            match tokio::time::timeout(READY_LIMIT, worker.store.ping()).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err("Redis does not serve".to_owned()),
            }
        })
    })
}

#[cfg(feature = "model")]
async fn load_model(
    settings: &Settings,
    kinds: &[Kind],
    record: &mut WorkerRecord,
) -> anyhow::Result<Option<crate::model::Embedder>> {
    use crate::model::{Model, ModelConfig};

    if !kinds.iter().any(|kind| matches!(kind, Kind::Embed | Kind::Predict)) {
        return Ok(None);
    }
    let config = ModelConfig::from_settings(settings)?;
    let model = tokio::task::spawn_blocking(move || Model::start(config))
        .await
        .context("loading the model panicked")??;
    let embedder = model.embedder();
    record.device = Some(model.device());
    record.threads = Some(model.threads());
    record.space = Some(embedder.space().clone());
    Ok(Some(embedder))
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}
