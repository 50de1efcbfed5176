//! Starting: load the model, connect, consume.

use std::sync::Arc;

use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription},
    config::Settings,
    embedding::Space,
    ids::InstanceId,
    job::kind::Kind,
    store::{Store, StoreConfig, WorkerPlaces, WorkerRecord},
    topology::Route,
    training::protocol::head_fingerprint,
};
use crawler::http::Web;
use dataset::files::{confinement::confine_to, roots::DatasetRoots};
use images::{decoder::Decoder, pool::CpuPool};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "model")]
use crate::{
    inference::{Model, Pipeline},
    model::ModelConfig,
};
use crate::{training::Runs, worker::Worker};

/// A worker that consumes jobs.
pub(super) struct StartedWorker {
    pub(super) worker: Arc<Worker>,
    pub(super) record: WorkerRecord,
    pub(super) consumer: Consumer,
    /// Cancelled to stop consuming.
    pub(super) consuming: CancellationToken,
}

/// Starts a worker that consumes jobs of `kinds` until `stop`.
pub(super) async fn start(
    settings: &Settings,
    kinds: &[Kind],
    stop: &CancellationToken,
) -> anyhow::Result<StartedWorker> {
    let instance = InstanceId::random();
    let name = format!("{}:{}", hostname(), std::process::id());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let fingerprints = vec![head_fingerprint()];
    let mut record = WorkerRecord {
        instance,
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kinds: kinds.to_vec(),
        device: None,
        device_class: None,
        threads: None,
        space: None,
        spaces: Vec::new(),
        random_weights: false,
        places: None,
        reads_ranges: true,
        fingerprints: fingerprints.clone(),
        started_ms: 0,
        draining: false,
        jobs_in_flight: None,
        jobs_finished: None,
        stages: Vec::new(),
        seen_ms: 0,
    };
    #[cfg(feature = "model")]
    let model = load_model(&settings.model, kinds).await?;
    #[cfg(feature = "model")]
    if let Some(model) = &model {
        record.device = Some(model.device());
        record.threads = Some(model.threads());
        let embedder = model.embedder();
        record.space = Some(embedder.space().clone());
        record.spaces = embedder.spaces().into();
        record.device_class = Some(embedder.device_class().clone());
        let weights = settings.model.model_weights.as_deref();
        record.random_weights = weights.is_some_and(|weights| weights.starts_with("random:"));
    }

    if cfg!(feature = "bench-noop") {
        record.spaces = vec![Space("noop".to_owned())];
        record.space = record.spaces.first().cloned();
    }

    let roots = DatasetRoots::parse_unmounted(&settings.data.roots()?)?;
    let artifacts = settings.data.artifacts_url()?;
    let places = WorkerPlaces { dataset_roots: roots.describe(), artifacts: artifacts.to_string() };
    record.places = Some(places);
    confine_to(roots, &artifacts);
    let store = Store::connect(&StoreConfig {
        url: settings.store.redis_url.clone(),
        ca_certificates: settings.store.redis_ca_certificates.clone(),
        key_prefix: settings.store.redis_key_prefix.clone(),
    })
    .await?;
    record.started_ms = store.now_ms().await?;
    if let Some(space) = &record.space {
        store.register_space(space, &format!("{name}, version {}", record.version)).await?;
        store.set_last_space(space).await?;
    }

    let broker = BrokerConfig::new(settings.broker.amqp_url.clone(), "worker")
        .with_ca_certificates(settings.broker.amqp_ca_certificates.clone());
    let publisher = Publisher::connect(&broker).await?;
    let subscriptions = Route::for_kinds(kinds, &fingerprints, &record.spaces)
        .into_iter()
        .map(|route| Subscription { queue: route.queue(), prefetch: settings.worker.prefetch })
        .collect();
    let consuming = stop.child_token();
    let consumer = Consumer::connect(&broker, subscriptions, consuming.clone()).await?;

    let decode_threads = settings.model.decode_threads.unwrap_or(cores);
    let decoder = Decoder::new(decode_threads, settings.model.decode_memory_bytes);
    let worker = Arc::new(Worker {
        instance,
        web: Web::new(&settings.crawl, &settings.images, store.clone(), &name),
        name,
        device_class: record.device_class.clone(),
        publisher,
        runs: Runs::default(),
        trainer: CpuPool::new(cores),
        job_timeout: settings.worker.job_timeout(),
        #[cfg(feature = "model")]
        pipeline: model.map(|model| {
            Pipeline::new(model.embedder(), store.clone(), decoder.clone(), settings.images.max_image_bytes)
        }),
        decoder,
        store,
    });
    Ok(StartedWorker { worker, record, consumer, consuming })
}

#[cfg(feature = "model")]
async fn load_model(
    settings: &common::config::ModelSettings,
    kinds: &[Kind],
) -> anyhow::Result<Option<Model>> {
    use anyhow::Context as _;

    if cfg!(feature = "bench-noop") || !kinds.iter().any(|kind| kind.needs_model()) {
        return Ok(None);
    }
    let config = ModelConfig::from_settings(settings)?;
    let model = tokio::task::spawn_blocking(move || Model::start(config))
        .await
        .context("loading the model panicked")??;
    Ok(Some(model))
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}
