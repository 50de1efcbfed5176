//! `subwatch similar`.

use std::path::Path;

use clap::Args;
use common::{digest::Digest, job::outcome::FailureReason};
use serde::Serialize;

use super::{
    client::Client,
    exit::{CliError, Exit},
    follow::{require_no_error, wait},
    images::{
        argument::{self, ImageArgument, ImageSource},
        upload::upload,
    },
    output::{self, Format, counted, plain},
    table::table,
};
use crate::api::{NeighbourView, SimilarParams, SubmissionRequest, SubmissionView};

#[derive(Args)]
pub(super) struct SimilarArguments {
    /// Image file, `-` for standard input, URL of an image, or ID of an embedded video.
    #[arg(value_name = "IMAGE|VIDEO_ID", allow_hyphen_values = true)]
    image: String,
    /// Find the K nearest images.
    #[arg(short, value_name = "K", default_value_t = SimilarParams::DEFAULT_K, allow_negative_numbers = true)]
    k: usize,
    /// Embedding space to search [default: that of the workers].
    #[arg(long)]
    space: Option<String>,
}

#[derive(Serialize)]
struct SimilarReport {
    query: String,
    space: String,
    compared: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_as: Option<String>,
    neighbours: Vec<NeighbourView>,
}

pub(super) async fn run(
    client: &Client,
    format: Format,
    arguments: SimilarArguments,
) -> Result<Exit, CliError> {
    let SimilarArguments { image, k, space } = arguments;
    let (sha256, video_id, space) = match source(&image)? {
        Some(source) => {
            let (sha256, embedded_in) = embed(client, &source, space.clone()).await?;
            (Some(sha256), None, space.or(embedded_in))
        }
        None => (None, Some(image.clone()), space),
    };
    let view = client.similar(&SimilarParams { sha256, video_id, space, k: Some(k) }).await?;
    let report = SimilarReport {
        query: image,
        space: view.space.to_string(),
        compared: view.compared,
        known_as: view.known_as.filter(|_| sha256.is_some()),
        neighbours: view.neighbours,
    };
    match format {
        Format::Table | Format::Csv => output::print(&text(&report))?,
        Format::Json => output::print_json(format, &report)?,
        Format::Jsonl => {
            report.neighbours.iter().try_for_each(|neighbour| output::print_json(format, neighbour))?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the image to search with, or `None` if the argument is a video ID. What looks like a path is a path.
fn source(argument: &str) -> Result<Option<ImageSource>, CliError> {
    let is_id = !argument.contains(['/', '.', ':']) && argument != "-" && !Path::new(argument).exists();
    if is_id {
        return Ok(None);
    }
    match argument::parse_arguments(&[argument.to_owned()])?.as_slice() {
        [ImageArgument::Image(source)] => Ok(Some(source.clone())),
        [ImageArgument::Folder(_) | ImageArgument::Dataset(_)] => {
            Err(CliError::new(Exit::Usage, format!("'{argument}' is a folder or dataset: name one image")))
        }
        _ => Err(CliError::new(Exit::Usage, format!("'{argument}' matches several files: name one image"))),
    }
}

/// Embeds one image, and returns its digest and the space. A submission of single images is processed before datasets.
async fn embed(
    client: &Client,
    source: &ImageSource,
    space: Option<String>,
) -> Result<(Digest, Option<String>), CliError> {
    let failed = |(item, reason): (String, String)| {
        let is_missing = reason.starts_with(&format!("{}:", FailureReason::Missing));
        let exit = if is_missing { Exit::NotFound } else { Exit::Failed };
        CliError::new(exit, format!("{}: {}", plain(&item), plain(&reason)))
    };
    let image = upload(client, source).await?.map_err(failed)?;
    let (item, sha256) = (image.item.clone(), image.sha256);
    let request = SubmissionRequest::Embed {
        dataset: None,
        images: vec![image],
        space,
        uniform_hardware: false,
        deadline_seconds: None,
    };
    let view = client.submit(&request, None).await?;
    let view: SubmissionView = wait(client, view.submission, None).await?;
    require_no_error(&view)?;
    let results = client.results(view.submission, None, false).await?;
    match results.items.into_iter().find_map(|item| item.error) {
        Some(reason) => Err(failed((item, reason))),
        None => Ok((sha256, view.space.map(|space| space.to_string()))),
    }
}

fn text(report: &SimilarReport) -> String {
    let mut neighbours =
        table(&["cosine›", "video", "channel", "image", "dataset"]).optional(&["dataset", "channel"]);
    for neighbour in &report.neighbours {
        neighbours.add_row(vec![
            format!("{:.4}", neighbour.cosine),
            plain(neighbour.video_id.as_deref().unwrap_or("–")),
            plain(neighbour.channel.as_deref().unwrap_or("–")),
            plain(&neighbour.item),
            plain(&neighbour.dataset),
        ]);
    }
    let compared = counted(report.compared, "embedded image");
    let heading = format!("nearest neighbours of {} among {compared}", plain(&report.query));
    let known = report.known_as.as_ref();
    let known = known.map(|item| format!("\nthe image itself is embedded as {}", plain(item)));
    format!("{heading}{}\n{}", known.unwrap_or_default(), neighbours.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> SimilarReport {
        SimilarReport {
            query: "a.jpg".to_owned(),
            space: "space".to_owned(),
            compared: 3200,
            known_as: None,
            neighbours: vec![NeighbourView {
                item: "thumbnails/b.jpg".to_owned(),
                video_id: Some("b".to_owned()),
                channel: Some("\x1bChannel".to_owned()),
                cosine: 0.987_654,
                sha256: Digest([0xab; 32]),
                dataset: "file:///set/".to_owned(),
                other_names: Vec::new(),
            }],
        }
    }

    #[test]
    fn report_keeps_its_json_shape() {
        insta::assert_json_snapshot!(example(), @r#"
        {
          "query": "a.jpg",
          "space": "space",
          "compared": 3200,
          "neighbours": [
            {
              "item": "thumbnails/b.jpg",
              "video_id": "b",
              "channel": "\u001bChannel",
              "cosine": 0.987654,
              "sha256": "abababababababababababababababababababababababababababababababab",
              "dataset": "file:///set/"
            }
          ]
        }
        "#);
    }

    #[test]
    fn only_an_argument_unlike_a_path_is_a_video_id() {
        assert_eq!(source("dQw4w9WgXcQ").unwrap(), None);
        assert_eq!(source("none.jpg").unwrap(), Some(ImageSource::File("none.jpg".into())));
        assert_eq!(source("-").unwrap(), Some(ImageSource::Stdin));
        assert!(source("/").is_err());
    }
}
