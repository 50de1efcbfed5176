//! `subwatch embed`.

pub(super) mod report;

use clap::Args;

use super::{
    arguments::{DeadlineArguments, IdempotencyArguments, SpaceArguments, WaitArguments, dataset_argument},
    client::Client,
    exit::{CliError, Exit},
    follow::{follow, require_no_error},
    output::Format,
};
use crate::api::{SubmissionRequest, SubmissionView};

#[derive(Args)]
pub(super) struct EmbedArguments {
    /// Dataset folder or s3:// URL, as the coordinator sees it.
    dataset: String,
    #[command(flatten)]
    space: SpaceArguments,
    #[command(flatten)]
    idempotency: IdempotencyArguments,
    #[command(flatten)]
    deadline: DeadlineArguments,
    #[command(flatten)]
    wait: WaitArguments,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: EmbedArguments,
) -> Result<Exit, CliError> {
    let request = SubmissionRequest::Embed {
        dataset: Some(dataset_argument(&arguments.dataset)),
        images: Vec::new(),
        space: arguments.space.space,
        uniform_hardware: arguments.space.hardware.uniform_hardware,
        deadline_seconds: arguments.deadline.deadline,
    };
    let view = client.submit(&request, arguments.idempotency.idempotency_key.as_deref()).await?;
    let Some(view) = follow(client, format, view, &arguments.wait).await? else { return Ok(Exit::Done) };
    finish(client, format, view).await
}

/// Prints an ended submission, and returns the exit code of its outcome.
pub(super) async fn finish(client: &Client, format: Format, view: SubmissionView) -> Result<Exit, CliError> {
    if format == Format::Table {
        require_no_error(&view)?;
    }
    let exit = view.state.into();
    report::print(client, format, view).await?;
    Ok(exit)
}
