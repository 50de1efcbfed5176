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
    workers::stall_hint,
};
use crate::{
    api::{RunView, SubmissionView},
    remaining_time,
};

/// Polling starts fast, so that short jobs return quickly, and slows down.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(20);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Time without progress after which, and interval at which, the cause is looked for.
const STALL_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// A longer remaining time is not shown: 30 days.
const MAX_REMAINING_SECONDS: f64 = 30.0 * 24.0 * 3600.0;

/// A submission or a run, as the coordinator reports it.
pub(super) trait Tracked: Serialize + Sized {
    fn id(&self) -> SubmissionId;
    fn progress(&self) -> Progress;
    /// Returns a number that grows with every progress.
    fn done(&self) -> f64;
    async fn fetch(client: &Client, id: SubmissionId) -> Result<Self, CliError>;
}

impl Tracked for SubmissionView {
    fn id(&self) -> SubmissionId {
        self.submission
    }

    fn progress(&self) -> Progress {
        let done = self.succeeded + self.failed;
        let fraction = if self.items > 0 { done as f64 / self.items as f64 } else { 0.0 };
        let fraction = (!self.incomplete).then_some(fraction);
        Progress { fraction, text: progress_text(self), ended: self.state.is_terminal() }
    }

    fn done(&self) -> f64 {
        (self.succeeded + self.failed) as f64
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
        let (fraction, text) = (Some(self.fraction), self.progress.clone());
        Progress { fraction, text, ended: self.state.is_terminal() }
    }

    fn done(&self) -> f64 {
        self.fraction
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
        if format == Format::Table {
            output::note(&keeps_running(submitted.id()));
        }
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
        let keep_running = keeps_running(id);
        let view = match T::fetch(client, id).await {
            Ok(view) => view,
            Err(error) => {
                display.clear();
                return Err(CliError::new(error.exit, format!("{}; {keep_running}", error.message)));
            }
        };
        let mut progress = view.progress();
        if let Some(reason) = stalls.reason(client, progress.ended, view.done()).await {
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

fn keeps_running(id: SubmissionId) -> String {
    format!(
        "the jobs keep running: `subwatch wait {id}` waits for them, `subwatch status {id}` shows their progress, \
         `subwatch cancel {id}` stops them"
    )
}

/// Describes what a submission works on, when it was submitted and by whom, as a line of a report.
pub(super) fn origin(view: &SubmissionView) -> String {
    let by = view.submitted_by.as_ref().map(|name| format!(" by {}", plain(name)));
    format!(
        "input       {}, submitted {}{}",
        plain(&view.subject),
        time_text(view.created_ms),
        by.unwrap_or_default()
    )
}

/// Returns the error of a submission that failed as a whole.
pub(super) fn require_no_error(view: &SubmissionView) -> Result<(), CliError> {
    view.error.as_ref().map_or(Ok(()), |error| Err(CliError::failed(plain(error))))
}

/// Describes the progress of a submission on one line.
pub(super) fn progress_text(view: &SubmissionView) -> String {
    let waiting = view.waiting.as_ref().map(|reason| format!("; waiting: {}", plain(reason)));
    done_text(view) + &waiting.unwrap_or_default()
}

fn done_text(view: &SubmissionView) -> String {
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
                counted(items, "item"),
                counted(thumbnails, "thumbnail"),
                snoozed.unwrap_or_default()
            )
        }
        (_, State::Preparing) => "reading the dataset".to_owned(),
        _ if view.incomplete && !view.state.is_terminal() => format!(
            "{done} of {} so far, {} images/s; the dataset is still being listed",
            counted(items, "image"),
            digits(view.items_per_second)
        ),
        _ => format!(
            "{done} of {}, {} images/s{}",
            counted(items, "image"),
            digits(view.items_per_second),
            remaining((items - done.min(items)) as f64 / view.items_per_second)
        ),
    }
}

/// The time that is left, as the end of a progress text; empty if it is unknown.
fn remaining(seconds: f64) -> String {
    if !(1.0..MAX_REMAINING_SECONDS).contains(&seconds) {
        return String::new();
    }
    format!(", about {} left", remaining_time::rounded(seconds))
}

/// Notices that a submission makes no progress, and finds out why.
struct StallDetector {
    done: f64,
    /// Time of the last progress or check.
    since: Instant,
    reason: Option<&'static str>,
}

impl StallDetector {
    fn new() -> Self {
        Self { done: 0.0, since: Instant::now(), reason: None }
    }

    async fn reason(&mut self, client: &Client, ended: bool, done: f64) -> Option<&'static str> {
        if ended || done > self.done {
            *self = Self { done, ..Self::new() };
        } else if self.since.elapsed() >= STALL_CHECK_INTERVAL {
            self.reason = stall_hint(client).await;
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
    fn remaining_time_has_one_unit() {
        for (seconds, want) in [
            (0.0, ""),
            (45.4, ", about 45 s left"),
            (600.0, ", about 10 min left"),
            (9000.0, ", about 2.5 h left"),
            (f64::INFINITY, ""),
            (f64::NAN, ""),
        ] {
            assert_eq!(remaining(seconds), want);
        }
    }

    #[test]
    fn incomplete_list_has_no_fraction() {
        let mut view = SubmissionView { succeeded: 1200, items: 1_234_000, ..SubmissionView::example() };
        assert_eq!(view.progress().fraction, Some(1200.0 / 1_234_000.0));
        view.incomplete = true;
        let progress = view.progress();
        assert_eq!(progress.fraction, None);
        let want = "1200 of 1234000 images so far, 0 images/s; the dataset is still being listed";
        assert_eq!(progress.text, want);
    }

    #[test]
    fn crawl_progress_counts_channels_and_thumbnails_and_names_the_snooze() {
        let mut view = SubmissionView {
            kind: SubmissionKind::Crawl,
            succeeded: 11,
            failed: 1,
            thumbnails: Some(431),
            ..SubmissionView::example()
        };
        assert_eq!(progress_text(&view), "12 of 100 items, 431 thumbnails");
        let reason = "the quota of the Data API is used up".to_owned();
        view.snoozed = Some(SnoozeView { until_ms: 1_764_054_000_000, reason });
        assert_eq!(
            progress_text(&view),
            "12 of 100 items, 431 thumbnails; snoozed until 2025-11-25T07:00:00Z: the quota of the Data API is \
             used up"
        );
    }
}
