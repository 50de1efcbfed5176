//! `subwatch dead-letters`.

use clap::{Args, Subcommand};
use common::job::kind::Kind;

use super::{
    arguments::one_of,
    client::{Client, Pages},
    exit::{CliError, Exit},
    output::{self, Format, counted, plain, time_text},
    table::table,
};
use crate::api::{
    DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, DeadLetterView,
    routes::{self, Route},
};

/// Most dead letters in a table.
const LISTED: usize = 40;
const NO_MATCH: &str = "no matching dead letters; `subwatch dead-letters list` shows all";

#[derive(Subcommand)]
pub(super) enum DeadLetterCommand {
    /// List dead letters, oldest first.
    List(FilterArguments),
    /// Show a dead letter with its attempts, errors and payload.
    Show {
        /// ID of the dead letter.
        id: String,
    },
    /// Requeue dead letters: their failed items are pending again, and the run of a training job is resumed.
    Requeue(SelectionArguments),
    /// Delete dead letters; their items stay failed.
    Purge(SelectionArguments),
}

#[derive(Args)]
pub(super) struct FilterArguments {
    /// Select jobs of this kind.
    #[arg(long, value_parser = one_of::<Kind>(Kind::ALL.map(Kind::name)))]
    kind: Option<Kind>,
    /// Select jobs discarded for this reason: attempts, conflict, delivery_limit, expired, failed, maxlen, poison or
    /// rejected.
    #[arg(long)]
    reason: Option<String>,
    /// Select jobs of this submission or run: its ID, the start of its ID, the name of a run, or `latest`.
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
    /// IDs of dead letters.
    #[arg(conflicts_with_all = ["kind", "reason", "submission", "all"])]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Select all dead letters.
    #[arg(long, conflicts_with_all = ["kind", "reason", "submission"])]
    all: bool,
}

impl SelectionArguments {
    fn selection(self) -> Result<DeadLetterSelection, CliError> {
        let filter = Some(self.filter.filter()).filter(|filter| *filter != DeadLetterFilter::default());
        if self.ids.is_empty() && filter.is_none() && !self.all {
            let message = "select dead letters by ID, --kind, --reason, --submission or --all";
            return Err(CliError::new(Exit::Usage, message));
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
            process(client, format, routes::REQUEUE_DEAD_LETTERS, selection.selection()?).await
        }
        DeadLetterCommand::Purge(selection) => {
            process(client, format, routes::PURGE_DEAD_LETTERS, selection.selection()?).await
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
        Format::Table | Format::Csv => output::print(&list_text(filter, &letters))?,
        Format::Json => output::print_json(format, &letters)?,
        Format::Jsonl => {}
    }
    Ok(Exit::Done)
}

fn list_text(filter: &DeadLetterFilter, letters: &[DeadLetterView]) -> String {
    if letters.is_empty() && *filter != DeadLetterFilter::default() {
        return NO_MATCH.to_owned();
    }
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut rows = table(&["id", "kind", "submission", "job›", "reason", "attempts›", "error"]).optional(&[
        "submission",
        "attempts",
        "job",
        "kind",
    ]);
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
    let more = if letters.len() > LISTED { "\n… and others: use -o jsonl" } else { "" };
    format!("{}{more}", rows.text())
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
        format!("attempts    {}, requeued {}", letter.attempts, counted(letter.generation.into(), "time")),
        format!("worker      {}", or_none(&letter.worker)),
        format!("queue       {}", or_none(&letter.queue)),
    ];
    for failed in &letter.attempt_errors {
        let before = letter.recorded_ms.saturating_sub(failed.at_ms) as f64 / 1e3;
        lines.push(format!("  {before:.1} s earlier, {}: {}", or_none(&failed.worker), plain(&failed.error)));
    }
    lines.push(format!("payload     {}", or_none(&letter.payload)));
    lines.join("\n")
}

async fn process(
    client: &Client,
    format: Format,
    route: Route,
    mut selection: DeadLetterSelection,
) -> Result<Exit, CliError> {
    let mut total = DeadLetterOutcome::default();
    loop {
        let outcome = client.process_dead_letters(route, &selection).await?;
        total.processed += outcome.processed;
        total.restored_items += outcome.restored_items;
        total.refused.extend(outcome.refused);
        selection.cursor = outcome.next;
        if selection.cursor.is_none() {
            break;
        }
    }
    if total.processed == 0 && total.refused.is_empty() && !selection.all {
        return Err(CliError::new(Exit::NotFound, NO_MATCH));
    }
    output::print_value(format, &total, |total| outcome_text(route, total))?;
    Ok(if total.refused.is_empty() { Exit::Done } else { Exit::FailedItems })
}

fn outcome_text(route: Route, outcome: &DeadLetterOutcome) -> String {
    let letters = counted(outcome.processed, "dead letter");
    let (verb, items) = match route {
        routes::REQUEUE_DEAD_LETTERS => {
            ("requeued", format!(" with {}", counted(outcome.restored_items, "failed item")))
        }
        _ => ("purged", String::new()),
    };
    let mut lines = vec![format!("{verb} {letters}{items}")];
    for refused in outcome.refused.iter().take(LISTED) {
        lines.push(format!("  {} not {verb}: {}", plain(&refused.id), plain(&refused.reason)));
    }
    if outcome.refused.len() > LISTED {
        lines.push(format!("  … and {} more not {verb}: use -o json", outcome.refused.len() - LISTED));
    }
    lines.join("\n")
}
