//! `subwatch serve`: the composition root of the coordinator.
//!
//! Owns the order in which things start and stop: bind the addresses, so that one that is taken fails at once;
//! connect; take up what was left; answer requests; drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription, probe},
    config::{DataSettings, Settings},
    health::Health,
    ids::BootId,
    shutdown::{self, Shutdown},
    store::{Doorbells, Store, StoreConfig},
    topology,
};
use dataset::files::{Files, roots::DatasetRoots};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    context::Context,
    dead_letters, doctor,
    http::{self, Access, ApiState},
    leadership::lead,
    similarity::SimilarityIndex,
    tokens::TokenFile,
    uploads::Uploads,
};

/// How long background work may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or Ctrl-C, then drains; a second one ends it at once.
///
/// # Errors
/// When the address cannot be bound or may not be, a folder cannot be used, or a server refuses us.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let Shutdown { stop, now } = shutdown::on_signal();
    tokio::select! {
        served = serve(settings, stop) => served,
        () = now.cancelled() => bail!("ended before it had drained, as it was told; the next start takes up what is open"),
    }
}

async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let access = match &settings.api.tokens_file {
        Some(path) => Access::Tokens(Arc::new(TokenFile::open(path)?)),
        None => Access::ThisMachine,
    };
    let listener = bind(&settings.api.url, &access).await?;
    let address = listener.local_addr()?;
    let health = Health::default();
    if let Some(address) = settings.telemetry.health_address {
        health.serve(address, stop.clone()).await.with_context(|| {
            format!("cannot listen on {address}, where SUBWATCH_HEALTH_ADDRESS wants the probes")
        })?;
    }
    let context = tokio::select! {
        started = start(settings, stop.clone()) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let probed = context.clone();
    health.started(Box::new(move || {
        let context = probed.clone();
        Box::pin(async move { doctor::ready(&context).await.map_err(|error| error.to_string()) })
    }));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "coordinator serves");
    let images = &context.settings.images;
    let state = ApiState {
        similarity: Arc::new(SimilarityIndex::default()),
        uploads: Arc::new(Uploads::new(context.store.clone(), images.clone())),
        context: context.clone(),
    };
    http::serve(listener, state, images.max_image_bytes as usize, access, stop).await;
    drain(&context.tracker).await;
    tracing::info!("coordinator ended");
    Ok(())
}

async fn bind(url: &Url, access: &Access) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(
        url.scheme() == "http",
        "SUBWATCH_URL is {url}: the coordinator speaks http, and leaves https to a proxy before it"
    );
    let addresses =
        url.socket_addrs(|| Some(8470)).with_context(|| format!("no address for SUBWATCH_URL {url}"))?;
    let address: SocketAddr =
        *addresses.first().with_context(|| format!("no address for SUBWATCH_URL {url}"))?;
    http::check_bind(&address, access)?;
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another coordinator running? set SUBWATCH_URL")
    })
}

/// Connects to the servers and starts the background work.
async fn start(settings: Settings, stop: CancellationToken) -> anyhow::Result<Arc<Context>> {
    let roots = dataset_roots(&settings.data)?;
    let artifacts = artifacts_folder(&settings.data)?;
    let store = Store::connect(&StoreConfig {
        url: settings.store.redis_url.clone(),
        authorities: settings.store.redis_authorities.clone(),
        key_prefix: settings.store.redis_key_prefix.clone(),
    })
    .await?;
    let broker = BrokerConfig::new(settings.broker.amqp_url.clone(), "coordinator")
        .trusting(settings.broker.amqp_authorities.clone());
    let publisher = Publisher::connect(&broker).await?;
    let round_trip = probe(&broker).await?;
    tracing::info!(?round_trip, "RabbitMQ delays, rejects and dead-letters as it must");
    let hand_over = Subscription { queue: topology::dead_queue(), prefetch: dead_letters::PREFETCH };
    let discarded = Consumer::connect(&broker, vec![hand_over], stop.clone()).await?;
    let context = Arc::new(Context {
        boot: BootId::random(),
        settings: Arc::new(settings),
        store,
        publisher,
        doorbells: Doorbells::default(),
        roots: Arc::new(roots),
        artifacts,
        stop,
        tracker: TaskTracker::new(),
    });

    let listening = context.clone();
    context.tracker.spawn(async move { listening.store.listen(&listening.doorbells, &listening.stop).await });
    let consuming = context.clone();
    context.tracker.spawn(async move { dead_letters::consume(&consuming, discarded).await });
    let leading = context.clone();
    context.tracker.spawn(async move { lead(&leading).await });
    Ok(context)
}

/// Waits for the background work to end.
async fn drain(tracker: &TaskTracker) {
    tracker.close();
    if tokio::time::timeout(DRAIN_LIMIT, tracker.wait()).await.is_err() {
        tracing::warn!(
            "background work did not end in {DRAIN_LIMIT:?}; it is taken up again at the next start"
        );
    }
}

fn dataset_roots(settings: &DataSettings) -> anyhow::Result<DatasetRoots> {
    let here = std::env::current_dir().context("the current folder is gone")?;
    let roots = settings.dataset_roots.clone().unwrap_or_else(|| here.display().to_string());
    Ok(DatasetRoots::parse(&roots)?)
}

fn artifacts_folder(settings: &DataSettings) -> anyhow::Result<Url> {
    if settings.artifacts.contains("://") {
        let url = Url::parse(&format!("{}/", settings.artifacts.trim_end_matches('/')));
        let url = url.with_context(|| format!("SUBWATCH_ARTIFACTS is '{}'", settings.artifacts))?;
        Files::open(&url).with_context(|| format!("SUBWATCH_ARTIFACTS is '{}'", settings.artifacts))?;
        return Ok(url);
    }
    let folder =
        std::path::absolute(&settings.artifacts).context("the artifacts folder has no absolute path")?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the artifacts folder {}", folder.display()))?;
    match Url::from_directory_path(&folder) {
        Ok(url) => Ok(url),
        Err(()) => bail!("the artifacts folder {} makes no URL", folder.display()),
    }
}
