//! Rate limits per host, shared by all workers.
//!
//! Owns when a request may start, how many are in flight, and the back-off after a host blocked us. The caller sends
//! the requests and interprets the responses. Invariants: the state of a host changes in one script over one key, by
//! Redis's clock; a request slot is released when its request ends, or when its lease expires, so a process that dies
//! blocks no slot for long.

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use redis::Script;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Store, StoreError};

/// Longest stored reason, in characters; longer ones are truncated.
const MAX_REASON_CHARS: usize = 300;

static ADMIT: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/admit.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/finish_request.lua")));
static END_BACKOFF: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/end_backoff.lua")));

fn host_script(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/host.lua")))
}

/// Rate limit of a host, over all workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Minimum interval between two requests.
    ///
    /// With `concurrency` 1 it counts from the first byte of the previous response, so that network delays cannot
    /// bring two requests closer together at the host; otherwise from start to start.
    pub min_interval: Duration,
    /// At most this many concurrent requests; at least 1.
    pub concurrency: u32,
    /// How long a request may take before its slot is reused. Must exceed the duration of every request.
    pub lease: Duration,
}

/// Whether a request may start.
#[derive(Debug)]
pub enum Admission {
    /// Start now, and release the slot with [`Store::finish_request`].
    Granted(Lease),
    /// Try again after this time.
    Wait(Duration),
    /// No requests to the host until then.
    BackedOff { until_ms: u64, reason: String },
}

/// The slot of one request to a host.
#[derive(Debug)]
pub struct Lease {
    host: String,
    id: Uuid,
    holder: String,
    started_ms: u64,
    response_began: Option<Instant>,
}

impl Lease {
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// Records that the response begins now.
    pub fn response_began(&mut self) {
        self.response_began = Some(Instant::now());
    }
}

/// What a response means for the host's rate limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The host responded normally. Ends the back-off if this request was its probe.
    Ok,
    /// The host failed, or the request was cancelled. No effect on the rate limit.
    Failed,
    /// The host asked for a delay before the next request.
    RetryAfter(Duration),
    /// The host blocked us: back off.
    Blocked { reason: String, backoff: Duration },
}

/// A back-off from a host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostBackoff {
    pub host: String,
    pub reason: String,
    /// The worker whose request was blocked.
    pub by: String,
    pub since_ms: u64,
    /// End of the back-off; then one request probes the host.
    pub until_ms: u64,
    /// Whether that time has passed, but no probe has succeeded yet.
    pub probing: bool,
}

#[derive(Deserialize)]
struct Host {
    backoff: Option<Backoff>,
}

#[derive(Deserialize)]
struct Backoff {
    since_ms: u64,
    until_ms: u64,
    reason: String,
    by: String,
}

impl Store {
    /// Returns whether a request of worker `holder` to `host` may start now.
    pub async fn admit(&self, host: &str, limits: Limits, holder: &str) -> Result<Admission, StoreError> {
        let id = Uuid::new_v4();
        let (verdict, number, reason): (String, u64, String) = ADMIT
            .key(self.keys.hosts())
            .arg(host)
            .arg(id.to_string())
            .arg(milliseconds(limits.min_interval))
            .arg(limits.concurrency)
            .arg(milliseconds(limits.lease))
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok(match verdict.as_str() {
            "granted" => Admission::Granted(Lease {
                host: host.to_owned(),
                id,
                holder: holder.to_owned(),
                started_ms: number,
                response_began: None,
            }),
            "wait" => Admission::Wait(Duration::from_millis(number)),
            _ => Admission::BackedOff { until_ms: number, reason },
        })
    }

    /// Releases the slot of a request and records the verdict on its response. Repeating it changes nothing. Returns
    /// the end of the back-off, if the host is in one. If this fails, the lease expires.
    pub async fn finish_request(&self, lease: &Lease, verdict: &Verdict) -> Result<Option<u64>, StoreError> {
        // Rounding down can only make the interval longer, never shorter.
        let since_response =
            lease.response_began.map(|at| at.elapsed().as_millis().to_string()).unwrap_or_default();
        self.record_verdict(&lease.host, &lease.id.to_string(), &since_response, verdict, &lease.holder).await
    }

    /// Backs off from a host because of a response whose slot was already released. Returns the end of the back-off.
    pub async fn back_off(
        &self,
        host: &str,
        reason: &str,
        backoff: Duration,
        holder: &str,
    ) -> Result<u64, StoreError> {
        let blocked = Verdict::Blocked { reason: reason.to_owned(), backoff };
        Ok(self.record_verdict(host, "", "", &blocked, holder).await?.unwrap_or_default())
    }

    async fn record_verdict(
        &self,
        host: &str,
        lease: &str,
        since_response: &str,
        verdict: &Verdict,
        holder: &str,
    ) -> Result<Option<u64>, StoreError> {
        let (verdict, time, reason) = match verdict {
            Verdict::Ok => ("ok", Duration::ZERO, ""),
            Verdict::Failed => ("failed", Duration::ZERO, ""),
            Verdict::RetryAfter(time) => ("retry-after", *time, ""),
            Verdict::Blocked { reason, backoff } => ("blocked", *backoff, reason.as_str()),
        };
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let until_ms: u64 = FINISH
            .key(self.keys.hosts())
            .arg(host)
            .arg(lease)
            .arg(since_response)
            .arg(verdict)
            .arg(milliseconds(time))
            .arg(reason)
            .arg(holder)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok((until_ms > 0).then_some(until_ms))
    }

    /// Returns all back-offs, sorted by host.
    pub async fn backoffs(&self) -> Result<Vec<HostBackoff>, StoreError> {
        let key = self.keys.hosts();
        let now_ms = self.now_ms().await?;
        let hosts: HashMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query_async(&mut self.connection.clone()).await?;
        let mut backed_off = Vec::new();
        for (host, json) in hosts {
            let found: Host =
                serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&key, &error))?;
            backed_off.extend(found.backoff.map(|backoff| HostBackoff {
                host,
                reason: backoff.reason,
                by: backoff.by,
                since_ms: backoff.since_ms,
                until_ms: backoff.until_ms,
                probing: backoff.until_ms <= now_ms,
            }));
        }
        backed_off.sort_by(|one, other| one.host.cmp(&other.host));
        Ok(backed_off)
    }

    /// Ends a host's back-off on behalf of an operator. Returns whether there was one.
    pub async fn end_backoff(&self, host: &str) -> Result<bool, StoreError> {
        let mut call = END_BACKOFF.key(self.keys.hosts());
        let ended: u64 = call.arg(host).invoke_async(&mut self.connection.clone()).await?;
        Ok(ended == 1)
    }
}

/// Rounds up, so that intervals are never too short.
fn milliseconds(time: Duration) -> u64 {
    time.as_micros().div_ceil(1000) as u64
}
