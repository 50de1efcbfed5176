//! What a worker holds and has been served, queue by queue.
//!
//! Owns the counts; does not own the deliveries. Invariant: a delivery counts as held until its [`Held`] is
//! dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts of one queue.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// Deliveries of it so far.
    pub deliveries: u64,
    /// Deliveries of it that are held now.
    pub held: usize,
}

/// The counts of every queue a worker consumes. Clones share them.
#[derive(Clone, Default)]
pub struct Holdings {
    queues: Arc<Mutex<BTreeMap<String, Count>>>,
}

/// One delivery that is held.
pub struct Held {
    holdings: Holdings,
    queue: Arc<str>,
}

impl Holdings {
    /// Makes the counts of `queues`.
    pub fn new(queues: impl IntoIterator<Item = String>) -> Self {
        let queues = queues.into_iter().map(|queue| (queue, Count::default())).collect();
        Self { queues: Arc::new(Mutex::new(queues)) }
    }

    /// Counts a delivery of `queue` as held.
    #[must_use]
    pub fn hold(&self, queue: &Arc<str>) -> Held {
        let mut queues = self.lock();
        let count = queues.entry(queue.to_string()).or_default();
        count.deliveries += 1;
        count.held += 1;
        Held { holdings: self.clone(), queue: queue.clone() }
    }

    /// Returns the counts by queue.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Count> {
        self.lock().clone()
    }

    /// Returns how many deliveries are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lock().values().map(|count| count.held).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Count>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(count) = self.holdings.lock().get_mut(&*self.queue) {
            count.held -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_held_until_dropped() {
        let holdings = Holdings::new(["embed".to_owned(), "predict".to_owned()]);
        let embed: Arc<str> = "embed".into();
        let (first, second) = (holdings.hold(&embed), holdings.hold(&embed));
        assert_eq!(holdings.counts()["embed"], Count { deliveries: 2, held: 2 });
        assert_eq!(holdings.counts()["predict"], Count::default());
        drop(first);
        assert_eq!((holdings.held(), holdings.counts()["embed"].deliveries), (1, 2));
        drop(second);
        assert_eq!(holdings.held(), 0);
    }
}
