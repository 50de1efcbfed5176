//! `subwatch embed`.

use clap::Args;
use common::{
    harmless::escaped_json,
    ids::SubmissionId,
    store::{State, SubmissionKind},
};
use serde::Serialize;

use super::{
    Deadline, Submitting, Waiting,
    array::JsonArray,
    client::Client,
    dataset_argument,
    exit::{CliError, Exit},
    output::{self, Format, digits, plain},
    progress::{self, Progress},
};
use crate::api::{ItemView, SubmissionRequest, SubmissionView};

/// Failures that a table lists.
const LISTED: usize = 10;
/// Where the failures go in a report without them.
const NO_FAILURES: [&str; 2] = ["\"failures\":[]", "\"failures\": []"];

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
struct EmbedReport {
    submission: SubmissionId,
    kind: SubmissionKind,
    state: State,
    items: u64,
    succeeded: u64,
    failed: u64,
    cached: u64,
    elapsed_seconds: f64,
    items_per_second: f64,
    /// Always empty here: there may be any number of them, so they are printed as they come.
    failures: [ReportedFailure; 0],
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
    show(client, format, view).await?;
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
    progress::wait(client, id, waiting, async || {
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

/// Prints what became of a submission, with its failures.
pub(super) async fn show(client: &Client, format: Format, view: SubmissionView) -> Result<(), CliError> {
    let mut failures = Failures::of(client, &view);
    if format == Format::Table {
        if let Some(error) = &view.error {
            return Err(CliError::failed(plain(error)));
        }
        let mut first = Vec::new();
        while first.len() < LISTED
            && let Some(page) = failures.next_page().await?
        {
            first.extend(page);
        }
        return output::print(&table(&view, &first));
    }
    let mut printed = PrintedReport::new(format, view);
    output::print_bytes(printed.before.as_bytes())?;
    while let Some(page) = failures.next_page().await? {
        let text: String = page.iter().map(|failure| printed.failures.element(failure)).collect();
        output::print_bytes(text.as_bytes())?;
    }
    output::print(&printed.end())
}

/// The failures of a submission, page by page.
struct Failures<'a> {
    client: &'a Client,
    submission: SubmissionId,
    cursor: Option<String>,
    more: bool,
}

impl<'a> Failures<'a> {
    fn of(client: &'a Client, view: &SubmissionView) -> Self {
        Self { client, submission: view.submission, cursor: None, more: view.failed > 0 }
    }

    async fn next_page(&mut self) -> Result<Option<Vec<ReportedFailure>>, CliError> {
        if !self.more {
            return Ok(None);
        }
        let page = self.client.results(self.submission, self.cursor.as_deref(), true).await?;
        self.more = page.next.is_some();
        self.cursor = page.next;
        let reported =
            |item: ItemView| ReportedFailure { reason: item.error.unwrap_or_default(), item: item.item };
        Ok(Some(page.items.into_iter().map(reported).collect()))
    }
}

/// The text of a report around its failures.
struct PrintedReport {
    before: String,
    failures: JsonArray,
    after: String,
}

impl PrintedReport {
    fn new(format: Format, view: SubmissionView) -> Self {
        let report = EmbedReport {
            submission: view.submission,
            kind: view.kind,
            state: view.state,
            items: view.items,
            succeeded: view.succeeded,
            failed: view.failed,
            cached: view.cached,
            elapsed_seconds: view.elapsed_seconds,
            items_per_second: view.items_per_second,
            failures: [],
            error: view.error,
        };
        let (text, gap) = match format {
            Format::Jsonl => (serde_json::to_string(&report), NO_FAILURES[0]),
            Format::Table | Format::Json => (serde_json::to_string_pretty(&report), NO_FAILURES[1]),
        };
        let text = escaped_json(&text.expect("a report is plain data"));
        let (before, after) = text.split_once(gap).expect("a report has the field, and numbers before it");
        let before = format!("{before}{}", gap.trim_end_matches("[]"));
        Self { before, failures: JsonArray::new(format, 1), after: after.to_owned() }
    }

    fn end(&self) -> String {
        self.failures.end() + &self.after
    }
}

fn table(view: &SubmissionView, failures: &[ReportedFailure]) -> String {
    let done = if view.kind == SubmissionKind::Predict { "predicted" } else { "embedded" };
    let mut lines = vec![
        format!("submission  {}, {}", view.submission, view.state),
        format!(
            "images      {} of {} {done}, {} of them from the cache",
            view.succeeded, view.items, view.cached
        ),
        format!(
            "time        {:.1} s, {} images a second",
            view.elapsed_seconds,
            digits(view.items_per_second)
        ),
    ];
    if view.failed > 0 {
        lines.push(format!("failed      {}", view.failed));
        let listed = failures.len().min(LISTED);
        for failure in &failures[..listed] {
            lines.push(format!("  {}: {}", plain(&failure.item), plain(&failure.reason)));
        }
        if view.failed > listed as u64 {
            lines.push(format!("  … and {} more: use -o json", view.failed - listed as u64));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (SubmissionView, Vec<ReportedFailure>) {
        let failure = |n: u32| ReportedFailure {
            item: format!("{n}.jpg"),
            reason: "empty: the file has no bytes".to_owned(),
        };
        let view = SubmissionView {
            submission: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            kind: SubmissionKind::Embed,
            state: State::CompletedWithErrors,
            items: 3200,
            succeeded: 3198,
            failed: 2,
            cached: 64,
            thumbnails: None,
            paused: None,
            elapsed_seconds: 40.0,
            items_per_second: 80.0,
            error: None,
            run: None,
        };
        (view, vec![failure(1), failure(2)])
    }

    fn printed(format: Format) -> String {
        let (view, failures) = example();
        let mut printed = PrintedReport::new(format, view);
        let failures: String = failures.iter().map(|failure| printed.failures.element(failure)).collect();
        format!("{}{failures}{}", printed.before, printed.end())
    }

    #[test]
    fn the_report_keeps_its_json_shape() {
        insta::assert_snapshot!(printed(Format::Json), @r#"
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
    fn the_report_on_one_line_says_the_same() {
        let value = |format| serde_json::from_str::<serde_json::Value>(&printed(format)).unwrap();
        assert_eq!(value(Format::Jsonl), value(Format::Json));
        assert_eq!(printed(Format::Jsonl).lines().count(), 1);
    }

    #[test]
    fn the_report_reads_well() {
        let (view, failures) = example();
        insta::assert_snapshot!(table(&view, &failures), @r"
        submission  01890a5d-ac96-774b-bcce-b302099a8057, completed with errors
        images      3198 of 3200 embedded, 64 of them from the cache
        time        40.0 s, 80.00 images a second
        failed      2
          1.jpg: empty: the file has no bytes
          2.jpg: empty: the file has no bytes
        ");
    }
}
