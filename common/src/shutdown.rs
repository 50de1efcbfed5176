//! Graceful shutdown: translates SIGTERM and SIGINT into cancellation tokens.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The shutdown requested so far. Clones share the tokens.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT: take no new work, finish what is in flight.
    pub stop: CancellationToken,
    /// Cancelled by the second signal: exit immediately.
    pub now: CancellationToken,
}

/// Handles SIGTERM and SIGINT for the rest of the process. Must be called within a tokio runtime.
#[must_use]
pub fn on_signal() -> Shutdown {
    let shutdown = Shutdown::default();
    let Shutdown { stop, now } = shutdown.clone();
    let mut terminate = signal(SignalKind::terminate()).expect("a SIGTERM handler can be installed");
    let mut interrupt = signal(SignalKind::interrupt()).expect("a SIGINT handler can be installed");
    tokio::spawn(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        // Before logging, which may block.
        stop.cancel();
        tracing::info!("received {first}: shutting down gracefully; send it again to exit immediately");
        let second = next(&mut terminate, &mut interrupt).await;
        now.cancel();
        tracing::warn!("received {second} during the graceful shutdown: exiting immediately");
    });
    shutdown
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
