//! The composition root of the worker.
//!
//! Owns the order in which things start and stop: load the model, connect, register, consume; then stop
//! consuming, finish what is held, release the rest, sign off. Invariant: whatever hangs, the end comes
//! within seconds of a second signal, of the grace period's end or of a fatal report.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription},
    byte_budget::ByteBudget,
    config::Settings,
    health::{Check, Health},
    ids::BootId,
    job::kind::Kind,
    shutdown::{self, Shutdown},
    store::{Store, StoreConfig, WorkerRecord},
    topology::Route,
    training::protocol::head_fingerprint,
};
use crawler::http::Web;
use images::pool::CpuPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    queue::{
        dispatch::Dispatcher,
        fatal::Fatal,
        heartbeat::{self, Counts},
        holdings::Holdings,
        watch::Watch,
    },
    training::run_data::Runs,
    worker::Worker,
};

/// Bytes of image files in memory at once.
const IMAGE_MEMORY_BYTES: u64 = 512 << 20;
/// How long releasing may take once there is no more time to finish.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// How long closing the connection may take after that.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// Works until SIGTERM or Ctrl-C, then drains. A second signal, or a part of the worker that declares its
/// end, ends it at once.
///
/// # Errors
/// When the model cannot be loaded, a server refuses us, consuming ends unasked, or the worker ends without
/// having drained.
pub async fn run(settings: Settings, kinds: Vec<Kind>) -> anyhow::Result<()> {
    let Shutdown { stop, now } = shutdown::on_signal();
    let health = Health::default();
    // Probes are answered until the end: who drains is alive.
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    if let Some(address) = settings.telemetry.health_address {
        let address = health.serve(address, ended.clone()).await.with_context(|| {
            format!("cannot listen on {address}, where SUBWATCH_HEALTH_ADDRESS wants the probes")
        })?;
        tracing::info!(%address, "probes are answered");
    }
    let started = tokio::select! {
        started = start(&settings, &kinds, &stop) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let Started { worker, record, mut consumer, consuming } = started;
    let holdings = Holdings::new(consumer.queues().map(str::to_owned));
    health.started(readiness(&worker, consumer.consuming()));
    health.watched(watch(&worker, &holdings, &consumer, &ended));

    let give_up = CancellationToken::new();
    let dispatcher = Arc::new(Dispatcher::new(worker.clone(), give_up.clone()));
    let counts = {
        let (holdings, dispatcher) = (holdings.clone(), dispatcher.clone());
        move || Counts { held: holdings.held() as u64, finished: finished(&dispatcher).iter().sum() }
    };
    let signed_off = CancellationToken::new();
    let beating =
        heartbeat::beat(worker.store.clone(), record, counts, consuming.clone(), signed_off.clone());
    let beating = tokio::spawn(beating);
    let held = TaskTracker::new();
    tracing::info!(worker = %worker.name, boot = %worker.boot, kinds = ?kinds, "worker consumes");
    while let Some(delivery) = consumer.next().await {
        let (dispatcher, holding) = (dispatcher.clone(), holdings.hold(&delivery.queue));
        held.spawn(async move {
            dispatcher.handle(delivery).await;
            drop(holding);
        });
    }
    let unasked = !consuming.is_cancelled();
    consuming.cancel();

    let end = drain(&held, settings.worker.grace(), &now, &worker.fatal).await;
    let released = held.len();
    if end != End::Drained {
        tracing::warn!(jobs = released, "{end}: releasing what is held");
        give_up.cancel();
        let _ = tokio::time::timeout(RELEASE_LIMIT, held.wait()).await;
    }
    signed_off.cancel();
    beating.await.context("the heartbeat panicked")?;
    // What hangs is never answered; the connection that goes with the process releases it.
    let _ = tokio::time::timeout(CLOSE_LIMIT, consumer.closed()).await;
    anyhow::ensure!(!unasked, "consuming ended though nobody asked for it");
    let [embed, train_epoch, predict, crawl] = finished(&dispatcher);
    match end {
        End::Drained | End::GraceOver => tracing::info!(embed, train_epoch, predict, crawl, "worker ended"),
        End::Impatience | End::Fatal(_) => anyhow::bail!("{end}; {released} jobs were released unfinished"),
    }
    Ok(())
}

/// How a worker ends.
#[derive(Clone, PartialEq, Eq, Debug)]
enum End {
    /// With nothing left.
    Drained,
    /// With jobs that took longer than the grace period.
    GraceOver,
    /// By a second signal.
    Impatience,
    /// By its own word.
    Fatal(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drained => "nothing is held any more",
            Self::GraceOver => "the grace period is over",
            Self::Impatience => "a second signal came before everything was finished",
            Self::Fatal(reason) => reason,
        })
    }
}

