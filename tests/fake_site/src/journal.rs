//! A log of all requests with their times.
//!
//! Invariant: a request ends in the log before its client can have read the whole response, so the logged
//! concurrency never exceeds the real one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::exchange::{Host, SiteRequest};

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The host by its path.
    pub host: Host,
    pub method: String,
    /// Unescaped path without the query.
    pub path: String,
    /// Path and query as received.
    pub target: String,
    /// The body, if any.
    pub body: String,
    /// `User-Agent` header.
    pub agent: String,
    /// ID of the channel whose page it requested, if any.
    pub channel: Option<String>,
    /// When it had been read, relative to the site's start.
    pub arrived: Duration,
    /// When its response had been sent, if it has been.
    pub ended: Option<Duration>,
    /// Response status; `None` while pending and after a reset.
    pub status: Option<u16>,
}

/// Requests in order of arrival.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    /// Returns the requests to `host`.
    #[must_use]
    pub fn of(&self, host: Host) -> Self {
        self.only(|request| request.host == host)
    }

    /// Returns the requests with exactly this path.
    #[must_use]
    pub fn to(&self, path: &str) -> Self {
        self.only(|request| request.path == path)
    }

    /// Returns the requests with this response status.
    #[must_use]
    pub fn answered(&self, status: u16) -> Self {
        self.only(|request| request.status == Some(status))
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of requests by exact path.
    #[must_use]
    pub fn per_path(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.0 {
            *counts.entry(request.path.clone()).or_default() += 1;
        }
        counts
    }

    /// Returns the maximum number of arrivals in a half-open window of this length.
    #[must_use]
    pub fn max_within(&self, window: Duration) -> usize {
        let arrivals: Vec<_> = self.0.iter().map(|request| request.arrived).collect();
        let mut first = 0;
        let mut most = 0;
        for (at, arrived) in arrivals.iter().enumerate() {
            while *arrived - arrivals[first] >= window {
                first += 1;
            }
            most = most.max(at + 1 - first);
        }
        most
    }

    /// Returns the maximum number of concurrent requests. It means little without
    /// [`World::latency`](super::World::latency), since responses then take almost no time.
    #[must_use]
    pub fn max_concurrent(&self) -> usize {
        let ends = self.0.iter().filter_map(|request| request.ended).map(|at| (at, false));
        let mut events: Vec<_> = self.0.iter().map(|request| (request.arrived, true)).chain(ends).collect();
        // At the same moment, ends come before arrivals.
        events.sort_unstable();
        let (mut open, mut most) = (0_usize, 0);
        for (_, arrives) in events {
            open = if arrives { open + 1 } else { open - 1 };
            most = most.max(open);
        }
        most
    }

    fn only(&self, predicate: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| predicate(request)).cloned().collect())
    }
}

#[derive(Debug)]
pub(super) struct Journal {
    began: Instant,
    requests: Mutex<Vec<Request>>,
}

impl Journal {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), requests: Mutex::default() })
    }

    pub(super) fn after(&self, skipped: usize) -> Requests {
        Requests(self.lock().get(skipped..).unwrap_or_default().to_vec())
    }

    pub(super) fn enter(
        self: &Arc<Self>,
        host: Host,
        request: &SiteRequest,
        target: &str,
        channel: Option<&str>,
    ) -> Entry {
        let mut requests = self.lock();
        requests.push(Request {
            host,
            method: request.method.to_string(),
            path: request.path.clone(),
            target: target.to_owned(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            agent: request.agent.clone(),
            channel: channel.map(str::to_owned),
            // Read under the lock, so that entries are ordered by time.
            arrived: self.began.elapsed(),
            ended: None,
            status: None,
        });
        Entry { journal: self.clone(), at: requests.len() - 1 }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no thread panics while it holds the lock")
    }
}

/// A request in flight; dropping it logs the end.
#[derive(Debug)]
pub(super) struct Entry {
    journal: Arc<Journal>,
    at: usize,
}

impl Entry {
    pub(super) fn answered(&self, status: u16) {
        self.journal.lock()[self.at].status = Some(status);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut requests = self.journal.lock();
        requests[self.at].ended = Some(self.journal.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrived: u64, ended: u64) -> Request {
        Request {
            host: Host::Images,
            method: "GET".to_owned(),
            path: format!("/vi/{arrived}"),
            target: String::new(),
            body: String::new(),
            agent: String::new(),
            channel: None,
            arrived: Duration::from_millis(arrived),
            ended: Some(Duration::from_millis(ended)),
            status: Some(200),
        }
    }

    #[test]
    fn peak_rate_and_concurrency_are_found() {
        let requests = Requests(vec![
            request(0, 400),
            request(100, 400),
            request(400, 1_200),
            request(1_000, 1_100),
            request(1_050, 1_300),
        ]);
        assert_eq!(requests.max_within(Duration::from_secs(1)), 4);
        assert_eq!(requests.max_within(Duration::from_millis(50)), 1);
        assert_eq!(requests.max_within(Duration::from_millis(51)), 2);
        assert_eq!(requests.max_concurrent(), 3);
        assert_eq!(Requests::default().max_concurrent(), 0);
        assert_eq!(requests.to("/vi/100").count(), 1);
        assert_eq!(requests.of(Host::Web).count(), 0);
        assert_eq!(requests.per_path()["/vi/1050"], 1);
    }
}
