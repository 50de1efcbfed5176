//! `subwatch jobs`.

use std::collections::BTreeMap;

use clap::{Args, builder::NonEmptyStringValueParser};
use common::store::{JobState, State};

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted, plain, time_text},
    table::table,
};
use crate::api::{JobStage, JobView};

/// Most jobs in a table.
const LISTED: usize = 40;

#[derive(Args)]
pub(super) struct JobsArguments {
    /// ID of a submission or run, the start of its ID, the name of a run, or `latest` [default: all that are unfinished].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: Option<String>,
}

pub(super) async fn run(client: &Client, format: Format, arguments: JobsArguments) -> Result<Exit, CliError> {
    let ids = match arguments.id {
        Some(id) => vec![client.submission(id).await?.submission],
        None => {
            let unfinished = |state: State| !state.is_terminal();
            let submissions = client.status().await?.submissions;
            submissions.iter().filter(|view| unfinished(view.state)).map(|view| view.submission).collect()
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
        return "no jobs".to_owned();
    }
    let mut counts = BTreeMap::<String, usize>::new();
    for job in jobs {
        *counts.entry(job.state.to_string()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(state, jobs)| format!("{jobs} {state}")).collect();
    let mut summary = format!("{}: {}", counted(jobs.len() as u64, "job"), counts.join(", "));
    let mut rows =
        table(&["submission", "job›", "state", "items›", "crashes›", "heartbeat, s ago›", "worker"])
            .optional(&["worker", "crashes", "heartbeat, s ago"]);
    let unfinished: Vec<&JobView> =
        jobs.iter().filter(|job| job.state != JobStage::Received(JobState::Done)).collect();
    for job in unfinished.iter().take(LISTED) {
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
    let last_snooze =
        unfinished.iter().filter_map(|job| job.snoozed.as_ref()).max_by_key(|snooze| snooze.until_ms);
    if let Some(snooze) = last_snooze {
        let (until, reason) = (time_text(snooze.until_ms), plain(&snooze.reason));
        summary.push_str(&format!("\nsnoozed until {until}: {reason}"));
    }
    match unfinished.len() {
        0 => summary,
        count if count > LISTED => {
            format!("{summary}\n{}\n… and {} more: use -o jsonl", rows.text(), count - LISTED)
        }
        _ => format!("{summary}\n{}", rows.text()),
    }
}
