//! `subwatch predict`.

use clap::Args;
use common::{ids::SubmissionId, store::State};
use serde::Serialize;

use super::{
    Deadline, Submitting, Waiting,
    client::Client,
    dataset_argument,
    embed::{detached, wait_for},
    exit::{CliError, Exit},
    images::{self, Given, Source, Upload},
    output::{self, Format, number, plain, table},
    progress::{Display, Progress},
};
use crate::api::{ItemView, SubmissionRequest, UploadedImage};

/// Most images of one submission.
const IMAGES_AT_ONCE: usize = 10_000;

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

/// One line of what `predict` prints.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Predicted { item: String, prediction: f64, target: String },
    Failed { item: String, error: String },
}

impl Line {
    fn failed(item: impl Into<String>, error: impl Into<String>) -> Self {
        Self::Failed { item: item.into(), error: error.into() }
    }

    fn of(view: ItemView) -> Self {
        match (view.prediction, view.target) {
            (Some(prediction), Some(target)) => {
                Self::Predicted { item: view.item, prediction, target: target.to_string() }
            }
            (Some(_), None) => Self::failed(view.item, "the run that predicted it is gone"),
            (None, _) => {
                Self::failed(view.item, view.error.unwrap_or_else(|| format!("the item is {}", view.state)))
            }
        }
    }
}

impl PredictArguments {
    /// The key of the `nth` submission of this command, from 0: each needs its own.
    fn key(&self, nth: usize) -> Option<String> {
        let key = self.submitting.idempotency_key.as_ref()?;
        Some(if nth == 0 { key.clone() } else { format!("{key}/{nth}") })
    }

    fn request(&self, dataset: Option<String>, images: Vec<UploadedImage>) -> SubmissionRequest {
        SubmissionRequest::Predict {
            run: self.run.clone(),
            dataset,
            images,
            deadline_seconds: self.deadline.deadline,
        }
    }
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: PredictArguments,
) -> Result<Exit, CliError> {
    let run = &arguments.run;
    let (mut datasets, mut sources) = (Vec::new(), Vec::new());
    for given in images::read_arguments(&arguments.paths)? {
        match given {
            Given::Folder(folder) => {
                datasets.push((dataset_argument(&folder.display().to_string()), Some(folder)));
            }
            Given::Dataset(url) => datasets.push((url, None)),
            Given::Image(source) => sources.push(source),
        }
    }
    let mut submissions = Vec::new();
    for (dataset, folder) in datasets {
        let key = arguments.key(submissions.len());
        let request = arguments.request(Some(dataset), Vec::new());
        match (client.submit(&request, key.as_deref()).await, folder) {
            (Ok(view), _) => submissions.push(view),
            // A folder that the coordinator cannot read is sent to it, image by image.
            (Err(error), Some(folder)) if [Exit::NotAllowed, Exit::NotFound].contains(&error.exit) => {
                client.named_run(run).await?;
                sources.extend(images::images_below(&folder)?);
                output::note(&format!("sending the images of {}: {}", folder.display(), error.message));
            }
            (Err(error), _) => return Err(error),
        }
    }
    let mut lines = Vec::new();
    for sources in sources.chunks(IMAGES_AT_ONCE) {
        let mut images = Vec::new();
        for upload in upload_all(client, sources).await? {
            match upload {
                Ok(image) => images.push(image),
                Err((item, error)) => lines.push(Line::failed(item, error)),
            }
        }
        if !images.is_empty() {
            let key = arguments.key(submissions.len());
            let request = arguments.request(None, images);
            submissions.push(client.submit(&request, key.as_deref()).await?);
        }
    }
    let failed_uploads = lines.len();
    for view in submissions {
        if arguments.waiting.detach {
            detached(format, &view)?;
            continue;
        }
        let view = wait_for(client, view.submission, &arguments.waiting).await?;
        match (view.state, view.error) {
            (_, Some(error)) => return Err(CliError::failed(plain(&error))),
            (State::Cancelled, None) => {
                return Err(CliError::failed(format!("submission {} was cancelled", view.submission)));
            }
            _ => lines.extend(results(client, view.submission).await?),
        }
    }
    // What could not be sent comes last.
    lines.rotate_left(failed_uploads);
    let failed = lines.iter().any(|line| matches!(line, Line::Failed { .. }));
    if !arguments.waiting.detach || !lines.is_empty() {
        print(format, &lines)?;
    }
    Ok(if failed { Exit::FailedItems } else { Exit::Done })
}

/// Sends images, showing how far it is.
async fn upload_all(client: &Client, sources: &[Source]) -> Result<Vec<Upload>, CliError> {
    let mut shown = Display::new();
    let sent = std::cell::RefCell::new(&mut shown);
    let uploads = images::upload_all(client, sources, |count| {
        sent.borrow_mut().show(&Progress {
            fraction: count as f64 / sources.len() as f64,
            text: format!("{count} of {} images sent", sources.len()),
            ended: false,
        });
    })
    .await;
    shown.clear();
    uploads
}

/// Returns what became of each item of a predict submission.
pub(super) async fn results(client: &Client, id: SubmissionId) -> Result<Vec<Line>, CliError> {
    let mut lines = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = client.results(id, cursor.as_deref(), false).await?;
        lines.extend(page.items.into_iter().map(Line::of));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(lines);
        }
    }
}

fn print(format: Format, lines: &[Line]) -> Result<(), CliError> {
    match format {
        Format::Json => output::print_json(format, &lines),
        Format::Jsonl => lines.iter().try_for_each(|line| output::print_json(format, line)),
        Format::Table => output::print(&text(lines)),
    }
}

fn text(lines: &[Line]) -> String {
    let target = lines.iter().find_map(|line| match line {
        Line::Predicted { target, .. } => Some(target.replace('-', " ")),
        Line::Failed { .. } => None,
    });
    let heading = format!("{}›", target.unwrap_or_else(|| "prediction".to_owned()));
    let mut predictions = table(&["image", &heading]);
    for line in lines {
        match line {
            Line::Predicted { item, prediction, .. } => {
                predictions.add_row(vec![plain(item).into(), number(*prediction)]);
            }
            Line::Failed { item, error } => {
                predictions.add_row(vec![plain(item), plain(error)]);
            }
        }
    }
    predictions.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Line> {
        vec![
            Line::Predicted {
                item: "a.jpg".to_owned(),
                prediction: 1.25,
                target: "views-per-subscriber".to_owned(),
            },
            Line::failed("b.jpg", "empty: the file has no bytes"),
        ]
    }

    #[test]
    fn lines_keep_their_json_shape() {
        let lines: Vec<String> = example().iter().map(|line| serde_json::to_string(line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                r#"{"item":"a.jpg","prediction":1.25,"target":"views-per-subscriber"}"#,
                r#"{"item":"b.jpg","error":"empty: the file has no bytes"}"#
            ]
        );
    }

    #[test]
    fn the_table_reads_well() {
        insta::assert_snapshot!(text(&example()), @r"
        ──────────────────────────────────────
         image           views per subscriber
        ══════════════════════════════════════
         a.jpg                          1.250
         b.jpg   empty: the file has no bytes
        ──────────────────────────────────────
        ");
    }
}
