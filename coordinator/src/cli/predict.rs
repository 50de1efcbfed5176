//! `subwatch predict`.

use clap::Args;
use common::{ids::SubmissionId, store::State};
use serde::Serialize;

use super::{
    Deadline, Submitting, Waiting,
    array::JsonArray,
    client::Client,
    dataset_argument,
    embed::{detached, wait_for},
    exit::{CliError, Exit},
    images::{self, Given, Source, Upload},
    output::{self, Format, number, plain, table},
    progress::{Display, Progress},
};
use crate::api::{ItemView, Page, SubmissionRequest, SubmissionView, UploadedImage};

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

    /// The line with `prefix` before the item's name.
    fn below(mut self, prefix: &str) -> Self {
        let (Self::Predicted { item, .. } | Self::Failed { item, .. }) = &mut self;
        item.insert_str(0, prefix);
        self
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
    let given = images::read_arguments(&arguments.paths)?;
    // The items of several arguments need to be told apart.
    let several = given.len() > 1;
    let mut submitter = Submitter { client, arguments: &arguments, parts: Vec::new() };
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
                sources = images::images_below(&folder)?;
            }
            (Err(error), _) => return Err(error),
        }
    }
    submitter.send(&sources).await?;
    let parts = submitter.parts;
    note_run(client, &arguments.run, &parts).await?;

    let detach = arguments.waiting.detach;
    for view in parts.iter().filter_map(|part| part.submission.as_ref()) {
        if detach {
            detached(format, view)?;
            continue;
        }
        let view = wait_for(client, view.submission, &arguments.waiting).await?;
        match (view.state, view.error) {
            (_, Some(error)) => return Err(CliError::failed(plain(&error))),
            (State::Cancelled, None) => {
                return Err(CliError::failed(format!("submission {} was cancelled", view.submission)));
            }
            _ => {}
        }
    }
    if detach && parts.iter().all(|part| part.unsent.is_empty()) {
        return Ok(Exit::Done);
    }
    let mut printer = Printer::new(format);
    for part in parts {
        part.print(client, &mut printer, !detach).await?;
    }
    printer.finish()
}

/// Says which run predicts, where the user named none by its id.
async fn note_run(client: &Client, name: &str, parts: &[Part]) -> Result<(), CliError> {
    let run = parts.iter().find_map(|part| part.submission.as_ref()?.run);
    if let Some(run) = run.filter(|run| run.to_string() != name) {
        let dataset = client.run(run).await?.request.dataset;
        output::note(&format!("predicting with the {name} run, {run}, trained on {dataset}"));
    }
    Ok(())
}

/// What became of some of the arguments: one submission at most.
struct Part {
    /// Nothing where no image reached the coordinator.
    submission: Option<SubmissionView>,
    /// What stands before the names of its items.
    prefix: String,
    /// Images that did not reach the coordinator, with their places among those named.
    unsent: Vec<(usize, Line)>,
}

impl Part {
    /// Prints its items in the order they were named in; those that did not reach the coordinator alone
    /// unless its submission has ended.
    async fn print(self, client: &Client, printer: &mut Printer, ended: bool) -> Result<(), CliError> {
        let mut unsent = self.unsent.into_iter().peekable();
        let mut at = 0;
        let mut cursor = None;
        while let Some(view) = self.submission.as_ref().filter(|_| ended) {
            let page = results(client, view.submission, cursor).await?;
            let mut lines = Vec::with_capacity(page.items.len());
            for line in page.items {
                while let Some((_, line)) = unsent.next_if(|(place, _)| *place == at) {
                    lines.push(line);
                    at += 1;
                }
                lines.push(line.below(&self.prefix));
                at += 1;
            }
            printer.add(lines)?;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        printer.add(unsent.map(|(_, line)| line).collect())
    }
}

/// Submits arguments in their order.
struct Submitter<'a> {
    client: &'a Client,
    arguments: &'a PredictArguments,
    parts: Vec<Part>,
}

impl Submitter<'_> {
    /// Submits a dataset that the coordinator can read.
    async fn dataset(&mut self, dataset: String, prefix: String) -> Result<(), CliError> {
        let submission = Some(self.submit(Some(dataset), Vec::new()).await?);
        self.parts.push(Part { submission, prefix, unsent: Vec::new() });
        Ok(())
    }

    /// Brings images to the coordinator and submits them.
    async fn send(&mut self, sources: &[Source]) -> Result<(), CliError> {
        for sources in sources.chunks(IMAGES_AT_ONCE) {
            let (mut images, mut unsent) = (Vec::new(), Vec::new());
            for (at, upload) in upload_all(self.client, sources).await?.into_iter().enumerate() {
                match upload {
                    Ok(image) => images.push(image),
                    Err((item, error)) => unsent.push((at, Line::failed(item, error))),
                }
            }
            let submission = if images.is_empty() { None } else { Some(self.submit(None, images).await?) };
            self.parts.push(Part { submission, prefix: String::new(), unsent });
        }
        Ok(())
    }

    async fn submit(
        &self,
        dataset: Option<String>,
        images: Vec<UploadedImage>,
    ) -> Result<SubmissionView, CliError> {
        let request = SubmissionRequest::Predict {
            run: self.arguments.run.clone(),
            dataset,
            images,
            deadline_seconds: self.arguments.deadline.deadline,
        };
        // Each submission of one command needs a key of its own.
        let nth = self.parts.iter().filter(|part| part.submission.is_some()).count();
        let key = self.arguments.submitting.idempotency_key.as_ref();
        let key = key.map(|key| if nth == 0 { key.clone() } else { format!("{key}/{nth}") });
        self.client.submit(&request, key.as_deref()).await
    }
}

/// Prints lines: as they come for programs, as one table for people.
struct Printer {
    format: Format,
    array: JsonArray,
    table: Vec<Line>,
    exit: Exit,
}

impl Printer {
    fn new(format: Format) -> Self {
        Self { format, array: JsonArray::new(format, 0), table: Vec::new(), exit: Exit::Done }
    }

    fn add(&mut self, lines: Vec<Line>) -> Result<(), CliError> {
        if lines.iter().any(|line| matches!(line, Line::Failed { .. })) {
            self.exit = Exit::FailedItems;
        }
        let text: String = match self.format {
            Format::Table => {
                self.table.extend(lines);
                return Ok(());
            }
            Format::Json => lines.iter().map(|line| self.array.element(line)).collect(),
            Format::Jsonl => lines.iter().map(json_line).collect(),
        };
        output::print_bytes(text.as_bytes())
    }

    fn finish(self) -> Result<Exit, CliError> {
        match self.format {
            Format::Table => output::print(&text(&self.table))?,
            Format::Json => output::print(&self.array.end())?,
            Format::Jsonl => {}
        }
        Ok(self.exit)
    }
}

fn json_line(line: &Line) -> String {
    serde_json::to_string(line).expect("a view is plain data") + "\n"
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

/// Returns a page of what became of the items of a predict submission.
pub(super) async fn results(
    client: &Client,
    id: SubmissionId,
    cursor: Option<String>,
) -> Result<Page<Line>, CliError> {
    let page = client.results(id, cursor.as_deref(), false).await?;
    Ok(Page { items: page.items.into_iter().map(Line::of).collect(), next: page.next })
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
        let lines: String = example().iter().map(json_line).collect();
        assert_eq!(
            lines.lines().collect::<Vec<_>>(),
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
