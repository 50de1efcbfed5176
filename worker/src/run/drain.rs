//! Finishing what is in flight, for as long as there is a reason to wait.

use std::{fmt, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::queue::{counts::JobCounts, fatal_signal::FatalSignal};

/// How a worker ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// With nothing left.
    Drained,
    /// With jobs that took longer than the grace period.
    GraceOver,
    /// By a second signal.
    Impatience,
    /// By a fatal report.
    Fatal(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drained => "nothing is held any more",
            Self::GraceOver => "the grace period is over",
            Self::Impatience => "a second signal came before everything was finished",
            Self::Fatal(reason) => reason,
        })
    }
}

/// Waits for the jobs in flight to finish.
pub(super) async fn drain(
    counts: &JobCounts,
    grace: Duration,
    now: &CancellationToken,
    fatal: &FatalSignal,
) -> End {
    tracing::info!(jobs = counts.in_flight(), "worker finishes what it holds");
    tokio::select! {
        biased;
        reason = fatal.reported() => End::Fatal(reason),
        () = now.cancelled() => End::Impatience,
        () = counts.drained() => End::Drained,
        () = tokio::time::sleep(grace) => End::GraceOver,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::counts::InFlight;
    use crate::queue::fatal_signal::Blame;

    async fn end(jobs: usize, prepare: impl FnOnce(&CancellationToken, &FatalSignal)) -> End {
        let (counts, now) = (JobCounts::new([]), CancellationToken::new());
        let fatal = FatalSignal::new(CancellationToken::new());
        let _hanging: Vec<InFlight> = (0..jobs).map(|_| counts.receive(&"embed".into())).collect();
        prepare(&now, &fatal);
        drain(&counts, Duration::ZERO, &now, &fatal).await
    }

    #[tokio::test]
    async fn whatever_hurries_most_decides_how_a_worker_ends() {
        assert_eq!(end(0, |_, _| {}).await, End::Drained);
        assert_eq!(end(1, |_, _| {}).await, End::GraceOver);
        assert_eq!(end(1, |now, _| now.cancel()).await, End::Impatience);
        let fatal = end(1, |now, fatal| {
            now.cancel();
            fatal.raise(Blame::OneJob, "job 7 hangs");
        });
        assert_eq!(fatal.await, End::Fatal("job 7 hangs".to_owned()));
    }
}
