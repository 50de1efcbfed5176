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
    client::Client,
    exit::{CliError, Exit},
    output, system,
};

/// Polling starts fast, for what is over in a moment, and slows down.
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_AT_MOST: Duration = Duration::from_millis(250);
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How long nothing happens until the reason is looked for, and how often it is.
const STILL: Duration = Duration::from_secs(3);

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
    client: &Client,
    id: SubmissionId,
    waiting: &Waiting,
    mut look: impl AsyncFnMut() -> Result<(T, Progress), CliError>,
) -> Result<T, CliError> {
    let began = Instant::now();
    let mut shown = Display::new();
    let mut poll = POLL_FIRST;
    let mut stillness = Stillness::new();
    loop {
        let go_on = format!("the work goes on; look at it with `subwatch status {id}`");
        let (seen, mut progress) = match look().await {
            Ok(seen) => seen,
            Err(error) => {
                shown.clear();
                return Err(CliError::new(error.exit, format!("{}; {go_on}", error.message)));
            }
        };
        if let Some(reason) = stillness.reason(client, &progress).await {
            progress.text = format!("{}; {reason}", progress.text);
        }
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

/// Notices that nothing happens, and why.
struct Stillness {
    fraction: f64,
    /// When something happened last, or the reason was looked for.
    since: Instant,
    reason: Option<&'static str>,
}

impl Stillness {
    fn new() -> Self {
        Self { fraction: 0.0, since: Instant::now(), reason: None }
    }

    async fn reason(&mut self, client: &Client, progress: &Progress) -> Option<&'static str> {
        if progress.ended || progress.fraction > self.fraction {
            *self = Self { fraction: progress.fraction, ..Self::new() };
        } else if self.since.elapsed() >= STILL {
            self.reason = system::without_workers(client).await;
            self.since = Instant::now();
        }
        self.reason
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
