//! Signals: how an operator ends a process.
//!
//! Owns the translation from signals to tokens; does not own what is drained or released.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the operator has asked for so far.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT: begin nothing new, finish what is held.
    pub stop: CancellationToken,
    /// Cancelled by the second: end at once.
    pub now: CancellationToken,
}

/// Listens for SIGTERM and SIGINT for the rest of the process. Must be called within a tokio runtime.
#[must_use]
pub fn on_signal() -> Shutdown {
    let shutdown = Shutdown::default();
    let Shutdown { stop, now } = shutdown.clone();
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    tokio::spawn(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        tracing::info!("{first}: draining; another one ends at once");
        stop.cancel();
        let second = next(&mut terminate, &mut interrupt).await;
        tracing::warn!("{second} while draining: ending at once");
        now.cancel();
    });
    shutdown
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
