//! `subwatch train` and `subwatch resume`.

pub(super) mod report;

use clap::Args;
use common::store::State;
use dataset::{
    split::SplitBy,
    target::{Target, Transform},
};

use super::{
    arguments::{IdArguments, IdempotencyArguments, SpaceArguments, WaitArguments, dataset_argument, one_of},
    client::Client,
    exit::{CliError, Exit},
    follow::follow,
    output::{Format, plain},
};
use crate::api::{RunRequest, RunView};

#[derive(Args)]
pub(super) struct TrainArguments {
    /// Dataset folder or s3:// URL, as the coordinator sees it; it needs metadata.
    dataset: String,
    /// Target to predict.
    #[arg(
        long,
        default_value_t = Target::ViewsPerSubscriber,
        value_parser = one_of::<Target>(Target::ALL.map(Target::name))
    )]
    target: Target,
    /// Transform of the target.
    #[arg(
        long,
        default_value_t = Transform::Log1p,
        value_parser = one_of::<Transform>(Transform::ALL.map(Transform::name))
    )]
    transform: Transform,
    /// Number of epochs.
    #[arg(long, default_value_t = 10)]
    epochs: u32,
    /// Samples per step, over all workers.
    #[arg(long, default_value_t = 50)]
    batch_size: u32,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true, value_parser = parse_finite)]
    learning_rate: f64,
    /// Seed of the split and of the sample order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep all rows of a channel, or of a video, in one part of the 60/20/20 split. Rows with the same image always
    /// stay together; folders such as train/ and test/ do not count [default: channel, or video if there are too few
    /// channels].
    #[arg(long, value_parser = one_of::<SplitBy>(["channel", "video"]))]
    split_by: Option<SplitBy>,
    /// Partial gradients per step, summed along a fixed tree; at most this many workers share a step.
    #[arg(long, default_value_t = 16)]
    leaves: u32,
    /// Name of the run, for lists.
    #[arg(long)]
    name: Option<String>,
    /// Tag of the run, for `runs --tag`; repeatable.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    space: SpaceArguments,
    #[command(flatten)]
    idempotency: IdempotencyArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

#[derive(Args)]
pub(super) struct ResumeArguments {
    #[command(flatten)]
    run: IdArguments,
    #[command(flatten)]
    wait: WaitArguments,
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
            space: self.space.space.clone(),
            uniform_hardware: self.space.hardware.uniform_hardware,
            leaves: self.leaves,
            name: self.name.clone(),
            tags: self.tags.iter().cloned().collect(),
        }
    }
}

/// Parses a number that JSON can carry.
fn parse_finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("it must be a finite number".to_owned()) }
}

/// Parses `KEY=VALUE`.
pub(super) fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: TrainArguments,
) -> Result<Exit, CliError> {
    let request = arguments.request();
    if request.tags.len() < arguments.tags.len() {
        return Err(CliError::new(Exit::Usage, "a tag is given twice"));
    }
    let view = client.submit_run(&request, arguments.idempotency.idempotency_key.as_deref()).await?;
    follow_run(client, format, view, &arguments.wait).await
}

pub(super) async fn resume(
    client: &Client,
    format: Format,
    arguments: ResumeArguments,
) -> Result<Exit, CliError> {
    let view = client.resume_run(&arguments.run.id).await?;
    follow_run(client, format, view, &arguments.wait).await
}

/// Waits for a run, unless detached, and prints its report.
async fn follow_run(
    client: &Client,
    format: Format,
    view: RunView,
    wait: &WaitArguments,
) -> Result<Exit, CliError> {
    match follow(client, format, view, wait).await? {
        Some(view) => finish(format, &view),
        None => Ok(Exit::Done),
    }
}

/// Prints an ended run, and returns the exit code of its outcome.
pub(super) fn finish(format: Format, view: &RunView) -> Result<Exit, CliError> {
    if let (Format::Table, State::Failed, Some(error)) = (format, view.state, &view.error) {
        return Err(CliError::failed(format!("run {}: {}", view.run, plain(error))));
    }
    report::print(format, view)?;
    if view.state == State::Cancelled {
        return Err(CliError::failed(format!("run {} was cancelled", view.run)));
    }
    Ok(view.state.into())
}
