//! Waiting for work, with a bar on a terminal and a line now and then elsewhere.
//!
//! Owns polling and its patience. Interrupted or out of patience, the work goes on, and the user is told
//! how to look at it.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use common::ids::SubmissionId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Waiting,
    exit::{CliError, Exit},
    output,
};

/// Polling starts fast, for what is over in a moment, and slows down.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_AT_MOST: Duration = Duration::from_millis(250);
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How far something is.
pub(super) struct Progress {
    /// From 0 to 1.
    pub(super) fraction: f64,
    /// In a few words.
    pub(super) text: String,
    /// Whether nothing more will happen.
    pub(super) ended: bool,
}

/// Polls `look` until its progress has ended, and returns what it saw last.
pub(super) async fn wait<T>(
    id: SubmissionId,
    waiting: &Waiting,
    mut look: impl AsyncFnMut() -> Result<(T, Progress), CliError>,
) -> Result<T, CliError> {
    let began = Instant::now();
    let mut shown = Display::new();
    let mut poll = POLL_FIRST;
    loop {
        let go_on = format!("the work goes on; look at it with `subwatch status {id}`");
        let (seen, progress) = match look().await {
            Ok(seen) => seen,
            Err(error) => {
                shown.clear();
                return Err(CliError::new(error.exit, format!("{}; {go_on}", error.message)));
            }
        };
        shown.show(&progress);
        if progress.ended {
            shown.clear();
            return Ok(seen);
        }
        if waiting.wait_timeout.is_some_and(|limit| began.elapsed() >= Duration::from_secs(limit)) {
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

pub(super) enum Display {
    Bar(ProgressBar),
    Lines { last: Instant, text: String },
}

impl Display {
    pub(super) fn new() -> Self {
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:32} {percent:>3}% {elapsed_precise} {msg}");
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            Self::Bar(bar.with_style(style.expect("the template is right").progress_chars("█▉░")))
        } else {
            Self::Lines { last: Instant::now(), text: String::new() }
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_position((progress.fraction.clamp(0.0, 1.0) * 1000.0) as u64);
                bar.set_message(output::plain(&progress.text));
            }
            Self::Lines { last, text } if last.elapsed() >= LINE_EVERY && *text != progress.text => {
                output::note(&progress.text);
                *last = Instant::now();
                text.clone_from(&progress.text);
            }
            Self::Lines { .. } => {}
        }
    }

    pub(super) fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
