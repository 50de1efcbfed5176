//! An open connection that knows when it is lost.
//!
//! Owns the watch over one connection and its orderly end. Does not own what follows a loss. Invariant: a
//! [`Link`] says it is lost whatever lapin's pending calls do; not all of them end when the server closes
//! the connection.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use lapin::{Channel, Connection, Event, options::ConfirmSelectOptions};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often a connection's state is read, beside listening to its events.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// How long an orderly close may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection that knows when it is lost.
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

    /// Opens a channel whose publishes are confirmed.
    pub(super) async fn confirming_channel(&self) -> lapin::Result<Channel> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    /// Waits until the connection is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Returns why it was lost, where that is known.
    pub(super) fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone().unwrap_or_else(|| "the connection is closed".to_owned())
    }

    /// Whether the broker takes no publishes for want of memory or disk.
    pub(super) fn blocked(&self) -> watch::Receiver<bool> {
        self.blocked.clone()
    }

    /// Closes in order, so that the broker requeues at once what is not acknowledged.
    pub(super) async fn close(self) {
        let closing = self.connection.close(200, "OK".into());
        // A connection that is lost already has nothing to close.
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
                // Errors of a channel arrive here as well; only the state says whether the connection is gone.
                Some(Event::Error(error)) => {
                    *reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!("RabbitMQ takes no publishes for now: {why}");
                    blocked.send_replace(true);
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("RabbitMQ takes publishes again");
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
