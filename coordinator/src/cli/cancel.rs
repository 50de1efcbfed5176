//! `subwatch cancel`.

use clap::Args;
use common::{ids::SubmissionId, store::SubmissionKind};

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, json_name},
};
use crate::api::SubmissionView;

#[derive(Args)]
pub(super) struct CancelArguments {
    /// Submission or run.
    id: SubmissionId,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: CancelArguments,
) -> Result<Exit, CliError> {
    output::print_value(format, &client.cancel(arguments.id).await?, text)?;
    Ok(Exit::Done)
}

fn text(view: &SubmissionView) -> String {
    let resolved = match view.kind {
        SubmissionKind::Train => String::new(),
        SubmissionKind::Crawl | SubmissionKind::Embed | SubmissionKind::Predict => {
            format!("; {} of {} items were resolved", view.succeeded + view.failed, view.items)
        }
    };
    format!("cancelled {} ({}){resolved}", view.submission, json_name(&view.kind))
}
