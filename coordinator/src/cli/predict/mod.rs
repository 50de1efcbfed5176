//! `subwatch predict`.
//!
//! Submits all arguments, waits for all submissions, then prints all items, the highest prediction first. With `--out`,
//! the workers write the items to shards, and the command prints where they are.

pub(super) mod files;
pub(super) mod line;
mod print;
mod submit;

use clap::Args;
use common::store::State;
use dataset::target::Target;

use self::{
    files::OutputArguments,
    print::Printer,
    submit::{PredictPart, PredictRequest, Submitter},
};
use super::{
    arguments::{
        DeadlineArguments, HardwareArguments, IdempotencyArguments, WaitArguments, dataset_argument, one_of,
    },
    client::Client,
    exit::{CliError, Exit},
    follow::{follow, require_no_error},
    images::argument::{self, ImageArgument},
    output::{self, Format, digits, plain},
};
use crate::api::SubmissionView;

/// Shown after the arguments.
const BATCH: &str = "\
Batch prediction: with --out, the workers write the predictions of a dataset to files, one per
job, with the columns item, prediction, error and those of --columns. The coordinator lists the
files in _manifest.json once all are complete.

  subwatch predict s3://lake/thumbnails --run best --out s3://lake/predictions/ --columns views";

#[derive(Args)]
#[command(after_help = BATCH)]
pub(super) struct PredictArguments {
    /// Run to predict with: its ID, the start of its ID, its name, or `latest` or `best`.
    ///
    /// `latest` and `best` stand for the newest run of the target whose test MSE, on at least five samples, is below
    /// the baseline, and for the one of these runs with the lowest ratio of the two.
    #[arg(long, default_value = "latest")]
    run: String,
    /// Target of the run [default: that of the run, views-per-subscriber for `latest` and `best`].
    #[arg(long, value_parser = one_of::<Target>(Target::ALL.map(Target::name)))]
    target: Option<Target>,
    /// Image files, folders, quoted patterns, `-` for standard input, http(s):// URLs of images, or s3:// URLs of
    /// datasets.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    hardware: HardwareArguments,
    #[command(flatten)]
    output: OutputArguments,
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
    arguments: PredictArguments,
) -> Result<Exit, CliError> {
    let images = argument::parse_arguments(&arguments.paths)?;
    let output = arguments.output.request(&images, format)?;
    let has_output = output.is_some();
    // With several arguments, item names are prefixed with the name of their folder or dataset.
    let several = images.len() > 1;
    let mut submitter = Submitter::new(
        client,
        PredictRequest {
            run: &arguments.run,
            target: arguments.target,
            uniform_hardware: arguments.hardware.uniform_hardware,
            deadline_seconds: arguments.deadline.deadline,
            idempotency_key: arguments.idempotency.idempotency_key.as_deref(),
            output,
        },
    );
    let mut sources = Vec::new();
    for image in images {
        let (name, dataset, folder) = match image {
            ImageArgument::Image(source) => {
                sources.push(source);
                continue;
            }
            ImageArgument::Folder(folder) => {
                let name = folder.display().to_string();
                (name.clone(), dataset_argument(&name), Some(folder))
            }
            ImageArgument::Dataset(url) => (url.clone(), url, None),
        };
        submitter.images(&std::mem::take(&mut sources)).await?;
        let prefix = if several { format!("{}/", name.trim_end_matches('/')) } else { String::new() };
        match (submitter.dataset(dataset, prefix.clone()).await, folder) {
            (Ok(()), _) => {}
            // The images of a folder that the coordinator cannot read are uploaded.
            (Err(error), Some(folder))
                if !has_output && [Exit::NotAllowed, Exit::NotFound].contains(&error.exit) =>
            {
                let target = arguments.target.unwrap_or(Target::ViewsPerSubscriber);
                client.run_of_target(&arguments.run, target).await?;
                output::note(&format!("uploading the images of {name}, which the coordinator cannot read"));
                sources = argument::items_in(&folder, &prefix).await?;
            }
            (Err(error), _) => return Err(error),
        }
    }
    submitter.images(&sources).await?;
    let mut parts = submitter.parts;
    note_run(client, &parts).await?;

    let detach = arguments.wait.detach;
    for part in &mut parts {
        let Some(view) = part.submission.take() else { continue };
        part.submission = follow(client, format, view, &arguments.wait).await?;
        let Some(view) = &part.submission else { continue };
        if !view.skipped_files.is_empty() {
            output::note(&format!("skipped files: {}", plain(&view.skipped_files.to_string())));
        }
        require_success(view)?;
    }
    if detach && parts.iter().all(|part| part.unsent.is_empty()) {
        return Ok(Exit::Done);
    }
    if has_output && let Some(view) = parts.pop().and_then(|part| part.submission) {
        return files::print(format, &view);
    }
    let mut printer = Printer::new(format);
    for part in parts {
        print::part(client, part, &mut printer).await?;
    }
    printer.finish()
}

/// Prints the predictions of an ended submission, and returns the exit code of its outcome.
pub(super) async fn finish(client: &Client, format: Format, view: SubmissionView) -> Result<Exit, CliError> {
    require_success(&view)?;
    if view.output.is_some() {
        return files::print(format, &view);
    }
    let mut printer = Printer::new(format);
    let part = PredictPart { submission: Some(view), prefix: String::new(), unsent: Vec::new() };
    print::part(client, part, &mut printer).await?;
    printer.finish()
}

/// Returns the error of a submission that failed as a whole or was cancelled.
fn require_success(view: &SubmissionView) -> Result<(), CliError> {
    require_no_error(view)?;
    match view.state {
        State::Cancelled => Err(CliError::failed(format!("submission {} was cancelled", view.submission))),
        _ => Ok(()),
    }
}

/// Prints which run is used and why, unless the user named it by its ID, and what to know about it.
async fn note_run(client: &Client, parts: &[PredictPart]) -> Result<(), CliError> {
    let Some(view) = parts.iter().find_map(|part| part.submission.as_ref()) else { return Ok(()) };
    let Some(run) = view.run else { return Ok(()) };
    let run = client.run(run).await?;
    if let Some(chosen) = &view.run_chosen {
        output::note(&format!(
            "using run {}, {}: {}, trained on {}, test MSE ÷ baseline {}",
            run.run,
            plain(chosen),
            run.request.target,
            plain(&run.request.dataset),
            digits(run.ratio.unwrap_or(f64::NAN))
        ));
    }
    run.notes.iter().for_each(|note| output::note(&format!("note: {}", plain(note))));
    Ok(())
}
