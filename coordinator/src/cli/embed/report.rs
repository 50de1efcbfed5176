//! Report of an embed or predict submission.

use common::{
    ids::SubmissionId,
    store::{State, SubmissionKind},
};
use serde::Serialize;

use crate::{
    api::{ItemView, Page, SubmissionView},
    cli::{
        client::{Client, Pages},
        exit::CliError,
        follow::require_no_error,
        json_array::JsonArrayField,
        output::{self, Format, digits, plain},
    },
};

/// Most failures in the text.
const LISTED: usize = 10;

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
    /// Placeholder: failures are streamed, since there may be millions.
    failures: [ReportedFailure; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ReportedFailure {
    item: String,
    reason: String,
}

/// Prints a submission with its failures.
pub(in crate::cli) async fn print(
    client: &Client,
    format: Format,
    view: SubmissionView,
) -> Result<(), CliError> {
    let mut failures = (view.failed > 0).then(|| failures(client, view.submission));
    let mut next_page = async || match &mut failures {
        Some(failures) => failures.next().await,
        None => Ok(None),
    };
    if format == Format::Table {
        require_no_error(&view)?;
        let mut first = Vec::new();
        while first.len() < LISTED
            && let Some(page) = next_page().await?
        {
            first.extend(page);
        }
        return output::print(&table(&view, &first));
    }
    let mut json = JsonArrayField::new(format, &json(view), "failures");
    output::print_bytes(json.before.as_bytes())?;
    while let Some(page) = next_page().await? {
        let text: String = page.iter().map(|failure| json.array.element(failure)).collect();
        output::print_bytes(text.as_bytes())?;
    }
    output::print(&json.end())
}

fn failures(
    client: &Client,
    id: SubmissionId,
) -> Pages<impl AsyncFnMut(Option<String>) -> Result<Page<ReportedFailure>, CliError>> {
    Pages::new(async move |cursor: Option<String>| {
        let page = client.results(id, cursor.as_deref(), true).await?;
        let failure =
            |item: ItemView| ReportedFailure { reason: item.error.unwrap_or_default(), item: item.item };
        Ok(Page { items: page.items.into_iter().map(failure).collect(), next: page.next })
    })
}

fn json(view: SubmissionView) -> EmbedReport {
    EmbedReport {
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
    }
}

fn table(view: &SubmissionView, failures: &[ReportedFailure]) -> String {
    let verb = if view.kind == SubmissionKind::Predict { "predicted" } else { "embedded" };
    let mut lines = vec![
        format!("submission  {}, {}", view.submission, view.state),
        format!("images      {} of {} {verb}, {} from the cache", view.succeeded, view.items, view.cached),
        format!("time        {:.1} s, {} images/s", view.elapsed_seconds, digits(view.items_per_second)),
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
            reason: "empty: the file has 0 bytes".to_owned(),
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
            snoozed: None,
            elapsed_seconds: 40.0,
            items_per_second: 80.0,
            error: None,
            run: None,
            run_chosen: None,
        };
        (view, vec![failure(1), failure(2)])
    }

    fn printed(format: Format) -> String {
        let (view, failures) = example();
        let mut printed = JsonArrayField::new(format, &json(view), "failures");
        let failures: String = failures.iter().map(|failure| printed.array.element(failure)).collect();
        format!("{}{failures}{}", printed.before, printed.end())
    }

    #[test]
    fn report_keeps_its_json_shape() {
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
              "reason": "empty: the file has 0 bytes"
            },
            {
              "item": "2.jpg",
              "reason": "empty: the file has 0 bytes"
            }
          ]
        }
        "#);
    }

    #[test]
    fn json_lines_report_equals_the_json_report() {
        let value = |format| serde_json::from_str::<serde_json::Value>(&printed(format)).unwrap();
        assert_eq!(value(Format::Jsonl), value(Format::Json));
        assert_eq!(printed(Format::Jsonl).lines().count(), 1);
    }

    #[test]
    fn report_names_failures_and_cached_images() {
        let (view, failures) = example();
        insta::assert_snapshot!(table(&view, &failures), @r"
        submission  01890a5d-ac96-774b-bcce-b302099a8057, completed with errors
        images      3198 of 3200 embedded, 64 from the cache
        time        40.0 s, 80.00 images/s
        failed      2
          1.jpg: empty: the file has 0 bytes
          2.jpg: empty: the file has 0 bytes
        ");
    }
}
