//! Counts of a worker's deliveries in flight, per queue, and of its finished jobs, per kind.
//!
//! Read by the heartbeat, the watchdog and the drain. Invariant: a delivery is in flight until its [`InFlight`] is
//! dropped.

use std::{collections::BTreeMap, sync::Arc};

use common::job::kind::Kind;
use tokio::sync::watch;

/// Delivery counts of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QueueCount {
    /// Total since the start.
    pub deliveries: u64,
    pub in_flight: usize,
}

/// Clones share the counts.
#[derive(Clone)]
pub struct JobCounts {
    counts: Arc<watch::Sender<Counts>>,
}

#[derive(Default)]
struct Counts {
    queues: BTreeMap<String, QueueCount>,
    finished: BTreeMap<Kind, u64>,
}

/// Guard of one delivery in flight.
pub struct InFlight {
    counts: JobCounts,
    queue: Arc<str>,
}

impl Counts {
    fn in_flight(&self) -> usize {
        self.queues.values().map(|count| count.in_flight).sum()
    }
}

impl JobCounts {
    /// `queues` are those the worker consumes.
    pub fn new(queues: impl IntoIterator<Item = String>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue, QueueCount::default())).collect();
        Self { counts: Arc::new(watch::Sender::new(Counts { queues, ..Counts::default() })) }
    }

    /// Counts a delivery of `queue` as in flight.
    #[must_use]
    pub fn receive(&self, queue: &Arc<str>) -> InFlight {
        self.counts.send_modify(|counts| {
            let count = counts.queues.entry(queue.to_string()).or_default();
            count.deliveries += 1;
            count.in_flight += 1;
        });
        InFlight { counts: self.clone(), queue: queue.clone() }
    }

    /// Counts a job whose result was applied.
    pub fn finish(&self, kind: Kind) {
        self.counts.send_modify(|counts| *counts.finished.entry(kind).or_default() += 1);
    }

    #[must_use]
    pub fn queues(&self) -> BTreeMap<String, QueueCount> {
        self.counts.borrow().queues.clone()
    }

    /// Number of deliveries in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.borrow().in_flight()
    }

    /// Number of jobs of a kind whose result was applied.
    #[must_use]
    pub fn finished(&self, kind: Kind) -> u64 {
        self.counts.borrow().finished.get(&kind).copied().unwrap_or(0)
    }

    /// Waits until no delivery is in flight.
    pub async fn drained(&self) {
        let drained = |counts: &Counts| counts.in_flight() == 0;
        self.counts.subscribe().wait_for(drained).await.expect("the sender is alive: it is borrowed");
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counts.counts.send_modify(|counts| {
            if let Some(count) = counts.queues.get_mut(&*self.queue) {
                count.in_flight -= 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn delivery_is_in_flight_until_its_guard_is_dropped() {
        let counts = JobCounts::new(["embed".to_owned(), "predict".to_owned()]);
        let embed: Arc<str> = "embed".into();
        let (first, second) = (counts.receive(&embed), counts.receive(&embed));
        assert_eq!(counts.queues()["embed"], QueueCount { deliveries: 2, in_flight: 2 });
        assert_eq!(counts.queues()["predict"], QueueCount::default());
        drop(first);
        assert_eq!((counts.in_flight(), counts.queues()["embed"].deliveries), (1, 2));
        let (counts, waiting) = (counts.clone(), counts);
        let waiting = tokio::spawn(async move { waiting.drained().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert_eq!(counts.in_flight(), 0);
    }
}
