//! Report of a training run.

use common::{digest::Digest, ids::SubmissionId, store::State};
use serde::Serialize;

use crate::{
    api::{EpochReport, RunView, Skipped, SplitCounts, TestReport},
    cli::{
        exit::CliError,
        output::{self, Format, digits, plain},
        table::table,
    },
};

#[derive(Serialize)]
struct TrainReport<'a> {
    run: SubmissionId,
    state: State,
    split: Option<SplitCounts>,
    epochs: &'a [EpochReport],
    best_epoch: Option<u32>,
    test: Option<&'a TestReport>,
    weights_sha256: Option<Digest>,
    elapsed_seconds: f64,
    space: Option<&'a str>,
    skipped: &'a [Skipped],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(in crate::cli) fn print(format: Format, view: &RunView) -> Result<(), CliError> {
    if format != Format::Table {
        return output::print_json(format, &report(view));
    }
    output::print(&text(view))
}

fn report(view: &RunView) -> TrainReport<'_> {
    TrainReport {
        run: view.run,
        state: view.state,
        split: view.split,
        epochs: &view.epochs,
        best_epoch: view.best_epoch,
        test: view.test.as_ref(),
        weights_sha256: view.weights_sha256,
        elapsed_seconds: view.elapsed_seconds,
        space: view.space.as_deref(),
        skipped: &view.skipped,
        error: view.error.as_deref(),
    }
}

fn text(view: &RunView) -> String {
    let request = &view.request;
    let mut parts = vec![format!("run       {}", view.run)];
    parts.push(format!("target    {}, transform {}", request.target, request.transform));
    if let Some(split) = view.split {
        parts.push(format!(
            "split     {} train, {} valid, {} test, by {}",
            split.train, split.valid, split.test, request.split_by
        ));
    }
    for skipped in &view.skipped {
        parts.push(format!("skipped   {}: {}", skipped.items, plain(&skipped.reason)));
    }
    if !view.epochs.is_empty() {
        parts.push(epochs(view));
    }
    match (&view.test, view.state) {
        (Some(test), _) => parts.push(metrics(test)),
        (None, State::Cancelled) => parts.push(format!("cancelled at {}", plain(&view.progress))),
        (None, _) => parts.push(format!("progress  {}", plain(&view.progress))),
    }
    parts.extend(view.error.as_ref().map(|error| format!("error     {}", plain(error))));
    if let Some(weights) = view.weights_sha256 {
        parts.push(format!("weights   sha256 {weights}"));
    }
    parts.push(format!("time      {:.1} s", view.elapsed_seconds));
    parts.join("\n")
}

fn epochs(view: &RunView) -> String {
    let mut epochs = table(&["epoch›", "train MSE›", "valid MSE›", "seconds›", ""]);
    for epoch in &view.epochs {
        let best = if view.best_epoch == Some(epoch.epoch) { "← best" } else { "" };
        epochs.add_row(vec![
            epoch.epoch.to_string(),
            digits(epoch.train_mse),
            digits(epoch.valid_mse),
            digits(epoch.seconds),
            best.into(),
        ]);
    }
    epochs.text()
}

fn metrics(test: &TestReport) -> String {
    let mut metrics = table(&["test split", "this run›", "baseline (mean)›", "ratio›"]);
    let mut row = |name: &str, mse: f64, baseline: f64| {
        let ratio = if baseline > 0.0 { mse / baseline } else { f64::NAN };
        metrics.add_row(vec![name.to_owned(), digits(mse), digits(baseline), digits(ratio)]);
    };
    row("MSE, transformed units", test.mse, test.baseline_mse);
    row("MSE, raw units", test.raw.mse, test.raw.baseline_mse);
    let others = format!(
        "MAE {} transformed, {} raw · R² {} · Spearman {}",
        digits(test.mae),
        digits(test.raw.mae),
        digits(test.r2),
        digits(test.spearman)
    );
    format!("{}\n{others}", metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RawReport, RunRequest};

    fn example() -> RunView {
        RunView {
            run: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            state: State::Succeeded,
            progress: "test with epoch 1".to_owned(),
            fraction: 1.0,
            request: RunRequest { dataset: "/data".to_owned(), ..RunRequest::default() },
            split: Some(SplitCounts { train: 1920, valid: 640, test: 640 }),
            skipped: vec![Skipped { reason: "zero subscribers".to_owned(), items: 3 }],
            epochs: vec![EpochReport { epoch: 1, train_mse: 1.5, valid_mse: 1.25, seconds: 0.25 }],
            best_epoch: Some(1),
            test: Some(TestReport {
                mse: 0.5,
                mae: 0.25,
                r2: 0.75,
                spearman: 0.875,
                baseline_mse: 2.0,
                raw: RawReport { mse: 1500.0, mae: 12.5, baseline_mse: 3000.0 },
            }),
            weights_sha256: Some(Digest([0xab; 32])),
            space: Some("space".to_owned()),
            elapsed_seconds: 2.5,
            error: None,
        }
    }

    #[test]
    fn report_keeps_its_json_shape() {
        insta::assert_json_snapshot!(report(&example()), @r#"
        {
          "run": "01890a5d-ac96-774b-bcce-b302099a8057",
          "state": "succeeded",
          "split": {
            "train": 1920,
            "valid": 640,
            "test": 640
          },
          "epochs": [
            {
              "epoch": 1,
              "train_mse": 1.5,
              "valid_mse": 1.25,
              "seconds": 0.25
            }
          ],
          "best_epoch": 1,
          "test": {
            "mse": 0.5,
            "mae": 0.25,
            "r2": 0.75,
            "spearman": 0.875,
            "baseline_mse": 2.0,
            "raw": {
              "mse": 1500.0,
              "mae": 12.5,
              "baseline_mse": 3000.0
            }
          },
          "weights_sha256": "abababababababababababababababababababababababababababababababab",
          "elapsed_seconds": 2.5,
          "space": "space",
          "skipped": [
            {
              "reason": "zero subscribers",
              "items": 3
            }
          ]
        }
        "#);
    }

    #[test]
    fn report_compares_the_test_error_with_the_baseline() {
        insta::assert_snapshot!(text(&example()), @r"
        run       01890a5d-ac96-774b-bcce-b302099a8057
        target    views-per-subscriber, transform log1p
        split     1920 train, 640 valid, 640 test, by video
        skipped   3: zero subscribers
        ──────────────────────────────────────────────────
         epoch   train MSE   valid MSE   seconds
        ══════════════════════════════════════════════════
             1       1.500       1.250    0.2500   ← best
        ──────────────────────────────────────────────────
        ──────────────────────────────────────────────────────────────
         test split               this run   baseline (mean)    ratio
        ══════════════════════════════════════════════════════════════
         MSE, transformed units     0.5000             2.000   0.2500
         MSE, raw units              1,500             3,000   0.5000
        ──────────────────────────────────────────────────────────────
        MAE 0.2500 transformed, 12.50 raw · R² 0.7500 · Spearman 0.8750
        weights   sha256 abababababababababababababababababababababababababababababababab
        time      2.5 s
        ");
    }
}
