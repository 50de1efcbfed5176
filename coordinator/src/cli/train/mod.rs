//! `subwatch train` and `subwatch resume`.
//!
//! Owns arguments and request. Does not own waiting (`follow`).

pub(super) mod report;

use clap::Args;
use common::{ids::SubmissionId, store::State};
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};

use super::{
    arguments::{Submitting, Waiting, dataset_argument},
    client::Client,
    exit::{CliError, Exit},
    follow::follow,
    output::Format,
};
use crate::api::{RunRequest, RunView};

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

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: TrainArguments,
) -> Result<Exit, CliError> {
    let view =
        client.submit_run(&arguments.request(), arguments.submitting.idempotency_key.as_deref()).await?;
    finish(client, format, view, &arguments.waiting).await
}

pub(super) async fn resume(
    client: &Client,
    format: Format,
    arguments: ResumeArguments,
) -> Result<Exit, CliError> {
    let view = client.resume_run(arguments.run).await?;
    finish(client, format, view, &arguments.waiting).await
}

/// Waits for a run's end, if that is wanted, and prints it.
async fn finish(client: &Client, format: Format, view: RunView, waiting: &Waiting) -> Result<Exit, CliError> {
    let Some(view) = follow(client, format, view, waiting).await? else { return Ok(Exit::Done) };
    report::print(format, &view)?;
    if view.state == State::Cancelled {
        return Err(CliError::failed(format!("run {} was cancelled", view.run)));
    }
    Ok(view.state.into())
}
