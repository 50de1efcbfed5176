//! Doorbells: wake-ups over pub/sub when something about a submission changed.
//!
//! Owns the subscription and who waits in this process. A doorbell carries no news and may be lost;
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

/// What a doorbell is of: one submission, or all that have no doorbell of their own.
type Subject = Option<SubmissionId>;

/// All doorbells of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Doorbells {
    waiters: Arc<Mutex<HashMap<Subject, Vec<Weak<Notify>>>>>,
}

/// One waiter's doorbell. Each waiter has its own, so that none takes a ring meant for another.
pub struct Doorbell {
    notify: Arc<Notify>,
}

impl Doorbell {
    /// Waits for a ring, at most `limit`. A ring since the last wait counts. Cancel safe.
    pub async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.notify.notified()).await;
    }
}

impl Doorbells {
    /// Returns a new doorbell of `submission`.
    #[must_use]
    pub fn of(&self, submission: SubmissionId) -> Doorbell {
        self.add(Some(submission))
    }

    /// Returns a new doorbell of the submissions that have none here, such as new ones.
    #[must_use]
    pub fn newcomers(&self) -> Doorbell {
        self.add(None)
    }

    fn add(&self, subject: Subject) -> Doorbell {
        let mut waiters = self.waiters.lock().expect("no holder of this lock panics");
        // Entries are added here alone, so forgetting those without a waiter here bounds the map.
        waiters.retain(|_, bells| {
            bells.retain(|bell| bell.strong_count() > 0);
            !bells.is_empty()
        });
        let notify = Arc::new(Notify::new());
        waiters.entry(subject).or_default().push(Arc::downgrade(&notify));
        Doorbell { notify }
    }

    fn ring(&self, submission: SubmissionId) {
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
    pub async fn listen(&self, doorbells: &Doorbells, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.listen_once(doorbells, stop).await {
                tracing::warn!(%error, "the doorbell subscription was lost, waiters fall back on their timers");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RESUBSCRIBE_PAUSE) => {}
            }
        }
    }

    async fn listen_once(
        &self,
        doorbells: &Doorbells,
        stop: &CancellationToken,
    ) -> Result<(), redis::RedisError> {
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.subscribe(self.keys.doorbell()).await?;
        let mut rings = subscription.on_message();
        loop {
            let ring = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ring = rings.next() => ring,
            };
            let Some(ring) = ring else { return Ok(()) };
            if let Ok(submission) = ring.get_payload::<String>().unwrap_or_default().parse() {
                doorbells.ring(submission);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rang(doorbell: &Doorbell) -> bool {
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(Duration::from_millis(10), doorbell.wait(hour)).await.is_ok()
    }

    #[tokio::test]
    async fn every_waiter_of_a_submission_hears_each_ring() {
        let (doorbells, id) = (Doorbells::default(), SubmissionId::now());
        let (newcomers, other) = (doorbells.newcomers(), doorbells.of(SubmissionId::now()));
        let waiters = [doorbells.of(id), doorbells.of(id), doorbells.of(id)];
        for _ in 0..2 {
            doorbells.ring(id);
            for waiter in &waiters {
                assert!(rang(waiter).await);
            }
            assert!(!rang(&waiters[0]).await, "one ring wakes once");
        }
        assert!(!rang(&newcomers).await && !rang(&other).await);
        drop(waiters);
        doorbells.ring(id);
        assert!(rang(&newcomers).await, "nobody else waits for this submission");
    }

    #[test]
    fn doorbells_without_waiters_are_forgotten() {
        let doorbells = Doorbells::default();
        for _ in 0..100 {
            drop(doorbells.of(SubmissionId::now()));
        }
        let _kept = doorbells.newcomers();
        assert_eq!(doorbells.waiters.lock().unwrap().len(), 1);
    }
}
