//! Progress on standard error: a bar on a terminal, otherwise a line every few seconds.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

const WITH_FRACTION: &str = "{bar:32} {percent:>3}% {elapsed_precise} {msg}";
const WITHOUT_FRACTION: &str = "{elapsed_precise} {msg}";
const LINE_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    /// From 0 to 1; `None` while the total is unknown.
    pub(super) fraction: Option<f64>,
    pub(super) text: String,
    pub(super) ended: bool,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid").progress_chars("█▉░")
}

pub(super) enum ProgressDisplay {
    Bar(ProgressBar),
    Lines { last: Instant, text: String },
}

impl ProgressDisplay {
    pub(super) fn new() -> Self {
        if stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            Self::Bar(bar.with_style(style(WITH_FRACTION)))
        } else {
            Self::Lines { last: Instant::now(), text: String::new() }
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                let template = if progress.fraction.is_some() { WITH_FRACTION } else { WITHOUT_FRACTION };
                bar.set_style(style(template));
                bar.set_position((progress.fraction.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u64);
                bar.set_message(output::plain(&progress.text));
            }
            Self::Lines { last, text } if last.elapsed() >= LINE_INTERVAL && *text != progress.text => {
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
