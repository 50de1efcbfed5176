//! `subwatch dead-letters`: discarded jobs, and what to do with them.

use clap::{Args, Subcommand};
use common::job::kind::Kind;

use super::{
    client::{Client, Pages},
    exit::{CliError, Exit},
    output::{self, Format, plain, table, time_text},
};
use crate::api::{
    DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, DeadLetterView,
    routes::{self, Route},
};

/// Letters that a table lists.
const LISTED: usize = 40;

#[derive(Subcommand)]
pub(super) enum DeadLetterCommand {
    /// List discarded jobs, oldest first.
    List(FilterArguments),
    /// Show one with its history and its payload.
    Show {
        /// Its id.
        id: String,
    },
    /// Give discarded jobs another life; what they failed is taken back. The run of a training job is resumed.
    Requeue(SelectionArguments),
    /// Forget discarded jobs; what they failed stays failed.
    Purge(SelectionArguments),
}

#[derive(Args)]
pub(super) struct FilterArguments {
    /// Only jobs of this kind: embed, predict, train-epoch.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only jobs discarded for this reason: poison, attempts, expired, failed, rejected, …
    #[arg(long)]
    reason: Option<String>,
    /// Only jobs of this submission or run.
    #[arg(long)]
    submission: Option<String>,
}

impl FilterArguments {
    fn filter(self) -> DeadLetterFilter {
        DeadLetterFilter {
            kind: self.kind.map(|kind| kind.name().to_owned()),
            reason: self.reason,
            submission: self.submission,
        }
    }
}

#[derive(Args)]
pub(super) struct SelectionArguments {
    /// Ids of dead letters.
    #[arg(conflicts_with_all = ["kind", "reason", "submission", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    /// All of them.
    #[arg(long, conflicts_with_all = ["kind", "reason", "submission"])]
    all: bool,
}

impl SelectionArguments {
    fn selection(self) -> Result<DeadLetterSelection, CliError> {
        let filter = Some(self.filter.filter()).filter(|filter| *filter != DeadLetterFilter::default());
        if self.ids.is_empty() && filter.is_none() && !self.all {
            let which = "say which: ids, --kind, --reason, --submission or --all";
            return Err(CliError::new(Exit::Usage, which));
        }
        Ok(DeadLetterSelection { ids: self.ids, filter, all: self.all, cursor: None })
    }
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    command: DeadLetterCommand,
) -> Result<Exit, CliError> {
    match command {
        DeadLetterCommand::List(filter) => list(client, format, &filter.filter()).await,
        DeadLetterCommand::Show { id } => {
            output::print_value(format, &client.dead_letter(&id).await?, letter_text)?;
            Ok(Exit::Done)
        }
        DeadLetterCommand::Requeue(selection) => {
            settle(client, format, routes::REQUEUE_DEAD_LETTERS, selection.selection()?).await
        }
        DeadLetterCommand::Purge(selection) => {
            settle(client, format, routes::PURGE_DEAD_LETTERS, selection.selection()?).await
        }
    }
}

async fn list(client: &Client, format: Format, filter: &DeadLetterFilter) -> Result<Exit, CliError> {
    let mut letters = Vec::new();
    let mut pages =
        Pages::new(async |cursor: Option<String>| client.dead_letters(filter, cursor.as_deref()).await);
    while let Some(page) = pages.next().await? {
        if format == Format::Jsonl {
            page.iter().try_for_each(|letter| output::print_json(format, letter))?;
        } else {
            letters.extend(page);
        }
        if format == Format::Table && letters.len() > LISTED {
            break;
        }
    }
    match format {
        Format::Table => output::print(&list_text(filter, &letters))?,
        Format::Json => output::print_json(format, &letters)?,
        Format::Jsonl => {}
    }
    Ok(Exit::Done)
}

fn list_text(filter: &DeadLetterFilter, letters: &[DeadLetterView]) -> String {
    if letters.is_empty() && *filter != DeadLetterFilter::default() {
        return "no dead letters like that; `subwatch dead-letters list` shows all".to_owned();
    }
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut rows = table(&["id", "kind", "submission", "job›", "reason", "attempts›", "error"]);
    for letter in letters.iter().take(LISTED) {
        rows.add_row(vec![
            plain(&letter.id),
            plain(letter.kind.as_deref().unwrap_or("–")),
            plain(letter.submission.as_deref().unwrap_or("–")),
            plain(letter.job.as_deref().unwrap_or("–")),
            plain(&letter.reason),
            letter.attempts.to_string(),
            plain(&letter.error),
        ]);
    }
    let more = if letters.len() > LISTED { "\n… and more: use -o jsonl" } else { "" };
    format!("{}{more}", rows.trim_fmt())
}

fn letter_text(letter: &DeadLetterView) -> String {
    let or_none = |text: &Option<String>| plain(text.as_deref().unwrap_or("–"));
    let mut lines = vec![
        format!("id          {}", plain(&letter.id)),
        format!(
            "job         {} {} of {}",
            or_none(&letter.kind),
            or_none(&letter.job),
            or_none(&letter.submission)
        ),
        format!("reason      {}", plain(&letter.reason)),
        format!("error       {}", plain(&letter.error)),
        format!("discarded   {}", time_text(letter.recorded_ms)),
        format!("attempts    {}, requeued {} times before", letter.attempts, letter.generation),
        format!("worker      {}", or_none(&letter.worker)),
        format!("origin      {}", or_none(&letter.origin)),
    ];
    for mishap in &letter.history {
        let before = letter.recorded_ms.saturating_sub(mishap.at_ms) as f64 / 1e3;
        lines.push(format!("  {before:.1} s before, {}: {}", or_none(&mishap.worker), plain(&mishap.error)));
    }
    lines.push(format!("payload     {}", or_none(&letter.payload)));
    lines.join("\n")
}

async fn settle(
    client: &Client,
    format: Format,
    route: Route,
    mut selection: DeadLetterSelection,
) -> Result<Exit, CliError> {
    let mut total = DeadLetterOutcome::default();
    loop {
        let outcome = client.record_dead_letter(route, &selection).await?;
        total.done += outcome.done;
        total.restored_items += outcome.restored_items;
        total.refused.extend(outcome.refused);
        selection.cursor = outcome.next;
        if selection.cursor.is_none() {
            break;
        }
    }
    if total.done == 0 && total.refused.is_empty() && !selection.all {
        let none = "no dead letters like that; `subwatch dead-letters list` shows all";
        return Err(CliError::new(Exit::NotFound, none));
    }
    output::print_value(format, &total, |total| outcome_text(route, total))?;
    Ok(if total.refused.is_empty() { Exit::Done } else { Exit::FailedItems })
}

fn outcome_text(route: Route, outcome: &DeadLetterOutcome) -> String {
    let mut lines = match route {
        routes::REQUEUE_DEAD_LETTERS => {
            vec![format!("{} requeued; {} items are no longer failed", outcome.done, outcome.restored_items)]
        }
        _ => vec![format!("{} purged", outcome.done)],
    };
    for refused in outcome.refused.iter().take(LISTED) {
        lines.push(format!("  {} stays: {}", plain(&refused.id), plain(&refused.reason)));
    }
    if outcome.refused.len() > LISTED {
        lines.push(format!("  … and {} more stay: use -o json", outcome.refused.len() - LISTED));
    }
    lines.join("\n")
}
