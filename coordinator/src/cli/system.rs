//! `subwatch runs | jobs | workers | spaces | cancel`: looking at the system, and stopping things.

use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Subcommand};
use common::{
    ids::SubmissionId,
    job::kind::Kind,
    store::{State, SubmissionKind},
};

use super::{
    client::{Client, to_json},
    exit::{CliError, Exit},
    output::{self, Format, number, plain, table},
};
use crate::api::{JobView, RunView, SpaceView, WorkerView};

/// Jobs that a table lists.
const LISTED: usize = 40;

#[derive(Args)]
pub(super) struct RunsArguments {
    /// Runs to list, the newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Args)]
pub(super) struct JobsArguments {
    /// A submission or run; all that are going on where none is given.
    id: Option<SubmissionId>,
}

#[derive(Args)]
pub(super) struct CancelArguments {
    /// A submission or run.
    id: SubmissionId,
}

#[derive(Subcommand)]
pub(super) enum SpacesCommand {
    /// List the spaces of embeddings.
    List,
    /// Drop a space with its embeddings; they would have to be computed again.
    Drop {
        /// The space's name.
        space: String,
        /// Drop it although live workers embed into it.
        #[arg(long)]
        force: bool,
    },
}

/// Prints values: as one array, or one a line.
fn print_all<T: serde::Serialize>(
    format: Format,
    values: &[T],
    text: impl FnOnce(&[T]) -> String,
) -> Result<Exit, CliError> {
    match format {
        Format::Table => output::print(&text(values))?,
        Format::Json => output::print_json(format, &values)?,
        Format::Jsonl => values.iter().try_for_each(|value| output::print_json(format, value))?,
    }
    Ok(Exit::Done)
}

pub(super) async fn runs(
    client: &Client,
    format: Format,
    arguments: RunsArguments,
) -> Result<Exit, CliError> {
    let runs = client.runs(arguments.limit).await?;
    print_all(format, &runs, runs_text)
}

fn runs_text(runs: &[RunView]) -> String {
    if runs.is_empty() {
        return "no run yet: train one with `subwatch train DATASET`".to_owned();
    }
    let mut rows =
        table(&["run", "state", "target", "dataset", "images›", "test MSE›", "÷ baseline›", "seconds›"]);
    for run in runs {
        let images = run.split.map_or(0, |split| split.train + split.valid + split.test);
        let test = run.test.as_ref();
        rows.add_row(vec![
            run.run.to_string().into(),
            run.state.to_string().into(),
            run.request.target.to_string().into(),
            plain(&run.request.dataset).into(),
            images.to_string().into(),
            test.map_or_else(|| "–".into(), |test| number(test.mse)),
            test.map_or_else(|| "–".into(), |test| number(test.mse / test.baseline_mse)),
            format!("{:.1}", run.elapsed_seconds).into(),
        ]);
    }
    rows.trim_fmt()
}

pub(super) async fn jobs(
    client: &Client,
    format: Format,
    arguments: JobsArguments,
) -> Result<Exit, CliError> {
    let ids = match arguments.id {
        Some(id) => vec![id],
        None => {
            let going_on = |state: State| !state.is_terminal();
            let submissions = client.status().await?.submissions;
            submissions.iter().filter(|view| going_on(view.state)).map(|view| view.submission).collect()
        }
    };
    let mut jobs = Vec::new();
    for id in ids {
        jobs.extend(client.jobs(id).await?);
    }
    print_all(format, &jobs, jobs_text)
}

fn jobs_text(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs: nothing is going on".to_owned();
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for job in jobs {
        *counts.entry(&job.state).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(state, jobs)| format!("{jobs} {state}")).collect();
    let summary = format!("{} jobs: {}", jobs.len(), counts.join(", "));
    let mut rows = table(&["submission", "job›", "state", "items›", "crashes›", "seconds ago›", "worker"]);
    let open: Vec<&JobView> = jobs.iter().filter(|job| job.state != "done").collect();
    for job in open.iter().take(LISTED) {
        rows.add_row(vec![
            job.submission.to_string(),
            plain(&job.job),
            plain(&job.state),
            job.items.map_or_else(|| "–".to_owned(), |items| items.to_string()),
            job.crashes.to_string(),
            job.touched_seconds_ago.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.1}")),
            plain(job.worker.as_deref().unwrap_or("–")),
        ]);
    }
    let mut summary = summary;
    if let Some(paused) = open.iter().filter_map(|job| job.paused.as_ref()).max_by_key(|pause| pause.until_ms)
    {
        summary.push_str(&format!(
            "\npaused until {}: {}",
            time_text(paused.until_ms),
            plain(&paused.reason)
        ));
    }
    match open.len() {
        0 => summary,
        open if open > LISTED => {
            format!("{summary}\n{}\n… and {} more: use -o jsonl", rows.trim_fmt(), open - LISTED)
        }
        _ => format!("{summary}\n{}", rows.trim_fmt()),
    }
}

