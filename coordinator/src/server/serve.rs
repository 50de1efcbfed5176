//! `subwatch serve`: the composition root of the coordinator.
//!
//! Startup: bind, connect, start the background tasks, serve. Shutdown: finish requests, then background tasks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use common::{
    broker::{BrokerConfig, Consumer, Publisher, Subscription, probe},
    config::{DataSettings, Settings},
    health::Health,
    ids::InstanceId,
    shutdown::{self, Shutdown},
    store::{Notifier, Store, StoreConfig},
    topology,
};
use dataset::files::{Files, confinement::confine_to, roots::DatasetRoots};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    context::Context,
    dead_letters, doctor,
    feeding::Feeder,
    http::{self, Access, ApiState},
    leadership::run_leadership,
    similarity::SimilarityIndex,
    tokens::TokenFile,
    uploads::Uploads,
};

/// How long background tasks may take to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or Ctrl-C, then shuts down gracefully; a second signal ends the process immediately.
///
/// # Errors
/// If the address may not or cannot be bound, a folder is unusable, or RabbitMQ or Redis rejects the connection.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let Shutdown { stop, now } = shutdown::on_signal();
    tokio::select! {
        result = serve(settings, stop) => result,
        () = now.cancelled() => bail!(
            "ended before the graceful shutdown was complete: received a second signal; unfinished work \
             continues at the next start"
        ),
    }
}

async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let tokens = settings.api.tokens_file.as_deref().map(TokenFile::open).transpose()?.map(Arc::new);
    let access = tokens.clone().map_or(Access::Loopback, Access::Tokens);
    let listener = bind(&settings.api.url, &access).await?;
    let address = listener.local_addr()?;
    let health = Health::default();
    if let Some(address) = settings.logging.health_address {
        health
            .serve(address, stop.clone())
            .await
            .with_context(|| format!("cannot listen on SUBWATCH_HEALTH_ADDRESS {address}"))?;
    }
    let context = tokio::select! {
        started = start(settings, tokens, stop.clone()) => started?,
        () = stop.cancelled() => return Ok(()),
    };
    let probed = context.clone();
    health.set_readiness_check(Box::new(move || {
        let context = probed.clone();
        Box::pin(async move { doctor::ready(&context).await.map_err(|error| error.to_string()) })
    }));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "coordinator is listening");
    let images = &context.settings.images;
    let state = ApiState {
        similarity: Arc::new(SimilarityIndex::default()),
        uploads: Arc::new(Uploads::new(context.store.clone(), images.clone())),
        context: context.clone(),
    };
    http::serve(listener, state, access, stop).await;
    drain(&context.tracker).await;
    tracing::info!("coordinator stopped");
    Ok(())
}

async fn bind(url: &Url, access: &Access) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(
        url.scheme() == "http",
        "SUBWATCH_URL is {url}: the coordinator serves plain http; for https, put a TLS proxy in front of it"
    );
    let unresolved = || format!("cannot resolve the host of SUBWATCH_URL {url}");
    let addresses = url.socket_addrs(|| Some(8470)).with_context(unresolved)?;
    let address: SocketAddr = *addresses.first().with_context(unresolved)?;
    http::check_bind(&address, access)?;
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another coordinator running? SUBWATCH_URL sets the address")
    })
}

/// Connects to Redis and RabbitMQ and starts the background tasks.
async fn start(
    settings: Settings,
    tokens: Option<Arc<TokenFile>>,
    stop: CancellationToken,
) -> anyhow::Result<Arc<Context>> {
    let roots = DatasetRoots::parse(&settings.data.roots()?)?;
    let artifacts = artifacts_folder(&settings.data)?;
    confine_to(roots.clone(), &artifacts);
    let store = Store::connect(&StoreConfig {
        url: settings.store.redis_url.clone(),
        ca_certificates: settings.store.redis_ca_certificates.clone(),
        key_prefix: settings.store.redis_key_prefix.clone(),
    })
    .await?;
    let broker = BrokerConfig::new(settings.broker.amqp_url.clone(), "coordinator")
        .with_ca_certificates(settings.broker.amqp_ca_certificates.clone());
    let publisher = Publisher::connect(&broker).await?;
    let round_trip = probe(&broker).await?;
    tracing::info!(?round_trip, "RabbitMQ is usable: a test message was delayed, rejected and dead-lettered");
    let dead_queue = Subscription { queue: topology::dead_letter_queue(), prefetch: dead_letters::PREFETCH };
    let discarded = Consumer::connect(&broker, vec![dead_queue], stop.clone()).await?;
    let context = Arc::new(Context {
        instance: InstanceId::random(),
        settings: Arc::new(settings),
        store,
        publisher,
        notifier: Notifier::default(),
        feeder: Feeder::default(),
        tokens,
        roots: Arc::new(roots),
        artifacts,
        stop,
        tracker: TaskTracker::new(),
    });

    let listening = context.clone();
    context.tracker.spawn(async move { listening.store.listen(&listening.notifier, &listening.stop).await });
    let consuming = context.clone();
    context.tracker.spawn(async move { dead_letters::consume(&consuming, discarded).await });
    let leading = context.clone();
    context.tracker.spawn(async move { run_leadership(&leading).await });
    Ok(context)
}

async fn drain(tracker: &TaskTracker) {
    tracker.close();
    if tokio::time::timeout(DRAIN_LIMIT, tracker.wait()).await.is_err() {
        tracing::warn!(
            "background tasks did not stop within {DRAIN_LIMIT:?}; their work continues at the next start"
        );
    }
}

/// Returns the URL of the artifacts folder, and creates it if it is local.
fn artifacts_folder(settings: &DataSettings) -> anyhow::Result<Url> {
    let url = settings.artifacts_url()?;
    match url.to_file_path() {
        Ok(folder) if url.scheme() == "file" => std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create the artifacts folder {}", folder.display()))?,
        _ => {
            drop(Files::open_artifacts(&url).with_context(|| format!("invalid SUBWATCH_ARTIFACTS '{url}'"))?);
        }
    }
    Ok(url)
}
