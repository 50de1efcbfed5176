//! Following what was submitted to its end: detach or wait, with progress.
//!
//! Owns polling and its patience, and what is said of progress. Interrupted or out of patience, the work goes on,
//! and the user is told how to look at it. Does not own how an end is reported: each command has a report.

use std::time::{Duration, Instant};

use common::{
    ids::SubmissionId,
    store::{State, SubmissionKind},
};
use serde::Serialize;

use super::{
    arguments::Waiting,
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, digits, plain, time_text},
    progress::{Progress, ProgressDisplay},
    workers::without_workers,
};
use crate::api::{RunView, SubmissionView};

/// Polling starts fast, for what is over in a moment, and slows down.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_AT_MOST: Duration = Duration::from_millis(250);
/// How long nothing happens until the reason is looked for, and how often it is.
const STILL: Duration = Duration::from_secs(3);

/// Something that goes on at the coordinator: a submission or a run.
pub(super) trait Followed: Serialize + Sized {
    fn id(&self) -> SubmissionId;
    fn progress(&self) -> Progress;
    async fn look(client: &Client, id: SubmissionId) -> Result<Self, CliError>;
}

impl Followed for SubmissionView {
    fn id(&self) -> SubmissionId {
        self.submission
    }

    fn progress(&self) -> Progress {
        let done = self.succeeded + self.failed;
        let fraction = if self.items > 0 { done as f64 / self.items as f64 } else { 0.0 };
        Progress { fraction, text: progress_text(self), ended: self.state.is_terminal() }
    }

    async fn look(client: &Client, id: SubmissionId) -> Result<Self, CliError> {
        client.submission(id).await
    }
}

impl Followed for RunView {
    fn id(&self) -> SubmissionId {
        self.run
    }

    fn progress(&self) -> Progress {
        Progress { fraction: self.fraction, text: self.progress.clone(), ended: self.state.is_terminal() }
    }

    async fn look(client: &Client, id: SubmissionId) -> Result<Self, CliError> {
        client.run(id).await
    }
}

/// Waits for the end of what was just submitted and returns it as it was last seen; or, if the user detaches, prints
/// its id and returns `None`.
pub(super) async fn follow<T: Followed>(
    client: &Client,
    format: Format,
    submitted: T,
    waiting: &Waiting,
) -> Result<Option<T>, CliError> {
    if waiting.detach {
        output::print_value(format, &submitted, |submitted| submitted.id().to_string())?;
        return Ok(None);
    }
    wait(client, submitted.id(), waiting.wait_timeout).await.map(Some)
}

/// Waits for an end and returns what was seen last.
pub(super) async fn wait<T: Followed>(
    client: &Client,
    id: SubmissionId,
    limit_seconds: Option<u64>,
) -> Result<T, CliError> {
    let began = Instant::now();
    let mut shown = ProgressDisplay::new();
    let mut poll = POLL_FIRST;
    let mut stalls = StallWatch::new();
    loop {
        let go_on = format!("the work goes on; look at it with `subwatch status {id}`");
        let seen = match T::look(client, id).await {
            Ok(seen) => seen,
            Err(error) => {
                shown.clear();
                return Err(CliError::new(error.exit, format!("{}; {go_on}", error.message)));
            }
        };
        let mut progress = seen.progress();
        if let Some(reason) = stalls.reason(client, &progress).await {
            progress.text = format!("{}; {reason}", progress.text);
        }
        shown.show(&progress);
        if progress.ended {
            shown.clear();
            return Ok(seen);
        }
        if limit_seconds.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit)) {
            shown.clear();
            return Err(CliError::new(Exit::TimedOut, format!("not done yet ({}); {go_on}", progress.text)));
        }
        tokio::select! {
            () = tokio::time::sleep(poll) => poll = (poll * 3 / 2).min(POLL_AT_MOST),
            _ = tokio::signal::ctrl_c() => {
                shown.clear();
                return Err(CliError::new(Exit::Interrupted, go_on));
            }
        }
    }
}

/// The error of a submission that could not be carried out, if it has one.
pub(super) fn require_no_error(view: &SubmissionView) -> Result<(), CliError> {
    view.error.as_ref().map_or(Ok(()), |error| Err(CliError::failed(plain(error))))
}

/// How far a submission is, in a few words.
pub(super) fn progress_text(view: &SubmissionView) -> String {
    let (done, items) = (view.succeeded + view.failed, view.items);
    match (view.kind, view.state) {
        (SubmissionKind::Crawl, State::Preparing) => "preparing the crawl".to_owned(),
        (SubmissionKind::Crawl, _) => {
            let snoozed = view.snoozed.as_ref().map(|pause| {
                format!("; snoozed until {}: {}", time_text(pause.until_ms), plain(&pause.reason))
            });
            let thumbnails = view.thumbnails.unwrap_or(0);
            format!("{done} of {items} channels, {thumbnails} thumbnails{}", snoozed.unwrap_or_default())
        }
        (_, State::Preparing) => "reading the dataset".to_owned(),
        _ => format!("{done} of {items} images, {} a second", digits(view.items_per_second)),
    }
}

/// Notices that nothing happens, and why.
struct StallWatch {
    fraction: f64,
    /// When something happened last, or the reason was looked for.
    since: Instant,
    reason: Option<&'static str>,
}

impl StallWatch {
    fn new() -> Self {
        Self { fraction: 0.0, since: Instant::now(), reason: None }
    }

    async fn reason(&mut self, client: &Client, progress: &Progress) -> Option<&'static str> {
        if progress.ended || progress.fraction > self.fraction {
            *self = Self { fraction: progress.fraction, ..Self::new() };
        } else if self.since.elapsed() >= STILL {
            self.reason = without_workers(client).await;
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
    fn progress_counts_channels_and_thumbnails_and_says_why_nothing_moves() {
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