pub(super) async fn workers(client: &Client, format: Format) -> Result<Exit, CliError> {
    print_all(format, &client.workers().await?.workers, workers_text)
}

/// What to tell someone whose work does not go on because no worker is there.
pub(super) async fn without_workers(client: &Client) -> Option<&'static str> {
    // Whoever waits hears of other troubles where they matter.
    let workers = client.workers().await.ok()?.workers;
    workers
        .iter()
        .all(WorkerView::is_lost)
        .then_some("no worker is running: start one with `make up` or `subwatch-worker`")
}

/// A table of workers, or what to do where there is none.
pub(super) fn workers_text(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return "no worker is running: start one with `make up` or `subwatch-worker`".to_owned();
    }
    let mut rows =
        table(&["worker", "boot", "state", "version", "kinds", "device", "holds›", "finished›", "since"]);
    let count = |jobs: Option<u64>| jobs.map_or_else(|| "–".to_owned(), |jobs| jobs.to_string());
    for worker in workers {
        let kinds: Vec<&str> = Kind::ALL
            .into_iter()
            .map(Kind::name)
            .filter(|kind| worker.kinds.iter().any(|consumed| consumed == kind))
            .collect();
        rows.add_row(vec![
            plain(&worker.name),
            worker.boot.to_string(),
            plain(&worker.state),
            plain(&worker.version),
            kinds.join(" "),
            plain(worker.device.as_deref().unwrap_or("none")),
            count(worker.jobs_held),
            count(worker.jobs_finished),
            time_text(worker.started_ms),
        ]);
    }
    rows.trim_fmt()
}

/// A point in time, given in milliseconds since the Unix epoch, as a person reads it.
pub(super) fn time_text(unix_ms: u64) -> String {
    // The last second that has four digits for its year; a worker may claim any.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(unix_ms).min(LAST)).to_string()
}

pub(super) async fn spaces(
    client: &Client,
    format: Format,
    command: SpacesCommand,
) -> Result<Exit, CliError> {
    match command {
        SpacesCommand::List => print_all(format, &client.spaces().await?, spaces_text),
        SpacesCommand::Drop { space, force } => {
            let dropped = client.drop_space(&space, force).await?;
            match format {
                Format::Table => output::print(&format!(
                    "dropped {} with {} embeddings",
                    plain(&dropped.space),
                    dropped.embeddings
                ))?,
                Format::Json | Format::Jsonl => output::print_json(format, &dropped)?,
            }
            Ok(Exit::Done)
        }
    }
}

fn spaces_text(spaces: &[SpaceView]) -> String {
    if spaces.is_empty() {
        return "no space yet: nothing is embedded".to_owned();
    }
    let mut rows = table(&["space", "embeddings›", "live workers›", "registered"]);
    for space in spaces {
        rows.add_row(vec![
            plain(&space.space),
            space.embeddings.to_string(),
            space.workers.to_string(),
            plain(&space.registered),
        ]);
    }
    rows.trim_fmt()
}

pub(super) async fn cancel(
    client: &Client,
    format: Format,
    arguments: CancelArguments,
) -> Result<Exit, CliError> {
    let view = client.cancel(arguments.id).await?;
    let kind = to_json(&view.kind);
    match format {
        Format::Table => {
            let resolved = match view.kind {
                SubmissionKind::Train => String::new(),
                SubmissionKind::Crawl | SubmissionKind::Embed | SubmissionKind::Predict => {
                    format!("; {} of {} items were resolved", view.succeeded + view.failed, view.items)
                }
            };
            let kind = kind.as_str().unwrap_or_default();
            output::print(&format!("{kind} {} is cancelled{resolved}", view.submission))?;
        }
        Format::Json | Format::Jsonl => output::print_json(format, &view)?,
    }
    Ok(Exit::Done)
}
