//! The store: results, embeddings and run state in Redis, the one source of truth.
//!
//! Owns every Redis key and script, and is the only module that names the `redis` crate. Does not own what the values
//! mean to a job or a run. Invariants: whatever must change together changes in one Lua script over keys of one hash
//! tag; time inside the store is Redis's own; pub/sub is only a doorbell, so every waiter also reads on a timer.
//!
//! - The layout: `keys` names every key, and `scripts/` holds the Lua scripts, which the modules here include by name.
//! - Work: `submissions` (records, index, results), `jobs` (marks, outcomes, pauses), `dead_letters`, `runs`
//!   (parameters, answers of nodes, documents), `idempotency` and `doorbell`.
//! - Images: `images` (uploads), `embeddings`, `spaces` (all embeddings of one space) and `catalogue` (which video an
//!   image shows).
//! - Crawls: `crawl` (what a job brought in so far), `manners` (rate limits and pauses of hosts), `quota` and `robots`.
//! - Processes: `lease` (which coordinator leads), `workers` (the register) and `server` (Redis itself).

mod catalogue;
mod crawl;
mod dead_letters;
mod doorbell;
mod embeddings;
mod idempotency;
mod images;
mod jobs;
mod keys;
mod lease;
mod manners;
mod quota;
mod robots;
mod runs;
mod server;
mod spaces;
mod submissions;
mod workers;

use std::{error::Error, fmt::Display, io, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};

use self::keys::Keys;
pub use self::{
    catalogue::CatalogueEntry,
    crawl::{CrawlProgress, Thumbnail, ThumbnailRecord},
    dead_letters::{DeadLetter, DeadPlace},
    doorbell::{Doorbell, Doorbells},
    idempotency::Claim,
    jobs::{
        Company, Finish, Holder, JobRef, JobState, JobStatus, MarkState, Mishap, Pause, Requeue, Start, Touch,
    },
    keys::{BUCKETS, bucket_of},
    manners::{Admission, Lease, Limits, PausedSource, Verdict},
    quota::{QuotaDay, QuotaUse, Spending},
    robots::RobotsFile,
    runs::{NodeFinish, Parameters, RunDocument},
    server::ServerInfo,
    submissions::{NewSubmission, Opening, State, Submission, SubmissionKind},
    workers::{RegisteredWorker, WorkerRecord, WorkerState},
};
use crate::certificate_authorities::Authorities;

/// How long a reply may take before the command counts as failed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between attempts to reach a server that is down at start.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Where the store is and how its keys begin.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Redis URL, with credentials.
    pub url: SecretString,
    /// Who must vouch for Redis over `rediss://`; those of the system where none are given.
    pub authorities: Option<Authorities>,
    /// What every key begins with.
    pub key_prefix: String,
}

/// A handle on Redis. Clones share one connection, which reconnects by itself.
#[derive(Clone)]
pub struct Store {
    connection: ConnectionManager,
    client: Client,
    keys: Keys,
    /// The token of the lease that this handle's writes carry; none acts for a user.
    token: Option<u64>,
}

/// Why a store operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none.
    #[error("the Redis URL is not usable: {0}")]
    Url(String),
    /// Redis's certificate is not signed by anybody this machine trusts, or not for this host.
    #[error(
        "Redis is not trusted: {0} (SUBWATCH_REDIS_CA_FILE names the file of an authority that vouches for it)"
    )]
    Untrusted(String),
    /// Redis refuses the user or the password.
    #[error("Redis refuses the credentials: {0}")]
    Denied(String),
    /// Redis is out of memory: the caller pauses, no item fails for it.
    #[error("Redis is out of memory: {0}")]
    OutOfMemory(String),
    /// Redis cannot be reached, or answers that it cannot serve now.
    #[error("Redis does not serve: {0}")]
    Unavailable(String),
    /// Another coordinator leads: this one was replaced and must stop driving.
    #[error("another coordinator has taken over")]
    Replaced,
    /// A value is not what this program writes.
    #[error("{key} holds {what}")]
    Corrupt {
        /// The key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed later. To a program that has connected once, a refusal is an operator's
    /// slip that passes.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::OutOfMemory(_) | Self::Unavailable(_) | Self::Denied(_) | Self::Untrusted(_) => true,
            Self::Url(_) | Self::Replaced | Self::Corrupt { .. } => false,
        }
    }

    fn corrupt(key: &str, what: &dyn Display) -> Self {
        Self::Corrupt { key: key.to_owned(), what: what.to_string() }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm) => {
                Self::Denied(text)
            }
            ErrorKind::InvalidClientConfig => Self::Url(text),
            ErrorKind::Io if is_distrust(&error) => Self::Untrusted(text),
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::corrupt("a reply of Redis", &text),
            _ if error.code() == Some("OOM") || text.contains("OOM command not allowed") => {
                Self::OutOfMemory(text)
            }
            _ if error.code() == Some("NOAUTH") || error.code() == Some("WRONGPASS") => Self::Denied(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Whether TLS failed for what the other side is, which waiting does not mend: rustls calls it invalid data.
fn is_distrust(error: &RedisError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

impl Store {
    /// Connects, waiting for a server that is down and saying so.
    ///
    /// # Errors
    /// When the URL is none, the server is not trusted or the credentials are refused: waiting would not help.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        // Another part of the program may have chosen a provider already; either will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = config.url.expose_secret();
        let client = match &config.authorities {
            Some(authorities) => {
                let root_cert = Some(authorities.pem().to_vec());
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert })?
            }
            None => Client::open(url)?,
        };
        let address = client.get_connection_info().addr().to_string();
        let mut waits = 0_u32;
        let connection = loop {
            match Self::open(&client).await.map_err(StoreError::from) {
                Ok(connection) => break connection,
                Err(StoreError::Unavailable(error)) => {
                    if waits.is_multiple_of(5) {
                        tracing::warn!(%address, %error, "Redis is not reachable, trying again every {RETRY_PAUSE:?}");
                    }
                    waits += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        if waits > 0 {
            tracing::info!(%address, "Redis answers");
        }
        Ok(Self { connection, client, keys: Keys::new(&config.key_prefix), token: None })
    }

    async fn open(client: &Client) -> Result<ConnectionManager, RedisError> {
        let settings = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_number_of_retries(2);
        let probe_settings = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT));
        let mut probe = client.get_multiplexed_async_connection_with_config(&probe_settings).await?;
        redis::cmd("PING").query_async::<()>(&mut probe).await?;
        ConnectionManager::new_with_config(client.clone(), settings).await
    }

    /// Checks that Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(redis::cmd("PING").query_async(&mut self.connection.clone()).await?)
    }

    /// Returns Redis's own time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn now_ms(&self) -> Result<u64, StoreError> {
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut self.connection.clone()).await?;
        Ok(seconds * 1000 + micros / 1000)
    }
}
