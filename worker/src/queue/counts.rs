//! What a worker has in flight, queue by queue, and what it has finished, kind by kind.
//!
//! Owns every count of jobs in the process; heartbeat, watch and drain read them here. Does not own the deliveries.
//! Invariant: a delivery is in flight until its [`InFlight`] is dropped.

use std::{collections::BTreeMap, sync::Arc};

use common::job::kind::Kind;
use tokio::sync::watch;

/// Deliveries of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QueueCount {
    /// All so far.
    pub deliveries: u64,
    /// Those in flight now.
    pub in_flight: usize,
}

/// The counts of one worker. Clones share them.
#[derive(Clone)]
pub struct JobCounts {
    counts: Arc<watch::Sender<Counts>>,
}

#[derive(Default)]
struct Counts {
    queues: BTreeMap<String, QueueCount>,
    finished: BTreeMap<Kind, u64>,
}

/// One delivery in flight.
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
    /// Makes the counts of a worker that consumes `queues`.
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

    /// Counts a job as finished with effect.
    pub fn finish(&self, kind: Kind) {
        self.counts.send_modify(|counts| *counts.finished.entry(kind).or_default() += 1);
    }

    /// Returns the counts by queue.
    #[must_use]
    pub fn queues(&self) -> BTreeMap<String, QueueCount> {
        self.counts.borrow().queues.clone()
    }

    /// Returns how many deliveries are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.borrow().in_flight()
    }

    /// Returns how many jobs of a kind were finished with effect.
    #[must_use]
    pub fn finished(&self, kind: Kind) -> u64 {
        self.counts.borrow().finished.get(&kind).copied().unwrap_or(0)
    }

    /// Waits until nothing is in flight.
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
    async fn deliveries_are_in_flight_until_dropped() {
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
