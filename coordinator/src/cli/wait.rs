//! `subwatch wait`.

use clap::Args;
use common::store::SubmissionKind;

use super::{
    arguments::IdArguments,
    client::Client,
    crawl, embed,
    exit::{CliError, Exit},
    follow::wait,
    output::Format,
    predict, train,
};
use crate::api::{RunView, SubmissionView};

#[derive(Args)]
pub(super) struct WaitCommand {
    #[command(flatten)]
    id: IdArguments,
    /// Stop waiting after SECONDS; the jobs keep running.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Waits, and then prints and exits as the command that submitted the work would have.
pub(super) async fn run(client: &Client, format: Format, arguments: WaitCommand) -> Result<Exit, CliError> {
    let WaitCommand { id, timeout } = arguments;
    if id.id == "best" {
        return train::finish(format, &client.named_run("best").await?);
    }
    let submission = client.submission(&id.id).await?;
    let id = submission.submission;
    if submission.kind == SubmissionKind::Train {
        let run: RunView = wait(client, id, timeout).await?;
        return train::finish(format, &run);
    }
    let view: SubmissionView = wait(client, id, timeout).await?;
    match view.kind {
        SubmissionKind::Crawl => crawl::finish(client, format, view).await,
        SubmissionKind::Predict => predict::finish(client, format, view).await,
        SubmissionKind::Embed | SubmissionKind::Train => embed::finish(client, format, view).await,
    }
}
