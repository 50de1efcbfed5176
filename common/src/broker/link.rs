//! Loss detection for one connection.
//!
//! Invariant: [`Link::lost`] resolves when the connection is lost even if lapin's pending calls do not: some of them
//! never complete after the server closes the connection.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use lapin::{Channel, Connection, Event, options::ConfirmSelectOptions};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often a connection's state is polled, in addition to its events.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Time limit of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection whose loss can be awaited.
pub(super) struct Link {
    connection: Arc<Connection>,
    lost: CancellationToken,
    reason: Arc<Mutex<Option<String>>>,
    blocked: watch::Receiver<bool>,
    _watcher: AbortOnDropHandle<()>,
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        let connection = Arc::new(connection);
        let (lost, reason) = (CancellationToken::new(), Arc::default());
        let (blocked_sender, blocked) = watch::channel(false);
        let watching =
            watch_connection(connection.clone(), lost.clone(), Arc::clone(&reason), blocked_sender);
        let watcher = AbortOnDropHandle::new(tokio::spawn(watching));
        Self { connection, lost, reason, blocked, _watcher: watcher }
    }

    pub(super) fn connection(&self) -> Arc<Connection> {
        self.connection.clone()
    }

    pub(super) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Opens a channel in confirm mode.
    pub(super) async fn confirming_channel(&self) -> lapin::Result<Channel> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Why the connection was lost.
    pub(super) fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| "the connection is closed".to_owned())
    }

    /// Whether the broker blocks publishers because of a memory or disk alarm.
    pub(super) fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.clone()
    }

    /// Closes gracefully, so that the broker requeues unacknowledged messages immediately.
    pub(super) async fn close(self) {
        let closing = self.connection.close(200, "OK".into());
        // Fails if the connection is already lost, which is fine.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
    }
}

async fn watch_connection(
    connection: Arc<Connection>,
    lost: CancellationToken,
    reason: Arc<Mutex<Option<String>>>,
    blocked: watch::Sender<bool>,
) {
    let mut events = std::pin::pin!(connection.events_listener());
    let mut check = tokio::time::interval(CHECK_EVERY);
    loop {
        tokio::select! {
            event = events.next() => match event {
                // Channel errors arrive here too; only the status below tells whether the connection is gone.
                Some(Event::Error(error)) => {
                    *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!(reason = %why, "RabbitMQ blocks publishers");
                    blocked.send_replace(true);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("RabbitMQ no longer blocks publishers");
                    blocked.send_replace(false);
                }
                Some(_) => {}
                None => break,
            },
            _ = check.tick() => {}
        }
        if !connection.status().connected() {
            break;
        }
    }
    lost.cancel();
}
