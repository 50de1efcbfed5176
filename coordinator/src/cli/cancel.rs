//! `subwatch cancel`.

use common::store::SubmissionKind;

use super::{
    arguments::IdArguments,
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, json_name},
};
use crate::api::SubmissionView;

pub(super) async fn run(client: &Client, format: Format, arguments: IdArguments) -> Result<Exit, CliError> {
    output::print_value(format, &client.cancel(&arguments.id).await?, text)?;
    Ok(Exit::Done)
}

fn text(view: &SubmissionView) -> String {
    let resolved = match view.kind {
        SubmissionKind::Train => String::new(),
        SubmissionKind::Crawl | SubmissionKind::Embed | SubmissionKind::Predict => {
            let so_far = if view.incomplete { "listed so far " } else { "" };
            format!("; {} of {} items {so_far}were resolved", view.succeeded + view.failed, view.items)
        }
    };
    format!("cancelled {} ({}){resolved}", view.submission, json_name(&view.kind))
}
