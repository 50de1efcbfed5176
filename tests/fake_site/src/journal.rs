//! The journal: which requests came, when, and how many at once.
//!
//! Owns the record of every request. Invariant: a request ends in the journal before its client can have read
//! the whole answer, so the concurrency found here is never more than there was.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::exchange::{Asked, Host};

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Where it went.
    pub host: Host,
    /// Its method.
    pub method: String,
    /// Its path, unescaped and without the query.
    pub path: String,
    /// Its path and query as they came.
    pub target: String,
    /// Its body, where what is asked stands in it; empty otherwise.
    pub body: String,
    /// Who asked, as the client says.
    pub agent: String,
    /// The id of the channel whose page it asked for, if it did.
    pub channel: Option<String>,
    /// When it was there whole, since the site began.
    pub arrived: Duration,
    /// When its answer was handed over, if it was.
    pub ended: Option<Duration>,
    /// The status it was answered with; none while it is thought about, and where it was reset.
    pub status: Option<u16>,
}

/// Requests in the order in which they arrived.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    /// Those to one kind of host.
    #[must_use]
    pub fn of(&self, host: Host) -> Self {
        self.only(|request| request.host == host)
    }

    /// Those whose path is exactly this.
    #[must_use]
    pub fn to(&self, path: &str) -> Self {
        self.only(|request| request.path == path)
    }

    /// Those answered with this status.
    #[must_use]
    pub fn answered(&self, status: u16) -> Self {
        self.only(|request| request.status == Some(status))
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many to each exact path.
    #[must_use]
    pub fn per_path(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.0 {
            *counts.entry(request.path.clone()).or_default() += 1;
        }
        counts
    }

    /// The most that arrived within any window of this length; two that are just so far apart are not in one.
    #[must_use]
    pub fn most_within(&self, window: Duration) -> usize {
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

    /// The most that were under way at one moment. Without [`World::latency`](super::World::latency) an
    /// answer takes no time, and this says little.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
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

    fn only(&self, wanted: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| wanted(request)).cloned().collect())
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

    /// Those after the first `skipped`.
    pub(super) fn after(&self, skipped: usize) -> Requests {
        Requests(self.lock().get(skipped..).unwrap_or_default().to_vec())
    }

    pub(super) fn enter(
        self: &Arc<Self>,
        host: Host,
        asked: &Asked,
        target: &str,
        channel: Option<&str>,
    ) -> Entry {
        let mut requests = self.lock();
        requests.push(Request {
            host,
            method: asked.method.to_string(),
            path: asked.path.clone(),
            target: target.to_owned(),
            body: String::from_utf8_lossy(&asked.body).into_owned(),
            agent: asked.agent.clone(),
            channel: channel.map(str::to_owned),
            // Read while the lock is held, so that the order is the order of times.
            arrived: self.began.elapsed(),
            ended: None,
            status: None,
        });
        Entry { journal: self.clone(), at: requests.len() - 1 }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no thread panics while it holds the journal")
    }
}

/// A request under way; it ends when this is dropped.
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
    fn the_busiest_window_and_moment_are_found() {
        let requests = Requests(vec![
            request(0, 400),
            request(100, 400),
            request(400, 1_200),
            request(1_000, 1_100),
            request(1_050, 1_300),
        ]);
        assert_eq!(requests.most_within(Duration::from_secs(1)), 4);
        assert_eq!(requests.most_within(Duration::from_millis(50)), 1);
        assert_eq!(requests.most_within(Duration::from_millis(51)), 2);
        assert_eq!(requests.most_at_once(), 3);
        assert_eq!(Requests::default().most_at_once(), 0);
        assert_eq!(requests.to("/vi/100").count(), 1);
        assert_eq!(requests.of(Host::Web).count(), 0);
        assert_eq!(requests.per_path()["/vi/1050"], 1);
    }
}
