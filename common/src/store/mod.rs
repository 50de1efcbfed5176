//! The store: submissions, results, embeddings and run state in Redis, the single source of truth.
//!
//! Owns every Redis key and script; no other module uses the `redis` crate.
//! Invariants: values that must change together change in one Lua script over keys with one hash tag; all
//! timestamps are Redis's own clock, in ms since the Unix epoch; pub/sub messages may be lost, so every waiter also
//! polls on a timer.
//!
//! Every operation fails with [`StoreError`] if Redis is unavailable or out of memory, and with
//! [`StoreError::Corrupt`] if a stored value cannot be parsed. Doc comments name only other errors.
//!
//! - Layout: `keys` (every key), `scripts/` (the Lua scripts), `connection` (shared by all commands).
//! - Work: `submissions` (records, indexes, results), `jobs` (job records), `dead_letters`, `runs` (parameters, node
//!   results, documents), `idempotency` and `notifier`.
//! - Images: `images` (uploads), `embeddings`, `spaces` (whole embedding spaces) and `catalogue` (videos of images).
//! - Crawls: `crawl` (progress of jobs), `rate_limit` (rate limits and back-offs of hosts), `quota` and `robots`.
//! - Processes: `lease` (the leader), `workers` (the register), `server` (Redis itself) and `policies` (of RabbitMQ).

mod catalogue;
mod connection;
mod crawl;
mod dead_letters;
mod embeddings;
mod idempotency;
mod images;
mod jobs;
mod keys;
mod lease;
mod notifier;
mod policies;
mod quota;
mod rate_limit;
mod robots;
mod runs;
mod server;
mod spaces;
mod submissions;
mod workers;

use std::{error::Error, fmt::Display, io, sync::Arc, time::Duration};

use redis::{Client, ErrorKind, RedisError, ServerErrorKind, TlsCertificates};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    catalogue::CatalogueEntry,
    crawl::{CrawlProgress, Thumbnail, ThumbnailRecord},
    dead_letters::{DeadLetter, DeadLetterCursor},
    embeddings::AddedCounts,
    idempotency::Claim,
    jobs::{
        AttemptError, DroppedJob, Finish, Heartbeat, Holder, Isolation, JobEnd, JobRef, JobState, JobStatus,
        Requeue, Results, Snooze, Start,
    },
    keys::{BUCKETS, bucket_of},
    notifier::{Notifier, Waiter},
    policies::PolicyEffect,
    quota::{QuotaDay, QuotaUse, Spending},
    rate_limit::{Admission, HostBackoff, Lease, Limits, Verdict},
    robots::RobotsFile,
    runs::{NodeFinish, Parameters, RunDocument},
    server::ServerInfo,
    submissions::{Deletion, End, NewSubmission, Opening, State, Submission, SubmissionKind},
    workers::{RegisteredWorker, StageRecord, WorkerPlaces, WorkerRecord, WorkerState},
};
use self::{connection::Connection, keys::Keys};
use crate::ca_certificates::CaCertificates;

/// Interval between connection attempts at start-up.
const CONNECT_RETRY_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Redis URL, with credentials.
    pub url: SecretString,
    /// CAs to trust for `rediss://`; the system's if `None`.
    pub ca_certificates: Option<CaCertificates>,
    /// Prefix of every key.
    pub key_prefix: String,
}

/// A Redis client. Clones share one connection, which is replaced when it is lost or its server cannot serve.
#[derive(Clone)]
pub struct Store {
    connection: Connection,
    client: Client,
    keys: Keys,
    /// Fencing token of the coordinator's lease; `None` for requests on behalf of a user.
    token: Option<u64>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the Redis URL is invalid: {0}")]
    Url(String),
    /// Redis's TLS certificate is not signed by a trusted CA, or is for another host.
    #[error(
        "Redis's TLS certificate is not trusted: {0} (set SUBWATCH_REDIS_CA_FILE to the PEM file of its CA)"
    )]
    Untrusted(String),
    #[error("Redis rejected the credentials: {0}")]
    Denied(String),
    /// Redis reached `maxmemory`: callers wait and retry; no item fails.
    #[error("Redis is out of memory: {0}")]
    OutOfMemory(String),
    /// Redis is unreachable, or replied that it cannot serve now.
    #[error("Redis is unavailable: {0}")]
    Unavailable(String),
    /// Another coordinator became the leader: this one must stop writing.
    #[error("another coordinator has taken over")]
    Replaced,
    /// A stored value or a reply cannot be parsed.
    #[error("invalid data in Redis at {key}: {problem}")]
    Corrupt { key: String, problem: String },
}

impl StoreError {
    /// Whether the same call may succeed later. `Denied` and `Untrusted` count: after a successful connection they
    /// are usually an operator's mistake that will be corrected.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::OutOfMemory(_) | Self::Unavailable(_) | Self::Denied(_) | Self::Untrusted(_) => true,
            Self::Url(_) | Self::Replaced | Self::Corrupt { .. } => false,
        }
    }

    fn corrupt(key: &str, problem: &dyn Display) -> Self {
        Self::Corrupt { key: key.to_owned(), problem: problem.to_string() }
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
            ErrorKind::Io if is_tls_error(&error) => Self::Untrusted(text),
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::corrupt("(reply)", &text),
            _ if error.code() == Some("OOM") || text.contains("OOM command not allowed") => {
                Self::OutOfMemory(text)
            }
            _ if error.code() == Some("NOAUTH") || error.code() == Some("WRONGPASS") => Self::Denied(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Whether the TLS handshake failed, which rustls reports as invalid data. Retrying would not help.
fn is_tls_error(error: &RedisError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

impl Store {
    /// Connects. While Redis is unavailable, logs a warning and retries without limit.
    ///
    /// # Errors
    /// If the URL is invalid, the certificate is not trusted or the credentials are rejected.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        // Fails if a provider is already installed, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = config.url.expose_secret();
        let client = match &config.ca_certificates {
            Some(ca_certificates) => {
                let root_cert = Some(ca_certificates.pem().to_vec());
                Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert })?
            }
            None => Client::open(url)?,
        };
        let address = client.get_connection_info().addr().to_string();
        let mut failures = 0_u32;
        let connection = loop {
            match Connection::open(&client).await.map_err(StoreError::from) {
                Ok(connection) => break connection,
                Err(StoreError::Unavailable(error)) => {
                    if failures.is_multiple_of(5) {
                        tracing::warn!(
                            %address, %error, "Redis is unavailable; retrying every {CONNECT_RETRY_INTERVAL:?}"
                        );
                    }
                    failures += 1;
                    tokio::time::sleep(CONNECT_RETRY_INTERVAL).await;
                }
                Err(error) => return Err(error),
            }
        };
        if failures > 0 {
            tracing::info!(%address, "connected to Redis");
        }
        Ok(Self { connection, client, keys: Keys::new(&config.key_prefix), token: None })
    }

    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(redis::cmd("PING").query_async(&mut self.connection.clone()).await?)
    }

    /// Returns Redis's clock, in ms since the Unix epoch.
    pub async fn now_ms(&self) -> Result<u64, StoreError> {
        let (seconds, micros): (u64, u64) =
            redis::cmd("TIME").query_async(&mut self.connection.clone()).await?;
        Ok(seconds * 1000 + micros / 1000)
    }
}
