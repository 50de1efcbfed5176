//! `subwatch status`.

use clap::Args;
use common::{ids::SubmissionId, store::SubmissionKind};

use super::{
    client::Client,
    crawl, embed,
    exit::{CliError, Exit},
    output::{self, Format, plain, table, time_text, word},
    train,
    workers::{without_workers, workers_text},
};
use crate::api::{StatusView, SubmissionView};

#[derive(Args)]
pub(super) struct StatusArguments {
    /// The id of a submission or run, or a run by the name `latest` or `best`; the whole system where none is
    /// given.
    id: Option<String>,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: StatusArguments,
) -> Result<Exit, CliError> {
    match arguments.id {
        Some(name) => match name.parse() {
            Ok(id) => show_one(client, format, id).await?,
            Err(_) => train::report::print(format, &client.named_run(&name).await?)?,
        },
        None => output::print_value(format, &client.status().await?, text)?,
    }
    Ok(Exit::Done)
}

async fn show_one(client: &Client, format: Format, id: SubmissionId) -> Result<(), CliError> {
    let view = client.submission(id).await?;
    if !view.state.is_terminal()
        && let Some(reason) = without_workers(client).await
    {
        output::note(reason);
    }
    match view.kind {
        SubmissionKind::Train => train::report::print(format, &client.run(id).await?),
        SubmissionKind::Crawl => crawl::show(client, format, view).await,
        SubmissionKind::Embed | SubmissionKind::Predict => embed::report::print(client, format, view).await,
    }
}

fn text(status: &StatusView) -> String {
    let mut queues = table(&["queue", "jobs waiting›"]);
    for queue in &status.queues {
        queues.add_row(vec![
            plain(&queue.queue),
            queue.ready.map_or_else(|| "not declared yet".to_owned(), |ready| ready.to_string()),
        ]);
    }
    let mut submissions = table(&["newest", "kind", "state", "items›", "failed›", "seconds›"]);
    for view in &status.submissions {
        submissions.add_row(submission_row(view));
    }
    let crawling: String = sources(status).iter().map(|line| format!("\n{line}")).collect();
    format!(
        "coordinator {}, {} dead letters{crawling}\n\n{}\n\n{}\n\n{}",
        plain(&status.version),
        status.dead_letters,
        workers_text(&status.workers),
        queues.trim_fmt(),
        submissions.trim_fmt()
    )
}

/// What crawls have to wait for, and what they have spent.
fn sources(status: &StatusView) -> Vec<String> {
    let backoffs = status.host_backoffs.iter().map(|source| {
        let (host, reason, until) = (plain(&source.host), plain(&source.reason), time_text(source.until_ms));
        let now = if source.probing { "is asked again now" } else { "is left alone" };
        format!("{host} {now}, until {until}: {reason}")
    });
    let spent = status.quotas.iter().map(|quota| {
        let refused = if quota.refused { ", and is refused" } else { "" };
        format!(
            "key {} of the Data API has spent {} of {} units{refused}; they are renewed at {}",
            plain(&quota.key_hash),
            quota.used,
            quota.limit,
            time_text(quota.resets_at_ms)
        )
    });
    backoffs.chain(spent).collect()
}

fn submission_row(view: &SubmissionView) -> Vec<String> {
    vec![
        view.submission.to_string(),
        word(&view.kind),
        word(&view.state),
        view.items.to_string(),
        view.failed.to_string(),
        format!("{:.1}", view.elapsed_seconds),
    ]
}
