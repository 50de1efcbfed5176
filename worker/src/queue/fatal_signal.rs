//! The signal that the process must end: a hang in a decoder or in libtorch cannot be cancelled.
//!
//! Any part of the worker may raise it and say which jobs are suspects. [`crate::run`] then releases every job in flight
//! and exits with a non-zero code. Invariant: no job starts after the signal.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Clones share the signal.
#[derive(Clone)]
pub struct FatalSignal {
    cause: Arc<OnceLock<Cause>>,
    raised: CancellationToken,
    consuming: CancellationToken,
}

struct Cause {
    reason: String,
    blame: Blame,
}

/// The suspects: jobs that keep their started marks when the process ends, so that they run exclusively next time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The job that raised the signal.
    OneJob,
    /// Every job in flight: any of them may be the cause.
    AllInFlight,
    /// No job: the device failed.
    Nobody,
}

impl FatalSignal {
    /// Raising the signal cancels `consuming`.
    #[must_use]
    pub fn new(consuming: CancellationToken) -> Self {
        Self { cause: Arc::default(), raised: CancellationToken::new(), consuming }
    }

    /// Ends the process. Only the first call counts. With [`Blame::OneJob`], the caller leaves that job's started mark
    /// in place and its delivery unanswered; the marks of all other jobs are cleared.
    pub fn raise(&self, blame: Blame, reason: impl Into<String>) {
        // Fails if the signal was raised before; the process is already ending.
        let _ = self.cause.set(Cause { reason: reason.into(), blame });
        self.consuming.cancel();
        self.raised.cancel();
    }

    /// Waits for the signal and returns its reason.
    pub async fn raised(&self) -> String {
        self.raised.cancelled().await;
        self.reason().expect("the reason is set before the token is cancelled").to_owned()
    }

    /// Why the process ends; `None` before the signal.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.cause.get().map(|cause| cause.reason.as_str())
    }

    /// Whether released jobs keep their started marks.
    #[must_use]
    pub fn suspects_all(&self) -> bool {
        self.cause.get().is_some_and(|cause| cause.blame == Blame::AllInFlight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn first_raise_counts_and_stops_consuming() {
        let consuming = CancellationToken::new();
        let fatal = FatalSignal::new(consuming.clone());
        assert_eq!(fatal.reason(), None);
        fatal.raise(Blame::OneJob, "job 7 hangs");
        fatal.raise(Blame::AllInFlight, "the model hangs");
        assert!(consuming.is_cancelled());
        assert_eq!(fatal.raised().await, "job 7 hangs");
        assert!(!fatal.suspects_all());
    }

    #[test]
    fn blaming_all_in_flight_makes_every_job_a_suspect() {
        let fatal = FatalSignal::new(CancellationToken::new());
        assert!(!fatal.suspects_all());
        fatal.raise(Blame::AllInFlight, "the model hangs");
        assert!(fatal.suspects_all());
        let fatal = FatalSignal::new(CancellationToken::new());
        fatal.raise(Blame::Nobody, "the GPU failed");
        assert!(!fatal.suspects_all());
    }
}
