//! `subwatch predict`.
//!
//! Owns arguments and the order of things: submit all, wait for all, print all in the order of the arguments.

pub(super) mod line;
mod print;
mod submit;

use clap::Args;
use common::store::State;

use self::{
    print::Printer,
    submit::{PredictPart, PredictRequest, Submitter},
};
use super::{
    arguments::{Deadline, Submitting, Waiting, dataset_argument},
    client::Client,
    exit::{CliError, Exit},
    follow::{follow, require_no_error},
    images::given::{self, Given},
    output::{self, Format},
};

#[derive(Args)]
pub(super) struct PredictArguments {
    /// The run to predict with: an id, `latest` for the newest that succeeded, or `best` for the one with the
    /// least test error beside its baseline.
    #[arg(long, default_value = "latest")]
    run: String,
    /// Image files, patterns and folders of this machine, `-` for standard input, http(s) URLs of images,
    /// s3:// URLs of datasets.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
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
    arguments: PredictArguments,
) -> Result<Exit, CliError> {
    let given = given::read_arguments(&arguments.paths)?;
    // The items of several arguments need to be told apart.
    let several = given.len() > 1;
    let mut submitter = Submitter::new(
        client,
        PredictRequest {
            run: &arguments.run,
            deadline_seconds: arguments.deadline.deadline,
            idempotency_key: arguments.submitting.idempotency_key.as_deref(),
        },
    );
    let mut sources = Vec::new();
    for given in given {
        let (name, dataset, folder) = match given {
            Given::Image(source) => {
                sources.push(source);
                continue;
            }
            Given::Folder(folder) => {
                let name = folder.display().to_string();
                (name.clone(), dataset_argument(&name), Some(folder))
            }
            Given::Dataset(url) => (url.clone(), url, None),
        };
        submitter.send(&std::mem::take(&mut sources)).await?;
        let prefix = if several { format!("{}/", name.trim_end_matches('/')) } else { String::new() };
        match (submitter.dataset(dataset, prefix).await, folder) {
            (Ok(()), _) => {}
            // A folder that the coordinator cannot read is sent to it, image by image.
            (Err(error), Some(folder)) if [Exit::NotAllowed, Exit::NotFound].contains(&error.exit) => {
                client.named_run(&arguments.run).await?;
                output::note(&format!("sending the images of {name}: {}", error.message));
                sources = given::images_below(&folder)?;
            }
            (Err(error), _) => return Err(error),
        }
    }
    submitter.send(&sources).await?;
    let mut parts = submitter.parts;
    note_run(client, &arguments.run, &parts).await?;

    let detach = arguments.waiting.detach;
    for part in &mut parts {
        let Some(view) = part.submission.take() else { continue };
        part.submission = follow(client, format, view, &arguments.waiting).await?;
        let Some(view) = &part.submission else { continue };
        require_no_error(view)?;
        if view.state == State::Cancelled {
            return Err(CliError::failed(format!("submission {} was cancelled", view.submission)));
        }
    }
    if detach && parts.iter().all(|part| part.unsent.is_empty()) {
        return Ok(Exit::Done);
    }
    let mut printer = Printer::new(format);
    for part in parts {
        print::part(client, part, &mut printer).await?;
    }
    printer.finish()
}

/// Says which run predicts, where the user named none by its id.
async fn note_run(client: &Client, name: &str, parts: &[PredictPart]) -> Result<(), CliError> {
    let run = parts.iter().find_map(|part| part.submission.as_ref()?.run);
    if let Some(run) = run.filter(|run| run.to_string() != name) {
        let dataset = client.run(run).await?.request.dataset;
        output::note(&format!("predicting with the {name} run, {run}, trained on {dataset}"));
    }
    Ok(())
}
