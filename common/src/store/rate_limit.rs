//! Manners: how the whole fleet behaves towards one host of the web.
//!
//! Owns when a request may start, how many are under way, and the pause after a host has had enough of us.
//! Does not own the requests, nor what a host's answer means. Invariants: everything about a host changes in
//! one script over one key, in Redis's time; a place is given back when its request ends, or by itself when its
//! lease runs out, so a process that dies takes none with it.

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use redis::Script;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Store, StoreError};

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 300;

static ADMIT: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/admit.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/finish_request.lua")));
static RESUME: LazyLock<Script> = LazyLock::new(|| host_script(include_str!("scripts/end_backoff.lua")));

fn host_script(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/host.lua")))
}

/// How a host may be asked, over all workers together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Least time between the starts of two requests.
    ///
    /// With one request at once, it counts from when the answer to the one before began, so that the host,
    /// too, sees them no nearer; with several, from start to start.
    pub min_interval: Duration,
    /// Requests that may be under way at once. At least 1.
    pub concurrency: u32,
    /// How long a request may take before its place is given to another. Longer than any request takes.
    pub lease: Duration,
}

/// Whether a request may start.
#[derive(Debug)]
pub enum Admission {
    /// Now. The place must be given back by [`Store::finished`].
    Go(Lease),
    /// Not yet: ask again after this time.
    Wait(Duration),
    /// The host is left alone for a while.
    BackedOff {
        /// Until when, in Redis's time.
        until_ms: u64,
        /// Why.
        reason: String,
    },
}

/// The place of one request to a host.
#[derive(Debug)]
pub struct Lease {
    host: String,
    id: Uuid,
    holder: String,
    started_ms: u64,
    answered: Option<Instant>,
}

impl Lease {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// When the request started, in Redis's time.
    #[must_use]
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// Notes that the answer begins now.
    pub fn answered(&mut self) {
        self.answered = Some(Instant::now());
    }
}

/// What the answer to a request says about our manners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing: the host serves us.
    Ok,
    /// Nothing: the host does not serve, or the request was given up.
    Failed,
    /// It wants to be asked again after this time only.
    RetryAfter(Duration),
    /// It has had enough of us.
    Blocked {
        /// Its words, or what it did.
        reason: String,
        /// How long it is left alone.
        pause: Duration,
    },
}

/// A host that is left alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostBackoff {
    /// The host.
    pub host: String,
    /// Why.
    pub reason: String,
    /// The worker whose request found out.
    pub by: String,
    /// Since when, in Redis's time.
    pub since_ms: u64,
    /// Until when, in Redis's time. Then one request tries whether it serves again.
    pub until_ms: u64,
    /// Whether that time has come, and nobody has tried with success yet.
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
    /// Asks whether a request of `holder` to `host` may start now.
    ///
    /// # Errors
    /// When Redis does not serve.
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
            "go" => Admission::Go(Lease {
                host: host.to_owned(),
                id,
                holder: holder.to_owned(),
                started_ms: number,
                answered: None,
            }),
            "wait" => Admission::Wait(Duration::from_millis(number)),
            _ => Admission::BackedOff { until_ms: number, reason },
        })
    }

    /// Gives the place of a request back and keeps what its answer said; doing it twice changes nothing more.
    /// Returns until when the host is backed_off, in Redis's time, if it is.
    ///
    /// # Errors
    /// When Redis does not serve; the lease runs out by itself.
    pub async fn finished(&self, lease: &Lease, verdict: &Verdict) -> Result<Option<u64>, StoreError> {
        // Rounded down, the answer began no earlier than that.
        let since_answer = lease.answered.map(|at| at.elapsed().as_millis().to_string()).unwrap_or_default();
        self.judge(&lease.host, &lease.id.to_string(), &since_answer, verdict, &lease.holder).await
    }

    /// Leaves a host alone for a while, for what `holder` found in an answer that was finished already.
    /// Returns until when, in Redis's time.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn back_off(
        &self,
        host: &str,
        reason: &str,
        pause: Duration,
        holder: &str,
    ) -> Result<u64, StoreError> {
        let trouble = Verdict::Blocked { reason: reason.to_owned(), pause };
        Ok(self.judge(host, "", "", &trouble, holder).await?.unwrap_or_default())
    }

    async fn judge(
        &self,
        host: &str,
        lease: &str,
        since_answer: &str,
        verdict: &Verdict,
        holder: &str,
    ) -> Result<Option<u64>, StoreError> {
        let (verdict, time, reason) = match verdict {
            Verdict::Ok => ("ok", Duration::ZERO, ""),
            Verdict::Failed => ("failed", Duration::ZERO, ""),
            Verdict::RetryAfter(time) => ("retry-after", *time, ""),
            Verdict::Blocked { reason, pause } => ("blocked", *pause, reason.as_str()),
        };
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let until_ms: u64 = FINISH
            .key(self.keys.hosts())
            .arg(host)
            .arg(lease)
            .arg(since_answer)
            .arg(verdict)
            .arg(milliseconds(time))
            .arg(reason)
            .arg(holder)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok((until_ms > 0).then_some(until_ms))
    }

    /// Returns the hosts that are left alone, by name.
    ///
    /// # Errors
    /// When Redis does not serve or a host is not one.
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

    /// Ends a host's pause at an operator's word. Returns whether it was backed_off.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn end_backoff(&self, host: &str) -> Result<bool, StoreError> {
        let mut call = RESUME.key(self.keys.hosts());
        let backed_off: u64 = call.arg(host).invoke_async(&mut self.connection.clone()).await?;
        Ok(backed_off == 1)
    }
}

/// Whole milliseconds, rounded up: no time comes out shorter than it should.
fn milliseconds(time: Duration) -> u64 {
    time.as_micros().div_ceil(1000) as u64
}
