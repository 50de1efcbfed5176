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

type Waiters = Arc<Mutex<HashMap<SubmissionId, Weak<Notify>>>>;

/// All doorbells of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Doorbells {
    waiters: Waiters,
    newcomers: Arc<Notify>,
}

/// One submission's doorbell, or that of all others.
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
    /// Returns the doorbell of `submission`.
    #[must_use]
    pub fn of(&self, submission: SubmissionId) -> Doorbell {
        let mut waiters = self.waiters.lock().expect("no holder of this lock panics");
        if let Some(notify) = waiters.get(&submission).and_then(Weak::upgrade) {
            return Doorbell { notify };
        }
        let notify = Arc::new(Notify::new());
        waiters.retain(|_, waiter| waiter.strong_count() > 0);
        waiters.insert(submission, Arc::downgrade(&notify));
        Doorbell { notify }
    }

    /// Returns the doorbell of the submissions that nobody here waits for, such as new ones.
    #[must_use]
    pub fn newcomers(&self) -> Doorbell {
        Doorbell { notify: self.newcomers.clone() }
    }

    fn ring(&self, submission: SubmissionId) {
        let waiters = self.waiters.lock().expect("no holder of this lock panics");
        match waiters.get(&submission).and_then(Weak::upgrade) {
            Some(notify) => notify.notify_one(),
            None => self.newcomers.notify_one(),
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
