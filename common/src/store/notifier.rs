//! Notifications over pub/sub that a submission has changed.
//!
//! Owns the subscription and this process's waiters. A notification carries only the submission's ID and may be
//! lost; a waiter reads the store after every notification and on a timer.

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

/// Wait before subscribing again after the connection was lost.
const RESUBSCRIBE_WAIT: Duration = Duration::from_millis(500);

/// One submission, or `None` for all submissions without a waiter.
type Subject = Option<SubmissionId>;

/// The waiters of this process. Clones share them.
#[derive(Clone, Default)]
pub struct Notifier {
    waiters: Arc<Mutex<HashMap<Subject, Vec<Weak<Notify>>>>>,
}

/// Waits for notifications. Each waiter has its own [`Notify`], so waiters do not take each other's notifications.
pub struct Waiter {
    notify: Arc<Notify>,
}

impl Waiter {
    /// Waits for a notification, at most `limit`. One since the last wait counts. Cancel safe.
    pub async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.notify.notified()).await;
    }
}

impl Notifier {
    #[must_use]
    pub fn waiter(&self, submission: SubmissionId) -> Waiter {
        self.add(Some(submission))
    }

    /// Returns a waiter for submissions without a waiter in this process, such as new ones.
    #[must_use]
    pub fn new_submissions(&self) -> Waiter {
        self.add(None)
    }

    fn add(&self, subject: Subject) -> Waiter {
        let mut waiters = self.waiters.lock().expect("no holder of this lock panics");
        // Dropped waiters are removed here: entries are added nowhere else, so this bounds the map.
        waiters.retain(|_, of_subject| {
            of_subject.retain(|waiter| waiter.strong_count() > 0);
            !of_subject.is_empty()
        });
        let notify = Arc::new(Notify::new());
        waiters.entry(subject).or_default().push(Arc::downgrade(&notify));
        Waiter { notify }
    }

    fn notify(&self, submission: SubmissionId) {
        let waiters = self.waiters.lock().expect("no holder of this lock panics");
        let live = |subject| -> Vec<Arc<Notify>> {
            waiters.get(&subject).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        let mut notified = live(Some(submission));
        if notified.is_empty() {
            notified = live(None);
        }
        for waiter in notified {
            waiter.notify_one();
        }
    }
}

impl Store {
    /// Listens for notifications until `stop`, and subscribes again whenever the connection is lost.
    pub async fn listen(&self, notifier: &Notifier, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.listen_once(notifier, stop).await {
                tracing::warn!(%error, "lost the subscription to notifications; polling until it is restored");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RESUBSCRIBE_WAIT) => {}
            }
        }
    }

    async fn listen_once(
        &self,
        notifier: &Notifier,
        stop: &CancellationToken,
    ) -> Result<(), redis::RedisError> {
        let mut dropped = self.connection.dropped();
        let mut subscription = self.client.get_async_pubsub().await?;
        subscription.subscribe(self.keys.notifications()).await?;
        let mut messages = subscription.on_message();
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // The server cannot serve, so that another may be sending the notifications.
                _ = dropped.changed() => return Ok(()),
                message = messages.next() => message,
            };
            let Some(message) = message else { return Ok(()) };
            if let Ok(submission) = message.get_payload::<String>().unwrap_or_default().parse() {
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
    async fn each_notification_wakes_every_waiter_of_the_submission() {
        let (notifier, id) = (Notifier::default(), SubmissionId::now());
        let (new_submissions, other) = (notifier.new_submissions(), notifier.waiter(SubmissionId::now()));
        let waiters = [notifier.waiter(id), notifier.waiter(id), notifier.waiter(id)];
        for _ in 0..2 {
            notifier.notify(id);
            for waiter in &waiters {
                assert!(woke(waiter).await);
            }
            assert!(!woke(&waiters[0]).await, "one notification wakes once");
        }
        assert!(!woke(&new_submissions).await && !woke(&other).await);
        drop(waiters);
        notifier.notify(id);
        assert!(woke(&new_submissions).await, "this submission has no waiter left");
    }

    #[test]
    fn dropped_waiters_are_removed() {
        let notifier = Notifier::default();
        for _ in 0..100 {
            drop(notifier.waiter(SubmissionId::now()));
        }
        let _waiter = notifier.new_submissions();
        assert_eq!(notifier.waiters.lock().unwrap().len(), 1);
    }
}
