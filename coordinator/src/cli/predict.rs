//! `subwatch predict`.

use std::path::{Path, PathBuf};

use clap::Args;
use common::ids::SubmissionId;
use futures::{StreamExt, stream};
use serde::Serialize;

use super::{
    Waiting,
    client::Client,
    dataset_argument,
    embed::{detached, wait_for},
    exit::{CliError, Exit},
    output::{self, Format, number, plain, table},
};
use crate::api::{ItemView, SubmissionRequest, UploadedImage};

/// Files uploaded at once.
const UPLOADS: usize = 4;

#[derive(Args)]
pub(super) struct PredictArguments {
    /// The run to predict with: an id, or `latest` for the newest that succeeded.
    #[arg(long, default_value = "latest")]
    run: String,
    /// Image files of this machine, and folders as the coordinator sees them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    waiting: Waiting,
}

/// One line of what `predict` prints.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
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

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: PredictArguments,
) -> Result<Exit, CliError> {
    let (folders, files): (Vec<&PathBuf>, Vec<&PathBuf>) =
        arguments.paths.iter().partition(|path| path.is_dir());
    let uploads: Vec<Result<UploadedImage, Line>> = stream::iter(files)
        .map(|path| upload(client, path))
        .buffered(UPLOADS)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let images: Vec<UploadedImage> =
        uploads.iter().filter_map(|upload| upload.as_ref().ok().cloned()).collect();
    let mut requests = Vec::new();
    if !images.is_empty() {
        requests.push(SubmissionRequest::Predict { run: arguments.run.clone(), dataset: None, images });
    }
    for folder in folders {
        let dataset = Some(dataset_argument(&folder.display().to_string()));
        requests.push(SubmissionRequest::Predict { run: arguments.run.clone(), dataset, images: Vec::new() });
    }
    let mut lines: Vec<Line> = Vec::new();
    for request in requests {
        let view = client.submit(&request).await?;
        if arguments.waiting.detach {
            detached(format, &view)?;
            continue;
        }
        let view = wait_for(client, view.submission, &arguments.waiting).await?;
        if let Some(error) = view.error {
            return Err(CliError::failed(plain(&error)));
        }
        lines.extend(results(client, view.submission).await?);
    }
    lines.extend(uploads.into_iter().filter_map(Result::err));
    let failed = lines.iter().any(|line| matches!(line, Line::Failed { .. }));
    if !arguments.waiting.detach || !lines.is_empty() {
        print(format, &lines)?;
    }
    Ok(if failed { Exit::FailedItems } else { Exit::Done })
}

/// Sends a file; one that cannot be read is its own failure.
async fn upload(client: &Client, path: &Path) -> Result<Result<UploadedImage, Line>, CliError> {
    let item = path.display().to_string();
    let bytes = match read(path, client.max_image_bytes).await {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(Line::failed(item, error))),
    };
    let stored = client.upload(bytes).await?;
    Ok(Ok(UploadedImage { item, sha256: stored.sha256 }))
}

async fn read(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| format!("missing: {error}"))?;
    if !metadata.is_file() {
        return Err("undecodable: it is neither a file nor a folder".to_owned());
    }
    match metadata.len() {
        0 => Err("empty: the file has no bytes".to_owned()),
        bytes if bytes > limit => Err(format!("too-large: {bytes} bytes are over the limit of {limit}")),
        _ => tokio::fs::read(path).await.map_err(|error| format!("missing: {error}")),
    }
}

async fn results(client: &Client, id: SubmissionId) -> Result<Vec<Line>, CliError> {
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
