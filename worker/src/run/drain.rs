//! Graceful shutdown: waiting for the jobs in flight.

use std::{fmt, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::queue::{counts::JobCounts, fatal_signal::FatalSignal};

/// Why waiting for the jobs in flight ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum DrainOutcome {
    /// Every job finished.
    Drained,
    /// The grace period expired.
    GraceExpired,
    /// A second SIGTERM or Ctrl-C.
    SecondSignal,
    /// A [`FatalSignal`], with its reason.
    Fatal(String),
}

impl fmt::Display for DrainOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drained => "all jobs in flight finished",
            Self::GraceExpired => "the grace period expired",
            Self::SecondSignal => "second signal received before the graceful shutdown was complete",
            Self::Fatal(reason) => reason,
        })
    }
}

/// Waits until no job is in flight, or there is a reason to stop waiting.
pub(super) async fn drain(
    counts: &JobCounts,
    grace: Duration,
    now: &CancellationToken,
    fatal: &FatalSignal,
) -> DrainOutcome {
    tracing::info!(jobs = counts.in_flight(), "draining: waiting for the jobs in flight");
    tokio::select! {
        biased;
        reason = fatal.raised() => DrainOutcome::Fatal(reason),
        () = now.cancelled() => DrainOutcome::SecondSignal,
        () = counts.drained() => DrainOutcome::Drained,
        () = tokio::time::sleep(grace) => DrainOutcome::GraceExpired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::counts::InFlight;
    use crate::queue::fatal_signal::Blame;

    async fn drain_with(jobs: usize, prepare: impl FnOnce(&CancellationToken, &FatalSignal)) -> DrainOutcome {
        let (counts, now) = (JobCounts::new([]), CancellationToken::new());
        let fatal = FatalSignal::new(CancellationToken::new());
        let _in_flight: Vec<InFlight> = (0..jobs).map(|_| counts.receive(&"embed".into())).collect();
        prepare(&now, &fatal);
        drain(&counts, Duration::ZERO, &now, &fatal).await
    }

    #[tokio::test]
    async fn most_urgent_reason_ends_the_drain() {
        assert_eq!(drain_with(0, |_, _| {}).await, DrainOutcome::Drained);
        assert_eq!(drain_with(1, |_, _| {}).await, DrainOutcome::GraceExpired);
        assert_eq!(drain_with(1, |now, _| now.cancel()).await, DrainOutcome::SecondSignal);
        let fatal = drain_with(1, |now, fatal| {
            now.cancel();
            fatal.raise(Blame::OneJob, "job 7 hangs");
        });
        assert_eq!(fatal.await, DrainOutcome::Fatal("job 7 hangs".to_owned()));
    }
}
