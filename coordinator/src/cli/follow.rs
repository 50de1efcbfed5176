//! Waits for a submission or run, and shows its progress.
//!
//! Owns polling, the wait timeout and the progress text. If the wait ends early, the jobs keep running and the
//! error says how to check on them. Does not own reports: each command prints its own.

use std::time::{Duration, Instant};

use common::{
    ids::SubmissionId,
    store::{State, SubmissionKind},
};
use serde::Serialize;

use super::{
    arguments::WaitArguments,
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted, digits, plain, time_text},
    progress::{Progress, ProgressDisplay},
    workers::missing_workers_hint,
};
use crate::api::{RunView, SubmissionView};

/// Polling starts fast, so that short jobs return quickly, and slows down.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(20);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Time without progress after which, and interval at which, it is checked whether workers are running.
const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// A submission or a run, as the coordinator reports it.
pub(super) trait Tracked: Serialize + Sized {
    fn id(&self) -> SubmissionId;
    fn progress(&self) -> Progress;
    async fn fetch(client: &Client, id: SubmissionId) -> Result<Self, CliError>;
}

impl Tracked for SubmissionView {
    fn id(&self) -> SubmissionId {
        self.submission
    }

    fn progress(&self) -> Progress {
        let done = self.succeeded + self.failed;
        let fraction = if self.items > 0 { done as f64 / self.items as f64 } else { 0.0 };
        Progress { fraction, text: progress_text(self), ended: self.state.is_terminal() }
    }

    async fn fetch(client: &Client, id: SubmissionId) -> Result<Self, CliError> {
        client.submission(id).await
    }
}

impl Tracked for RunView {
    fn id(&self) -> SubmissionId {
        self.run
    }

    fn progress(&self) -> Progress {
        Progress { fraction: self.fraction, text: self.progress.clone(), ended: self.state.is_terminal() }
    }

    async fn fetch(client: &Client, id: SubmissionId) -> Result<Self, CliError> {
        client.run(id).await
    }
}

/// Waits until a submission or run has ended and returns its last state; with `--detach`, prints its ID and returns
/// `None`.
pub(super) async fn follow<T: Tracked>(
    client: &Client,
    format: Format,
    submitted: T,
    arguments: &WaitArguments,
) -> Result<Option<T>, CliError> {
    if arguments.detach {
        output::print_value(format, &submitted, |submitted| submitted.id().to_string())?;
        return Ok(None);
    }
    wait(client, submitted.id(), arguments.wait_timeout).await.map(Some)
}

/// Waits until a submission or run has ended and returns its last state.
pub(super) async fn wait<T: Tracked>(
    client: &Client,
    id: SubmissionId,
    timeout_seconds: Option<u64>,
) -> Result<T, CliError> {
    let start = Instant::now();
    let mut display = ProgressDisplay::new();
    let mut interval = MIN_POLL_INTERVAL;
    let mut stalls = StallDetector::new();
    loop {
        let keep_running = format!("the jobs keep running: see `subwatch status {id}`");
        let view = match T::fetch(client, id).await {
            Ok(view) => view,
            Err(error) => {
                display.clear();
                return Err(CliError::new(error.exit, format!("{}; {keep_running}", error.message)));
            }
        };
        let mut progress = view.progress();
        if let Some(reason) = stalls.reason(client, &progress).await {
            progress.text = format!("{}; {reason}", progress.text);
        }
        display.show(&progress);
        if progress.ended {
            display.clear();
            return Ok(view);
        }
        if let Some(timeout) = timeout_seconds
            && start.elapsed() >= Duration::from_secs(timeout)
        {
            display.clear();
            let message = format!("unfinished after {timeout} s ({}); {keep_running}", progress.text);
            return Err(CliError::new(Exit::TimedOut, message));
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => interval = (interval * 3 / 2).min(MAX_POLL_INTERVAL),
            _ = tokio::signal::ctrl_c() => {
                display.clear();
                return Err(CliError::new(Exit::Interrupted, format!("interrupted; {keep_running}")));
            }
        }
    }
}

/// Returns the error of a submission that failed as a whole.
pub(super) fn require_no_error(view: &SubmissionView) -> Result<(), CliError> {
    view.error.as_ref().map_or(Ok(()), |error| Err(CliError::failed(plain(error))))
}

/// Describes the progress of a submission on one line.
pub(super) fn progress_text(view: &SubmissionView) -> String {
    let (done, items) = (view.succeeded + view.failed, view.items);
    match (view.kind, view.state) {
        (SubmissionKind::Crawl, State::Preparing) => "preparing the crawl".to_owned(),
        (SubmissionKind::Crawl, _) => {
            let snoozed = view.snoozed.as_ref().map(|snooze| {
                format!("; snoozed until {}: {}", time_text(snooze.until_ms), plain(&snooze.reason))
            });
            let thumbnails = view.thumbnails.unwrap_or(0);
            format!(
                "{done} of {}, {}{}",
                counted(items, "channel"),
                counted(thumbnails, "thumbnail"),
                snoozed.unwrap_or_default()
            )
        }
        (_, State::Preparing) => "reading the dataset".to_owned(),
        _ => format!("{done} of {}, {} images/s", counted(items, "image"), digits(view.items_per_second)),
    }
}

/// Notices that a submission makes no progress, and finds out why.
struct StallDetector {
    fraction: f64,
    /// Time of the last progress or check.
    since: Instant,
    reason: Option<&'static str>,
}

impl StallDetector {
    fn new() -> Self {
        Self { fraction: 0.0, since: Instant::now(), reason: None }
    }

    async fn reason(&mut self, client: &Client, progress: &Progress) -> Option<&'static str> {
        if progress.ended || progress.fraction > self.fraction {
            *self = Self { fraction: progress.fraction, ..Self::new() };
        } else if self.since.elapsed() >= STALL_CHECK_INTERVAL {
            self.reason = missing_workers_hint(client).await;
            self.since = Instant::now();
        }
        self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SnoozeView;

    #[test]
    fn crawl_progress_counts_channels_and_thumbnails_and_names_the_snooze() {
        let mut view = SubmissionView {
            submission: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            kind: SubmissionKind::Crawl,
            state: State::Running,
            items: 100,
            succeeded: 11,
            failed: 1,
            cached: 0,
            thumbnails: Some(431),
            snoozed: None,
            elapsed_seconds: 40.0,
            items_per_second: 0.3,
            error: None,
            run: None,
            run_chosen: None,
        };
        assert_eq!(progress_text(&view), "12 of 100 channels, 431 thumbnails");
        let reason = "the quota of the Data API is used up".to_owned();
        view.snoozed = Some(SnoozeView { until_ms: 1_764_054_000_000, reason });
        assert_eq!(
            progress_text(&view),
            "12 of 100 channels, 431 thumbnails; snoozed until 2025-11-25T07:00:00Z: the quota of the Data API is \
             used up"
        );
    }
}
