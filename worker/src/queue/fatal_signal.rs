//! The end that a worker brings upon itself: what hangs inside a decoder or libtorch cannot be stopped, so
//! the process must end.
//!
//! Owns the report that any part may make, and which jobs are suspects. Does not own the end itself (see
//! [`crate::run`]): no new jobs, every job in flight released at once, a non-zero exit code. Invariant: from the
//! report on, no further job is taken up.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Ends the process on its own account. Clones share it.
#[derive(Clone)]
pub struct FatalSignal {
    report: Arc<OnceLock<Report>>,
    reported: CancellationToken,
    consuming: CancellationToken,
}

struct Report {
    reason: String,
    blame: Blame,
}

/// Which jobs keep their started marks when the process ends, so that they run alone next time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The job that raised the signal.
    OneJob,
    /// Every job in flight: any of them may be the cause.
    AllInFlight,
}

impl FatalSignal {
    /// Makes the word for a worker that consumes until `consuming` is cancelled.
    #[must_use]
    pub fn new(consuming: CancellationToken) -> Self {
        Self { report: Arc::default(), reported: CancellationToken::new(), consuming }
    }

    /// Ends the process because of one job, for `reason`. The caller leaves that job's started mark in
    /// place and its delivery unanswered; the marks of all others are taken back. The first report counts.
    pub fn raise(&self, blame: Blame, reason: impl Into<String>) {
        self.end(reason.into(), blame);
    }

    /// Waits for a report and returns its reason.
    pub async fn reported(&self) -> String {
        self.reported.cancelled().await;
        self.reason().expect("the reason is set before the token is cancelled").to_owned()
    }

    /// Returns why the process ends, if it was reported that it must.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.report.get().map(|report| report.reason.as_str())
    }

    /// Whether the jobs that are released keep their started marks.
    #[must_use]
    pub fn suspects_all(&self) -> bool {
        self.report.get().is_some_and(|report| report.blame == Blame::AllInFlight)
    }

    fn end(&self, reason: String, blame: Blame) {
        // A second report asks for the end that is under way already.
        let _ = self.report.set(Report { reason, blame });
        self.consuming.cancel();
        self.reported.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_report_counts_and_nothing_more_is_consumed() {
        let consuming = CancellationToken::new();
        let fatal = FatalSignal::new(consuming.clone());
        assert_eq!(fatal.reason(), None);
        fatal.raise(Blame::OneJob, "job 7 hangs");
        fatal.raise(Blame::AllInFlight, "the model hangs");
        assert!(consuming.is_cancelled());
        assert_eq!(fatal.reported().await, "job 7 hangs");
        assert!(!fatal.suspects_all());
    }

    #[test]
    fn all_are_suspected_where_nobody_can_be_singled_out() {
        let fatal = FatalSignal::new(CancellationToken::new());
        assert!(!fatal.suspects_all());
        fatal.raise(Blame::AllInFlight, "the model hangs");
        assert!(fatal.suspects_all());
    }
}
