//! `subwatch train`.

use clap::Args;
use common::{digest::Digest, ids::SubmissionId, store::State};
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};
use serde::Serialize;

use super::{
    Submitting, Waiting,
    client::Client,
    dataset_argument,
    embed::exit_of,
    exit::{CliError, Exit},
    output::{self, Format, digits, number, plain, table},
    progress::{self, Progress},
};
use crate::api::{EpochReport, LeftOut, RunRequest, RunView, SplitCounts, TestReport};

#[derive(Args)]
pub(super) struct TrainArguments {
    /// A folder with images and metadata.jsonl, as the coordinator sees it.
    dataset: String,
    /// What to predict: views-per-subscriber, views or subscribers.
    #[arg(long, default_value_t = Target::ViewsPerSubscriber)]
    target: Target,
    /// How the target is transformed before training: log1p or none.
    #[arg(long, default_value_t = Transform::Log1p)]
    transform: Transform,
    /// Passes over the training split.
    #[arg(long, default_value_t = 10)]
    epochs: u32,
    /// Samples in one step, over all workers.
    #[arg(long, default_value_t = 50)]
    batch_size: u32,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    learning_rate: f64,
    /// Seed of the split and of the order of samples.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What stays together in the 60/20/20 split: video or channel.
    #[arg(long, default_value_t = SplitBy::Video)]
    split_by: SplitBy,
    /// Leaves of the tree that gradients are added along; part of what decides the weights' bits.
    #[arg(long, default_value_t = 16)]
    leaves: u32,
    #[command(flatten)]
    submitting: Submitting,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Args)]
pub(super) struct ResumeArguments {
    /// The id of a run that failed.
    run: SubmissionId,
    #[command(flatten)]
    waiting: Waiting,
}

impl TrainArguments {
    pub(super) fn request(&self) -> RunRequest {
        RunRequest {
            dataset: dataset_argument(&self.dataset),
            target: self.target,
            transform: self.transform,
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            seed: self.seed,
            split_by: self.split_by,
            leaves: self.leaves,
        }
    }
}

/// What `train` prints as JSON.
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
    left_out: &'a [LeftOut],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: TrainArguments,
) -> Result<Exit, CliError> {
    let view =
        client.submit_run(&arguments.request(), arguments.submitting.idempotency_key.as_deref()).await?;
    follow(client, format, view, &arguments.waiting).await
}

pub(super) async fn resume(
    client: &Client,
    format: Format,
    arguments: ResumeArguments,
) -> Result<Exit, CliError> {
    let view = client.resume_run(arguments.run).await?;
    follow(client, format, view, &arguments.waiting).await
}

/// Waits for a run's end, if that is wanted, and prints it.
async fn follow(client: &Client, format: Format, view: RunView, waiting: &Waiting) -> Result<Exit, CliError> {
    if waiting.detach {
        match format {
            Format::Table => output::print(&view.run.to_string())?,
            Format::Json | Format::Jsonl => output::print_json(format, &view)?,
        }
        return Ok(Exit::Done);
    }
    let id = view.run;
    let view = progress::wait(client, id, waiting, async || {
        let view = client.run(id).await?;
        let progress = Progress {
            fraction: view.fraction,
            text: view.progress.clone(),
            ended: view.state.is_terminal(),
        };
        Ok((view, progress))
    })
    .await?;
    print(format, &view)?;
    if view.state == State::Cancelled {
        return Err(CliError::failed(format!("run {id} was cancelled")));
    }
    Ok(exit_of(view.state))
}

/// Prints a run.
pub(super) fn print(format: Format, view: &RunView) -> Result<(), CliError> {
    if format != Format::Table {
        return output::print_json(format, &report(view));
    }
    if let (State::Failed, Some(error)) = (view.state, &view.error) {
        return Err(CliError::failed(format!("run {}: {}", view.run, plain(error))));
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
        left_out: &view.left_out,
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
    for left_out in &view.left_out {
        parts.push(format!("left out  {}: {}", left_out.items, plain(&left_out.reason)));
    }
    if !view.epochs.is_empty() {
        parts.push(epochs(view));
    }
    match (&view.test, view.state) {
        (Some(test), _) => parts.push(metrics(test)),
        (None, State::Cancelled) => parts.push(format!("cancelled at: {}", plain(&view.progress))),
        (None, _) => parts.push(format!("progress  {}", plain(&view.progress))),
    }
    if let Some(weights) = view.weights_sha256 {
        parts.push(format!("weights   sha256 {weights}"));
    }
    parts.push(format!("time      {:.1} s", view.elapsed_seconds));
    parts.join("\n")
}

fn epochs(view: &RunView) -> String {
    let mut epochs = table(&["epoch›", "train MSE›", "valid MSE›", "seconds›", ""]);
    for epoch in &view.epochs {
        let best = if view.best_epoch == Some(epoch.epoch) { "← best, kept" } else { "" };
        epochs.add_row(vec![
            epoch.epoch.into(),
            number(epoch.train_mse),
            number(epoch.valid_mse),
            number(epoch.seconds),
            best.into(),
        ]);
    }
    epochs.trim_fmt()
}

fn metrics(test: &TestReport) -> String {
    let mut metrics = table(&["test split", "this run›", "predicting the mean›", "ratio›"]);
    let mut row = |name: &str, mse: f64, baseline: f64| {
        let ratio = if baseline > 0.0 { mse / baseline } else { f64::NAN };
        metrics.add_row(vec![name.into(), number(mse), number(baseline), number(ratio)]);
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
    format!("{}\n{others}", metrics.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RawReport;

    fn example() -> RunView {
        RunView {
            run: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            state: State::Succeeded,
            progress: "test with epoch 1".to_owned(),
            fraction: 1.0,
            request: RunRequest { dataset: "/data".to_owned(), ..RunRequest::default() },
            split: Some(SplitCounts { train: 1920, valid: 640, test: 640 }),
            left_out: vec![LeftOut { reason: "subscribers are zero".to_owned(), items: 3 }],
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
    fn the_report_keeps_its_json_shape() {
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
          "left_out": [
            {
              "reason": "subscribers are zero",
              "items": 3
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_report_reads_well() {
        insta::assert_snapshot!(text(&example()), @r"
        run       01890a5d-ac96-774b-bcce-b302099a8057
        target    views-per-subscriber, transform log1p
        split     1920 train, 640 valid, 640 test, by video
        left out  3: subscribers are zero
        ────────────────────────────────────────────────────────
         epoch   train MSE   valid MSE   seconds
        ════════════════════════════════════════════════════════
             1       1.500       1.250    0.2500   ← best, kept
        ────────────────────────────────────────────────────────
        ──────────────────────────────────────────────────────────────────
         test split               this run   predicting the mean    ratio
        ══════════════════════════════════════════════════════════════════
         MSE, transformed units     0.5000                 2.000   0.2500
         MSE, raw units              1,500                 3,000   0.5000
        ──────────────────────────────────────────────────────────────────
        MAE 0.2500 transformed, 12.50 raw · R² 0.7500 · Spearman 0.8750
        weights   sha256 abababababababababababababababababababababababababababababababab
        time      2.5 s
        ");
    }
}
