//! Report of a training run.

use common::store::State;
use dataset::split::SplitBy;

use crate::{
    api::{RunView, TestReport},
    cli::{
        exit::CliError,
        output::{self, Format, counted, digits, plain, time_text},
        table::table,
    },
};

pub(in crate::cli) fn print(format: Format, view: &RunView) -> Result<(), CliError> {
    output::print_value(format, view, text)
}

fn text(view: &RunView) -> String {
    let mut parts = vec![format!("run       {}", view.run)];
    parts.extend(settings(view));
    parts.extend(samples(view));
    if !view.epochs.is_empty() {
        parts.push(epochs(view));
    }
    match (&view.test, view.state) {
        (Some(test), _) => parts.push(metrics(test)),
        (None, State::Cancelled | State::Failed) => {
            parts.push(format!("{:<10}at {}", view.state.to_string(), plain(&view.progress)));
            parts.extend(view.error.as_ref().map(|error| format!("error     {}", plain(error))));
            parts.push(format!("resume    `subwatch resume {}` continues it", view.run));
        }
        (None, _) => parts.push(format!("progress  {}", plain(&view.progress))),
    }
    parts.extend(view.notes.iter().map(|note| format!("note      {}", plain(note))));
    if let Some(features) = view.features_sha256 {
        let space =
            view.space.as_deref().map_or_else(String::new, |space| format!(" in space {}", plain(space)));
        parts.push(format!("features  sha256 {features}{space}"));
    }
    if let Some(weights) = view.weights_sha256 {
        parts.push(format!("weights   sha256 {weights}"));
    }
    parts.push(format!("time      {:.1} s", view.elapsed_seconds));
    parts.join("\n")
}

fn settings(view: &RunView) -> Vec<String> {
    let request = &view.request;
    let mut lines = Vec::new();
    lines.extend(request.name.as_ref().map(|name| format!("name      {}", plain(name))));
    if !request.tags.is_empty() {
        lines.push(format!("tags      {}", plain(&tags(view))));
    }
    lines.push(format!("created   {}", time_text(view.created_ms)));
    lines.push(format!("dataset   {}", plain(&request.dataset)));
    lines.push(format!("target    {}, transform {}", request.target, request.transform));
    lines.push(format!(
        "training  {} of batches of {}, learning rate {}, seed {}",
        counted(request.epochs.into(), "epoch"),
        request.batch_size,
        request.learning_rate,
        request.seed
    ));
    lines
}

/// The tags of a run, as `key=value, key=value`.
pub(in crate::cli) fn tags(view: &RunView) -> String {
    let tags: Vec<String> = view.request.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    tags.join(", ")
}

/// What the run's split keeps together; `None` before the dataset is split, unless the request says so.
pub(in crate::cli) fn split_by(view: &RunView) -> Option<SplitBy> {
    view.grouping.as_ref().map(|grouping| grouping.split_by).or(view.request.split_by)
}

fn samples(view: &RunView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(split) = view.split {
        let (train, valid, test) = (split.train, split.valid, split.test);
        let groups =
            view.grouping.as_ref().map(|grouping| format!(" ({})", counted(grouping.groups, "group")));
        lines.push(format!(
            "split     {train} train, {valid} valid, {test} test, by {}{}",
            split_by(view).map_or_else(|| "–".to_owned(), |by| by.to_string()),
            groups.unwrap_or_default()
        ));
    }
    if let Some(grouping) = &view.grouping {
        let channels = match grouping.channels {
            0 => String::new(),
            channels => format!("{} of {channels} channels, ", grouping.divided_channels),
        };
        let (divided, images) = (grouping.divided_images, grouping.images);
        lines.push(format!("leakage   in more than one split: {channels}{divided} of {images} images"));
    }
    for skipped in &view.skipped {
        lines.push(format!("skipped   {}: {}", skipped.items, plain(&skipped.reason)));
    }
    lines
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
    use common::digest::Digest;

    use super::*;
    use crate::api::{EpochReport, Grouping, RawReport, RunRequest, Skipped, SplitCounts};

    fn example() -> RunView {
        RunView {
            run: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            state: State::Succeeded,
            progress: "test with epoch 1".to_owned(),
            fraction: 1.0,
            remaining_seconds: None,
            created_ms: 1_764_054_000_000,
            request: RunRequest {
                dataset: "/data".to_owned(),
                name: Some("wide".to_owned()),
                tags: [("stage".to_owned(), "1".to_owned())].into(),
                ..RunRequest::default()
            },
            split: Some(SplitCounts { train: 1920, valid: 640, test: 640 }),
            grouping: Some(Grouping {
                split_by: SplitBy::Channel,
                groups: 158,
                channels: 160,
                divided_channels: 0,
                images: 3190,
                divided_images: 0,
            }),
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
            ratio: Some(0.25),
            notes: vec!["the embeddings are those of random weights".to_owned()],
            chosen: None,
            weights_sha256: Some(Digest([0xab; 32])),
            space: Some("space".to_owned()),
            features_sha256: Some(Digest([0xcd; 32])),
            random_weights: true,
            elapsed_seconds: 2.5,
            error: None,
        }
    }

    #[test]
    fn report_keeps_its_json_shape() {
        insta::assert_json_snapshot!(example(), @r#"
        {
          "run": "01890a5d-ac96-774b-bcce-b302099a8057",
          "state": "succeeded",
          "progress": "test with epoch 1",
          "fraction": 1.0,
          "remaining_seconds": null,
          "created_ms": 1764054000000,
          "request": {
            "dataset": "/data",
            "target": "views-per-subscriber",
            "transform": "log1p",
            "epochs": 10,
            "batch_size": 50,
            "learning_rate": 0.001,
            "seed": 0,
            "leaves": 16,
            "name": "wide",
            "tags": {
              "stage": "1"
            }
          },
          "split": {
            "train": 1920,
            "valid": 640,
            "test": 640
          },
          "grouping": {
            "split_by": "channel",
            "groups": 158,
            "channels": 160,
            "divided_channels": 0,
            "images": 3190,
            "divided_images": 0
          },
          "skipped": [
            {
              "reason": "zero subscribers",
              "items": 3
            }
          ],
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
          "ratio": 0.25,
          "notes": [
            "the embeddings are those of random weights"
          ],
          "weights_sha256": "abababababababababababababababababababababababababababababababab",
          "space": "space",
          "features_sha256": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
          "random_weights": true,
          "elapsed_seconds": 2.5
        }
        "#);
    }

    #[test]
    fn report_compares_the_test_error_with_the_baseline() {
        insta::assert_snapshot!(text(&example()), @r"
        run       01890a5d-ac96-774b-bcce-b302099a8057
        name      wide
        tags      stage=1
        created   2025-11-25T07:00:00Z
        dataset   /data
        target    views-per-subscriber, transform log1p
        training  10 epochs of batches of 50, learning rate 0.001, seed 0
        split     1920 train, 640 valid, 640 test, by channel (158 groups)
        leakage   in more than one split: 0 of 160 channels, 0 of 3190 images
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
        note      the embeddings are those of random weights
        features  sha256 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd in space space
        weights   sha256 abababababababababababababababababababababababababababababababab
        time      2.5 s
        ");
    }
}
