//! `subwatch embed`.
//!
//! Owns arguments and request. Does not own waiting (`follow`).

pub(super) mod report;

use clap::Args;

use super::{
    arguments::{Deadline, Submitting, Waiting, dataset_argument},
    client::Client,
    exit::{CliError, Exit},
    follow::follow,
    output::Format,
};
use crate::api::SubmissionRequest;

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
    let Some(view) = follow(client, format, view, &arguments.waiting).await? else { return Ok(Exit::Done) };
    let exit = view.state.into();
    report::print(client, format, view).await?;
    Ok(exit)
}
