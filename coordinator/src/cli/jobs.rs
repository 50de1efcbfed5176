//! `subwatch jobs`: the jobs of a submission, or of all that are going on.

use std::collections::BTreeMap;

use clap::Args;
use common::{
    ids::SubmissionId,
    store::{JobState, State},
};

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, plain, table, time_text},
};
use crate::api::{JobStage, JobView};

/// Jobs that a table lists.
const LISTED: usize = 40;

#[derive(Args)]
pub(super) struct JobsArguments {
    /// A submission or run; all that are going on where none is given.
    id: Option<SubmissionId>,
}

pub(super) async fn run(client: &Client, format: Format, arguments: JobsArguments) -> Result<Exit, CliError> {
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
    output::print_values(format, &jobs, jobs_text)?;
    Ok(Exit::Done)
}

fn jobs_text(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs: nothing is going on".to_owned();
    }
    let mut counts = BTreeMap::<String, usize>::new();
    for job in jobs {
        *counts.entry(job.state.to_string()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(state, jobs)| format!("{jobs} {state}")).collect();
    let summary = format!("{} jobs: {}", jobs.len(), counts.join(", "));
    let mut rows = table(&["submission", "job›", "state", "items›", "crashes›", "seconds ago›", "worker"]);
    let open: Vec<&JobView> =
        jobs.iter().filter(|job| job.state != JobStage::Marked(JobState::Done)).collect();
    for job in open.iter().take(LISTED) {
        rows.add_row(vec![
            job.submission.to_string(),
            plain(&job.job),
            plain(&job.state.to_string()),
            job.items.map_or_else(|| "–".to_owned(), |items| items.to_string()),
            job.crashes.to_string(),
            job.heartbeat_seconds_ago.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.1}")),
            plain(job.worker.as_deref().unwrap_or("–")),
        ]);
    }
    let mut summary = summary;
    if let Some(snoozed) =
        open.iter().filter_map(|job| job.snoozed.as_ref()).max_by_key(|pause| pause.until_ms)
    {
        summary.push_str(&format!(
            "\npaused until {}: {}",
            time_text(snoozed.until_ms),
            plain(&snoozed.reason)
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