/// Waits for the jobs held to finish, as long as there is a reason to wait.
async fn drain(held: &TaskTracker, grace: Duration, now: &CancellationToken, fatal: &Fatal) -> End {
    held.close();
    tracing::info!(jobs = held.len(), "worker finishes what it holds");
    tokio::select! {
        biased;
        reason = fatal.reported() => End::Fatal(reason),
        () = now.cancelled() => End::Impatience,
        () = held.wait() => End::Drained,
        () = tokio::time::sleep(grace) => End::GraceOver,
    }
}

/// Returns how many jobs of each kind, as [`Kind::ALL`] has them, were finished with effect.
fn finished(dispatcher: &Dispatcher) -> [u64; 4] {
    Kind::ALL.map(|kind| dispatcher.finished(kind))
}

struct Started {
    worker: Arc<Worker>,
    record: WorkerRecord,
    consumer: Consumer,
    /// Cancelled when nothing more is to be consumed.
    consuming: CancellationToken,
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
        draining: false,
        jobs_held: None,
        jobs_finished: None,
        seen_ms: 0,
    };
    #[cfg(feature = "model")]
    let embedder = load_model(&settings.model, kinds, &mut record).await?;

    let store = Store::connect(&StoreConfig {
        url: settings.store.redis_url.clone(),
        authorities: settings.store.redis_authorities.clone(),
        key_prefix: settings.store.redis_key_prefix.clone(),
    })
    .await?;
    record.started_ms = store.now_ms().await?;
    if let Some(space) = &record.space {
        store.register_space(space, &format!("by {name}, version {}", record.version)).await?;
    }
    let broker = BrokerConfig::new(settings.broker.amqp_url.clone(), "worker")
        .trusting(settings.broker.amqp_authorities.clone());
    let publisher = Publisher::connect(&broker).await?;
    let subscriptions = Route::for_kinds(kinds, &fingerprints)
        .into_iter()
        .map(|route| Subscription { queue: route.queue(), prefetch: settings.worker.prefetch })
        .collect();
    let consuming = stop.child_token();
    let consumer = Consumer::connect(&broker, subscriptions, consuming.clone()).await?;
    let worker = Arc::new(Worker {
        boot,
        web: Web::new(&settings.crawl, &settings.images, store.clone(), &name),
        name,
        store,
        publisher,
        fatal: Fatal::new(consuming.clone()),
        runs: Runs::default(),
        image_memory: ByteBudget::new(IMAGE_MEMORY_BYTES),
        decoder: CpuPool::new(settings.model.decode_threads.unwrap_or(cores)),
        max_image_bytes: settings.images.max_image_bytes,
        job_limit: settings.worker.job_limit(),
        #[cfg(feature = "model")]
        embedder,
    });
    Ok(Started { worker, record, consumer, consuming })
}

/// Starts the watch over the worker, until `ended`. Alive is whom it has nothing to say of.
fn watch(worker: &Arc<Worker>, holdings: &Holdings, consumer: &Consumer, ended: &CancellationToken) -> Check {
    let watch = Watch::new(worker.clone(), holdings.clone(), consumer.consuming(), consumer.renewal());
    let (watch, ended) = (Arc::new(watch), ended.clone());
    let watching = watch.clone();
    tokio::spawn(async move { ended.run_until_cancelled(watching.run()).await });
    Box::new(move || {
        let alive = watch.alive();
        Box::pin(async move { alive })
    })
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
    settings: &common::config::ModelSettings,
    kinds: &[Kind],
    record: &mut WorkerRecord,
) -> anyhow::Result<Option<crate::inference::Embedder>> {
    use crate::{inference::Model, model::ModelConfig};

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

#[cfg(test)]
mod tests {
    use super::*;

    async fn end(prepare: impl FnOnce(&TaskTracker, &CancellationToken, &Fatal)) -> End {
        let (held, now) = (TaskTracker::new(), CancellationToken::new());
        let fatal = Fatal::new(CancellationToken::new());
        prepare(&held, &now, &fatal);
        drain(&held, Duration::ZERO, &now, &fatal).await
    }

    #[tokio::test]
    async fn whatever_hurries_most_decides_how_a_worker_ends() {
        let hang = |held: &TaskTracker| drop(held.spawn(std::future::pending::<()>()));
        assert_eq!(end(|_, _, _| {}).await, End::Drained);
        assert_eq!(end(|held, _, _| hang(held)).await, End::GraceOver);
        let impatient = end(|held, now, _| {
            hang(held);
            now.cancel();
        });
        assert_eq!(impatient.await, End::Impatience);
        let fatal = end(|held, now, fatal| {
            hang(held);
            now.cancel();
            fatal.report("job 7 hangs");
        });
        assert_eq!(fatal.await, End::Fatal("job 7 hangs".to_owned()));
    }
}
