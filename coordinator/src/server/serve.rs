//! `subwatch serve`: the composition root of the coordinator.
//!
//! Owns the order in which things start and stop: connect, take up what was left, listen, drain.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription, probe},
    byte_budget::ByteBudget,
    config::{DataSettings, Settings},
    health::Health,
    ids::BootId,
    shutdown::{self, Shutdown},
    store::{Doorbells, Store, StoreConfig},
    topology,
};
use dataset::{files::Files, roots::DatasetRoots};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    context::Context,
    dead_letters as dead,
    fetch::Fetcher,
    http::{self, Access},
    leadership::lead,
    service::Coordinator,
    similarity::Similar,
    tokens::TokenFile,
};

/// Bytes of images on their way into the store at once.
const UPLOAD_MEMORY_BYTES: u64 = 256 << 20;

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
    let max_image_bytes = settings.images.max_image_bytes as usize;
    let health = Health::default();
    if let Some(address) = settings.telemetry.health_address {
        health.serve(address, stop.clone()).await.with_context(|| {
            format!("cannot listen on {address}, where SUBWATCH_HEALTH_ADDRESS wants the probes")
        })?;
    }
    let coordinator = tokio::select! {
        coordinator = connect(settings, stop.clone()) => coordinator?,
        () = stop.cancelled() => return Ok(()),
    };
    let asked = coordinator.clone();
    health.started(Box::new(move || {
        let asked = asked.clone();
        Box::pin(async move { asked.ready().await.map_err(|error| error.to_string()) })
    }));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "coordinator serves");
    http::serve(listener, coordinator.clone(), max_image_bytes, access, stop).await;
    coordinator.drain().await;
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

async fn connect(settings: Settings, stop: CancellationToken) -> anyhow::Result<Coordinator> {
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
    let hand_over = Subscription { queue: topology::dead_queue(), prefetch: dead::PREFETCH };
    let dead_letters = Consumer::connect(&broker, vec![hand_over], stop.clone()).await?;
    let doorbells = Doorbells::default();
    let tracker = TaskTracker::new();
    let fetcher = Fetcher::new(&settings.images.fetch_allow, settings.images.max_image_bytes);
    let similar = Similar::default();
    let context = Arc::new(Context {
        boot: BootId::random(),
        settings: Arc::new(settings),
        store,
        publisher,
        doorbells,
        roots: Arc::new(roots),
        artifacts,
        fetcher: Arc::new(fetcher),
        uploads: ByteBudget::new(UPLOAD_MEMORY_BYTES),
        similar: Arc::new(similar),
        stop,
        tracker,
    });

    let listening = context.clone();
    context.tracker.spawn(async move { listening.store.listen(&listening.doorbells, &listening.stop).await });
    let burying = context.clone();
    context.tracker.spawn(async move { dead::consume(&burying, dead_letters).await });
    let leading = context.clone();
    context.tracker.spawn(async move { lead(&leading).await });
    Ok(Coordinator::new(context))
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

impl Coordinator {
    /// Waits for the background work to end.
    async fn drain(&self) {
        const LIMIT: Duration = Duration::from_secs(10);
        let tracker = self.tracker();
        tracker.close();
        if tokio::time::timeout(LIMIT, tracker.wait()).await.is_err() {
            tracing::warn!(
                "background work did not end in {LIMIT:?}; it is taken up again at the next start"
            );
        }
    }
}
