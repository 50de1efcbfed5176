//! Report of an embed or predict submission.

use common::{ids::SubmissionId, store::SubmissionKind};
use serde::Serialize;

use crate::{
    api::{ItemView, Page, SubmissionView},
    cli::{
        client::{Client, Pages},
        exit::CliError,
        follow::origin,
        json_array::JsonArrayField,
        output::{self, Format, counted, digits, plain},
        predict::files,
    },
};

/// Most failures in the text.
const LISTED: usize = 10;

#[derive(Serialize)]
struct EmbedReport {
    #[serde(flatten)]
    view: SubmissionView,
    /// Placeholder: failures are streamed, since there may be millions.
    failures: [ReportedFailure; 0],
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
        let mut first = Vec::new();
        while first.len() < LISTED
            && let Some(page) = next_page().await?
        {
            first.extend(page);
        }
        return output::print(&table(&view, &first));
    }
    let mut json = JsonArrayField::new(format, &EmbedReport { view, failures: [] }, "failures");
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

/// The rate at which the model worked: without cached and failed images, which take no time.
fn computed_per_second(view: &SubmissionView) -> f64 {
    match view.elapsed_seconds {
        0.0 => 0.0,
        seconds => view.succeeded.saturating_sub(view.cached) as f64 / seconds,
    }
}

fn table(view: &SubmissionView, failures: &[ReportedFailure]) -> String {
    let verb = if view.kind == SubmissionKind::Predict { "predicted" } else { "embedded" };
    let mut lines = vec![
        format!("submission  {}, {}", view.submission, view.state),
        origin(view),
        format!(
            "images      {} of {}{}: {} {verb}, {} from the cache",
            view.succeeded,
            view.items,
            if view.incomplete { " listed so far" } else { "" },
            view.succeeded.saturating_sub(view.cached),
            view.cached
        ),
        format!("time        {:.1} s, {} images/s", view.elapsed_seconds, digits(computed_per_second(view))),
    ];
    if let Some(space) = &view.space {
        let on: Vec<String> = view
            .computed_on
            .iter()
            .map(|(class, images)| format!("{images} on {}", plain(&class.0)))
            .collect();
        let on = if on.is_empty() { String::new() } else { format!(": computed {}", on.join(", ")) };
        lines.push(format!("space       {}{on}", plain(&space.0)));
    }
    lines.extend(view.waiting.as_ref().map(|reason| format!("waiting     {}", plain(reason))));
    lines.extend(view.error.as_ref().map(|error| format!("error       {}", plain(error))));
    lines.extend(view.output.as_ref().map(files::line));
    if let Some(images) = view.without_row {
        lines.push(format!("no row      {}, {verb} as well; a run skips them", counted(images, "image")));
    }
    if !view.skipped_files.is_empty() {
        let endings = view.skipped_files.to_string();
        lines.push(format!("skipped     {}", plain(&endings)));
    }
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
    use common::{
        embedding::{DeviceClass, Space},
        store::State,
    };

    use super::*;

    fn example() -> (SubmissionView, Vec<ReportedFailure>) {
        let failure = |n: u32| ReportedFailure {
            item: format!("{n}.jpg"),
            reason: "empty: the file has 0 bytes".to_owned(),
        };
        let view = SubmissionView {
            kind: SubmissionKind::Embed,
            state: State::CompletedWithErrors,
            items: 3200,
            succeeded: 3198,
            failed: 2,
            cached: 64,
            computed_on: [(DeviceClass("avx2".to_owned()), 3134)].into(),
            space: Some(Space("resnet34".to_owned())),
            elapsed_seconds: 40.0,
            items_per_second: 80.0,
            without_row: Some(3),
            skipped_files: serde_json::from_str(r#"{"tiff": 2}"#).unwrap(),
            ..SubmissionView::example()
        };
        (view, vec![failure(1), failure(2)])
    }

    fn printed(format: Format) -> String {
        let (view, failures) = example();
        let mut printed = JsonArrayField::new(format, &EmbedReport { view, failures: [] }, "failures");
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
          "subject": "file:///data/set/",
          "created_ms": 1764054000000,
          "items": 3200,
          "succeeded": 3198,
          "failed": 2,
          "cached": 64,
          "computed_on": {
            "avx2": 3134
          },
          "space": "resnet34",
          "elapsed_seconds": 40.0,
          "items_per_second": 80.0,
          "without_row": 3,
          "skipped_files": {
            "tiff": 2
          },
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
        input       file:///data/set/, submitted 2025-11-25T07:00:00Z
        images      3198 of 3200: 3134 embedded, 64 from the cache
        time        40.0 s, 78.35 images/s
        space       resnet34: computed 3134 on avx2
        no row      3 images, embedded as well; a run skips them
        skipped     2 tiff
        failed      2
          1.jpg: empty: the file has 0 bytes
          2.jpg: empty: the file has 0 bytes
        ");
    }
}
