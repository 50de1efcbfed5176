//! `subwatch embed`.

use clap::Args;
use common::{
    ids::SubmissionId,
    store::{State, SubmissionKind},
};
use serde::Serialize;

use super::{
    Deadline, Submitting, Waiting,
    client::Client,
    dataset_argument,
    exit::{CliError, Exit},
    output::{self, Format, digits, plain},
    progress::{self, Progress},
};
use crate::api::{SubmissionRequest, SubmissionView};

/// Failures that a table lists.
const LISTED: usize = 10;

#[derive(Args)]
pub(super) struct EmbedArguments {
    /// A folder with images, and metadata.jsonl where there are rows; as the coordinator sees it.
    dataset: String,
    #[command(flatten)]
    submitting: Submitting,
    #[command(flatten)]
    deadline: Deadline,
    #[command(flatten)]
    waiting: Waiting,
}

/// What `embed` prints as JSON.
#[derive(Serialize)]
pub(super) struct EmbedReport {
    submission: SubmissionId,
    kind: SubmissionKind,
    state: State,
    items: u64,
    succeeded: u64,
    failed: u64,
    cached: u64,
    elapsed_seconds: f64,
    items_per_second: f64,
    failures: Vec<ReportedFailure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ReportedFailure {
    item: String,
    reason: String,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: EmbedArguments,
) -> Result<Exit, CliError> {
    let request = SubmissionRequest::Embed {
        dataset: Some(dataset_argument(&arguments.dataset)),
        images: Vec::new(),
        deadline_seconds: arguments.deadline.deadline,
    };
    let view = client.submit(&request, arguments.submitting.idempotency_key.as_deref()).await?;
    if arguments.waiting.detach {
        return detached(format, &view);
    }
    let view = wait_for(client, view.submission, &arguments.waiting).await?;
    let exit = exit_of(view.state);
    let report = report(client, view).await?;
    print(format, &report)?;
    Ok(exit)
}

/// Prints the id of something that goes on by itself.
pub(super) fn detached(format: Format, view: &SubmissionView) -> Result<Exit, CliError> {
    match format {
        Format::Table => output::print(&view.submission.to_string())?,
        Format::Json | Format::Jsonl => output::print_json(format, view)?,
    }
    Ok(Exit::Done)
}

/// Waits for a submission's end.
pub(super) async fn wait_for(
    client: &Client,
    id: SubmissionId,
    waiting: &Waiting,
) -> Result<SubmissionView, CliError> {
    progress::wait(id, waiting, async || {
        let view = client.submission(id).await?;
        let done = view.succeeded + view.failed;
        let text = match view.state {
            State::Preparing => "reading the dataset".to_owned(),
            _ => format!("{done} of {} images, {} a second", view.items, digits(view.items_per_second)),
        };
        let fraction = if view.items > 0 { done as f64 / view.items as f64 } else { 0.0 };
        let ended = view.state.is_terminal();
        Ok((view, Progress { fraction, text, ended }))
    })
    .await
}

/// The exit code of a submission that has ended.
pub(super) fn exit_of(state: State) -> Exit {
    match state {
        State::Succeeded | State::Preparing | State::Running => Exit::Done,
        State::CompletedWithErrors => Exit::FailedItems,
        State::Failed | State::Cancelled => Exit::Failed,
    }
}

/// Joins a submission's view with its failures.
pub(super) async fn report(client: &Client, view: SubmissionView) -> Result<EmbedReport, CliError> {
    let mut failures = Vec::new();
    let mut cursor: Option<String> = None;
    let mut more = view.failed > 0;
    while more {
        let page = client.results(view.submission, cursor.as_deref(), true).await?;
        failures.extend(
            page.items
                .into_iter()
                .map(|item| ReportedFailure { reason: item.error.unwrap_or_default(), item: item.item }),
        );
        more = page.next.is_some();
        cursor = page.next;
    }
    Ok(EmbedReport {
        submission: view.submission,
        kind: view.kind,
        state: view.state,
        items: view.items,
        succeeded: view.succeeded,
        failed: view.failed,
        cached: view.cached,
        elapsed_seconds: view.elapsed_seconds,
        items_per_second: view.items_per_second,
        failures,
        error: view.error,
    })
}

/// Prints a report.
pub(super) fn print(format: Format, report: &EmbedReport) -> Result<(), CliError> {
    if format != Format::Table {
        return output::print_json(format, report);
    }
    if let Some(error) = &report.error {
        return Err(CliError::failed(plain(error)));
    }
    output::print(&table(report))
}

fn table(report: &EmbedReport) -> String {
    let mut lines = vec![
        format!("submission  {}", report.submission),
        format!(
            "images      {} of {} embedded, {} of them from the cache",
            report.succeeded, report.items, report.cached
        ),
        format!(
            "time        {:.1} s, {} images a second",
            report.elapsed_seconds,
            digits(report.items_per_second)
        ),
    ];
    if report.failed > 0 {
        lines.push(format!("failed      {}", report.failed));
        for failure in report.failures.iter().take(LISTED) {
            lines.push(format!("  {}: {}", plain(&failure.item), plain(&failure.reason)));
        }
        if report.failures.len() > LISTED {
            lines.push(format!("  … and {} more: use -o json", report.failures.len() - LISTED));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> EmbedReport {
        let failure = |n: u32| ReportedFailure {
            item: format!("{n}.jpg"),
            reason: "empty: the file has no bytes".to_owned(),
        };
        EmbedReport {
            submission: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            kind: SubmissionKind::Embed,
            state: State::CompletedWithErrors,
            items: 3200,
            succeeded: 3198,
            failed: 2,
            cached: 64,
            elapsed_seconds: 40.0,
            items_per_second: 80.0,
            failures: vec![failure(1), failure(2)],
            error: None,
        }
    }

    #[test]
    fn the_report_keeps_its_json_shape() {
        insta::assert_json_snapshot!(example(), @r#"
        {
          "submission": "01890a5d-ac96-774b-bcce-b302099a8057",
          "kind": "embed",
          "state": "completed_with_errors",
          "items": 3200,
          "succeeded": 3198,
          "failed": 2,
          "cached": 64,
          "elapsed_seconds": 40.0,
          "items_per_second": 80.0,
          "failures": [
            {
              "item": "1.jpg",
              "reason": "empty: the file has no bytes"
            },
            {
              "item": "2.jpg",
              "reason": "empty: the file has no bytes"
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_report_reads_well() {
        insta::assert_snapshot!(table(&example()), @r"
        submission  01890a5d-ac96-774b-bcce-b302099a8057
        images      3198 of 3200 embedded, 64 of them from the cache
        time        40.0 s, 80.00 images a second
        failed      2
          1.jpg: empty: the file has no bytes
          2.jpg: empty: the file has no bytes
        ");
    }
}
