//! Notifier: wake-ups over pub/sub when something about a submission changed.
//!
//! Owns the subscription and who waits in this process. A waiter carries no news and may be lost;
//! whoever waits reads the store again, on every ring and on a timer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Store;
use crate::ids::SubmissionId;

/// Pause before subscribing again after the subscription was lost.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(500);

/// What a waiter is of: one submission, or all that have no waiter of their own.
type Subject = Option<SubmissionId>;

/// All notifier of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Notifier {
    waiters: Arc<Mutex<HashMap<Subject, Vec<Weak<Notify>>>>>,
}

/// One waiter's waiter. Each waiter has its own, so that none takes a ring meant for another.
pub struct Waiter {
    notify: Arc<Notify>,
}

impl Waiter {
    /// Waits for a ring, at most `limit`. A ring since the last wait counts. Cancel safe.
    pub async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.notify.notified()).await;
    }
}

impl Notifier {
    /// Returns a new waiter of `submission`.
    #[must_use]
    pub fn waiter(&self, submission: SubmissionId) -> Waiter {
        self.add(Some(submission))
    }

    /// Returns a new waiter of the submissions that have none here, such as new ones.
    #[must_use]
    pub fn new_submissions(&self) -> Waiter {
        self.add(None)
    }

    fn add(&self, subject: Subject) -> Waiter {
        let mut waiters = self.waiters.lock().expect("no holder of this lock panics");
        // Entries are added here alone, so forgetting those without a waiter here bounds the map.
        waiters.retain(|_, bells| {
            bells.retain(|bell| bell.strong_count() > 0);
            !bells.is_empty()
        });
        let notify = Arc::new(Notify::new());
        waiters.entry(subject).or_default().push(Arc::downgrade(&notify));
        Waiter { notify }
    }

    fn notify(&self, submission: SubmissionId) {
        let waiters = self.waiters.lock().expect("no holder of this lock panics");
        let bells = |subject| -> Vec<Arc<Notify>> {
            waiters.get(&subject).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        let mut rung = bells(Some(submission));
        if rung.is_empty() {
            rung = bells(None);
        }
        for notify in rung {
            notify.notify_one();
        }
    }
}

impl Store {
    /// Listens for rings until `stop`, subscribing again whenever the subscription is lost.
    pub async fn listen(&self, notifier: &Notifier, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.listen_once(notifier, stop).await {
                tracing::warn!(%error, "the waiter subscription was lost, waiters fall back on their timers");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RESUBSCRIBE_PAUSE) => {}
            }
        }
    }

    async fn listen_once(
        &self,
        notifier: &Notifier,
        stop: &CancellationToken,
    ) -> Result<(), redis::RedisError> {
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.subscribe(self.keys.notifications()).await?;
        let mut rings = subscription.on_message();
        loop {
            let ring = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ring = rings.next() => ring,
            };
            let Some(ring) = ring else { return Ok(()) };
            if let Ok(submission) = ring.get_payload::<String>().unwrap_or_default().parse() {
                notifier.notify(submission);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn woke(waiter: &Waiter) -> bool {
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(Duration::from_millis(10), waiter.wait(hour)).await.is_ok()
    }

    #[tokio::test]
    async fn every_waiter_of_a_submission_hears_each_ring() {
        let (notifier, id) = (Notifier::default(), SubmissionId::now());
        let (new_submissions, other) = (notifier.new_submissions(), notifier.waiter(SubmissionId::now()));
        let waiters = [notifier.waiter(id), notifier.waiter(id), notifier.waiter(id)];
        for _ in 0..2 {
            notifier.notify(id);
            for waiter in &waiters {
                assert!(woke(waiter).await);
            }
            assert!(!woke(&waiters[0]).await, "one ring wakes once");
        }
        assert!(!woke(&new_submissions).await && !woke(&other).await);
        drop(waiters);
        notifier.notify(id);
        assert!(woke(&new_submissions).await, "nobody else waits for this submission");
    }

    #[test]
    fn doorbells_without_waiters_are_forgotten() {
        let notifier = Notifier::default();
        for _ in 0..100 {
            drop(notifier.waiter(SubmissionId::now()));
        }
        let _kept = notifier.new_submissions();
        assert_eq!(notifier.waiters.lock().unwrap().len(), 1);
    }
}
