//! `subwatch status`.

use clap::{Args, builder::NonEmptyStringValueParser};
use common::store::SubmissionKind;

use super::{
    client::Client,
    crawl, embed,
    exit::{CliError, Exit},
    output::{self, Format, counted, json_name, plain, time_text},
    table::table,
    train,
    workers::{stall_hint, workers_text},
};
use crate::api::{StatusView, SubmissionView};

#[derive(Args)]
pub(super) struct StatusArguments {
    /// ID of a submission or run, the start of its ID, the name of a run, `latest` (the newest of
    /// all users), or the run `best` [default: the whole system].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    id: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: StatusArguments,
) -> Result<Exit, CliError> {
    match arguments.id {
        Some(name) if name == "best" => train::report::print(format, &client.named_run(&name).await?)?,
        Some(name) => show_one(client, format, &name).await?,
        None => output::print_value(format, &client.status().await?, text)?,
    }
    Ok(Exit::Done)
}

async fn show_one(client: &Client, format: Format, id: &str) -> Result<(), CliError> {
    let view = client.submission(id).await?;
    if !view.state.is_terminal()
        && let Some(hint) = stall_hint(client).await
    {
        output::note(hint);
    }
    match view.kind {
        SubmissionKind::Train => train::report::print(format, &client.run(view.submission).await?),
        SubmissionKind::Crawl => crawl::show(client, format, view).await,
        SubmissionKind::Embed | SubmissionKind::Predict => embed::report::print(client, format, view).await,
    }
}

fn text(status: &StatusView) -> String {
    let mut queues = table(&["queue", "ready jobs›"]);
    let unknown = if status.broker_connected { "not declared yet" } else { "RabbitMQ is unavailable" };
    for queue in &status.queues {
        let ready = queue.ready.map_or_else(|| unknown.to_owned(), |ready| ready.to_string());
        queues.add_row(vec![plain(&queue.queue), ready]);
    }
    let mut submissions =
        table(&["submission", "kind", "state", "items›", "failed›", "seconds›", "submitted", "by", "input"])
            .optional(&["by", "seconds", "submitted", "failed", "input"]);
    for view in &status.submissions {
        submissions.add_row(submission_row(view));
    }
    let waiting: String = status
        .waiting
        .iter()
        .filter_map(|view| Some((view.submission, view.waiting.as_ref()?)))
        .map(|(id, reason)| format!("\nsubmission {id} waits: {}", plain(reason)))
        .collect();
    let hosts: String = hosts_and_quotas(status).iter().map(|line| format!("\n{line}")).collect();
    format!(
        "coordinator {}, {}{waiting}{hosts}\n\n{}\n\n{}\n\n{}",
        plain(&status.version),
        counted(status.dead_letters, "dead letter"),
        workers_text(&status.workers),
        queues.text(),
        submissions.text()
    )
}

/// Hosts in back-off, and the quota of each Data API key.
fn hosts_and_quotas(status: &StatusView) -> Vec<String> {
    let backoffs = status.host_backoffs.iter().map(|backoff| {
        let (host, reason, until) =
            (plain(&backoff.host), plain(&backoff.reason), time_text(backoff.until_ms));
        let probing = if backoff.probing { ", probing now" } else { "" };
        let base = backoff.base.as_deref().map(|base| format!(" ({})", plain(base))).unwrap_or_default();
        format!("{host}{base}: in back-off until {until}{probing}: {reason}")
    });
    let quotas = status.quotas.iter().map(|quota| {
        let refused = if quota.refused { ", refused by the API" } else { "" };
        format!(
            "Data API key {}: {} of {} units used{refused}; resets at {}",
            plain(&quota.key_hash),
            quota.used,
            quota.limit,
            time_text(quota.resets_at_ms)
        )
    });
    backoffs.chain(quotas).collect()
}

fn submission_row(view: &SubmissionView) -> Vec<String> {
    vec![
        view.submission.to_string(),
        json_name(&view.kind),
        view.state.to_string(),
        match view.kind {
            SubmissionKind::Train => "–".to_owned(),
            _ if view.incomplete => format!("{} so far", view.items),
            _ => view.items.to_string(),
        },
        view.failed.to_string(),
        format!("{:.1}", view.elapsed_seconds),
        time_text(view.created_ms),
        plain(view.submitted_by.as_deref().unwrap_or("–")),
        plain(&view.subject),
    ]
}
