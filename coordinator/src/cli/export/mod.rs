//! `subwatch export`: embeddings, splits, predictions, weights and spaces for other programs.
//!
//! Owns the formats: JSON Lines, JSON, NumPy's `.npy`, safetensors. The name of the file chooses the format; a name that
//! promises another is refused. Files appear complete or not at all; standard output is written page by page.

mod sink;
mod space;

use std::{collections::HashMap, fmt::Display};

use clap::{Args, Subcommand};
use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding},
    ids::SubmissionId,
    store::SubmissionKind,
};
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

use self::sink::{Sink, note_written};
use super::{
    arguments::dataset_argument,
    client::{Client, Pages},
    exit::{CliError, Exit},
    follow::{require_no_error, wait},
    json_array::JsonArray,
    output::{self, Format, plain},
    predict,
};
use crate::api::{
    EmbeddingView, HeadView, Page, SampleView, SubmissionRequest, SubmissionView, TestPredictionView,
};

#[derive(Subcommand)]
pub(super) enum ExportCommand {
    /// Export the embeddings of a dataset, computing missing ones.
    ///
    /// Writes one JSON object per line, {item, sha256, embedding}. If --out ends with .npy, writes an f16 matrix in
    /// NumPy's format, and {item, sha256} of its rows to a file that ends with .items.jsonl, or .items.csv with -o csv.
    Embeddings {
        /// Dataset folder or s3:// URL, as the coordinator sees it.
        dataset: String,
        /// Embedding space [default: that of the workers].
        #[arg(long)]
        space: Option<String>,
        #[command(flatten)]
        out: OutArguments,
    },
    /// Export the split of a run: one {item, split, sha256, label} per line.
    Split {
        /// Run ID or name, `latest` or `best`.
        run: String,
        #[command(flatten)]
        out: OutArguments,
    },
    /// Export predictions: those of a run on its test split, one {item, prediction, label, target} per line, or those
    /// of a predict submission.
    Predictions {
        /// Run ID or name, `latest`, `best`, or ID of a predict submission.
        id: String,
        #[command(flatten)]
        out: OutArguments,
    },
    /// Export the head of a run as safetensors: `fc.weight` [1, 512] and `fc.bias` [1], f32.
    ///
    /// `fc.weight · embedding + fc.bias` is the target in transformed units; the standardisation of features and
    /// target is folded into the weights.
    Weights {
        /// Run ID or name, `latest` or `best`.
        run: String,
        /// File or s3:// URL to write.
        #[arg(long)]
        out: String,
    },
    /// Export all embeddings of a space as Parquet files, which `subwatch import space` reads.
    ///
    /// A row has the SHA-256 of an image, as 32 bytes, and its embedding, a list of 512 numbers in
    /// single precision. `_manifest.json` lists the files, and is written last.
    ///
    ///   subwatch export space SPACE --out s3://lake/spaces/SPACE/
    #[command(verbatim_doc_comment)]
    Space {
        /// Name of the space, as `subwatch spaces list` shows it.
        space: String,
        /// New or empty folder or s3:// URL to write to.
        #[arg(long, value_name = "URL")]
        out: String,
    },
}

#[derive(Args)]
pub(super) struct OutArguments {
    /// File or s3:// URL to write: .jsonl, .json or .csv; embeddings .jsonl or .npy [default: standard output].
    #[arg(long)]
    out: Option<String>,
}

pub(super) async fn run(client: &Client, format: Format, command: ExportCommand) -> Result<Exit, CliError> {
    match command {
        ExportCommand::Embeddings { dataset, space, out } => {
            embeddings(client, &dataset, space.as_deref(), out.out.as_deref(), format).await
        }
        ExportCommand::Split { run, out } => {
            let run = chosen_run(client, &run).await?;
            lines(out.out.as_deref(), format, async |cursor| client.split(run, cursor.as_deref()).await).await
        }
        ExportCommand::Predictions { id, out } => predictions(client, &id, out.out.as_deref(), format).await,
        ExportCommand::Weights { run, out } => {
            let run = chosen_run(client, &run).await?;
            weights(&client.head(run).await?, &out).await
        }
        ExportCommand::Space { space, out } => space::export(client, &space, &out).await,
    }
}

/// Finds the run that a name stands for, and prints which one it is and why.
async fn chosen_run(client: &Client, name: &str) -> Result<SubmissionId, CliError> {
    let view = client.named_run(name).await?;
    if let Some(chosen) = &view.chosen {
        output::note(&format!("run {}: {}", view.run, plain(chosen)));
    }
    Ok(view.run)
}

/// Checks that the extension of a file names a format that can be written.
fn require_format(out: Option<&str>, formats: &[&str]) -> Result<(), CliError> {
    let name = out.unwrap_or_default().rsplit('/').next().unwrap_or_default();
    match name.rsplit_once('.') {
        Some((_, extension)) if !formats.contains(&extension) => {
            let formats = formats.iter().map(|format| format!(".{format}")).collect::<Vec<_>>().join(", ");
            let message = format!("--out {name}: cannot write .{extension} files; use one of {formats}");
            Err(CliError::new(Exit::Usage, plain(&message)))
        }
        _ => Ok(()),
    }
}

/// An entry that has the same fields in every line of CSV.
trait CsvRow {
    type Row<'a>: Serialize
    where
        Self: 'a;

    fn row(&self) -> Self::Row<'_>;
}

impl CsvRow for predict::line::PredictionLine {
    type Row<'a> = predict::line::PredictionRow<'a>;

    fn row(&self) -> Self::Row<'_> {
        self.row()
    }
}

impl CsvRow for SampleView {
    type Row<'a> = &'a Self;

    fn row(&self) -> Self::Row<'_> {
        self
    }
}

impl CsvRow for TestPredictionView {
    type Row<'a> = &'a Self;

    fn row(&self) -> Self::Row<'_> {
        self
    }
}

/// A row of the matrix of embeddings.
#[derive(Serialize)]
struct MatrixRow<'a> {
    item: &'a str,
    sha256: Digest,
}

/// Writes the entries of all pages: one per line, as one array with `-o json`, or as CSV with `-o csv`. The extension of a
/// file overrides `-o`.
async fn lines<T: Serialize + CsvRow>(
    out: Option<&str>,
    format: Format,
    page: impl AsyncFnMut(Option<String>) -> Result<Page<T>, CliError>,
) -> Result<Exit, CliError> {
    require_format(out, &["jsonl", "ndjson", "json", "csv"])?;
    let format = match out {
        Some(out) if out.ends_with(".csv") => Format::Csv,
        Some(out) if out.ends_with(".json") => Format::Json,
        Some(out) if out.ends_with(".jsonl") || out.ends_with(".ndjson") => Format::Jsonl,
        _ => format,
    };
    let mut sink = Sink::open(out)?;
    let mut array = JsonArray::new(format, 0);
    let mut count = 0;
    let mut pages = Pages::new(page);
    while let Some(items) = pages.next().await? {
        if format == Format::Csv {
            let rows: Vec<T::Row<'_>> = items.iter().map(T::row).collect();
            sink.write_csv(&rows, count == 0)?;
        } else if format == Format::Json {
            items.iter().try_for_each(|item| sink.write(array.element(item).as_bytes()))?;
        } else {
            items.iter().try_for_each(|item| sink.write_line(item))?;
        }
        count += items.len();
    }
    if format == Format::Json {
        sink.write(format!("{}\n", array.end()).as_bytes())?;
    }
    sink.finish().await?;
    note_written(count, "entries", out);
    Ok(Exit::Done)
}

async fn predictions(client: &Client, id: &str, out: Option<&str>, format: Format) -> Result<Exit, CliError> {
    let run = match client.named_run(id).await {
        Ok(view) => view.run,
        Err(error) if error.exit != Exit::NotFound => return Err(error),
        Err(error) => {
            let Ok(view) = client.submission(id).await else { return Err(error) };
            if view.kind != SubmissionKind::Predict {
                let message = format!("{} is neither a run nor a predict submission", view.submission);
                return Err(CliError::new(Exit::Usage, message));
            }
            let page = async |cursor| predict::line::results(client, &view, cursor).await;
            return lines(out, format, page).await;
        }
    };
    lines(out, format, async |cursor| client.predictions(run, cursor.as_deref()).await).await
}

async fn embeddings(
    client: &Client,
    dataset: &str,
    space: Option<&str>,
    out: Option<&str>,
    format: Format,
) -> Result<Exit, CliError> {
    require_format(out, &["npy", "jsonl", "ndjson"])?;
    let as_matrix = out.is_some_and(|out| out.ends_with(".npy"));
    if format == Format::Csv && !as_matrix {
        let message = "-o csv writes the items of a matrix of embeddings: give --out FILE.npy";
        return Err(CliError::new(Exit::Usage, message));
    }
    // Opened before the work, so that a wrong path is reported now.
    let mut sink = Sink::open(out)?;
    let request = SubmissionRequest::Embed {
        dataset: Some(dataset_argument(dataset)),
        images: Vec::new(),
        space: space.map(str::to_owned),
        uniform_hardware: false,
        deadline_seconds: None,
    };
    let submitted = client.submit(&request, None).await?.submission;
    let view: SubmissionView = wait(client, submitted, None).await?;
    require_no_error(&view)?;
    let mut names = match out.filter(|_| as_matrix) {
        Some(out) => {
            let ending = if format == Format::Csv { ".items.csv" } else { ".items.jsonl" };
            Some(Sink::open(Some(&out.replace(".npy", ending)))?)
        }
        None => None,
    };
    if as_matrix {
        sink.write(&npy_header(0))?;
    }
    let (mut rows, mut is_first) = (0, true);
    let page = async |cursor: Option<String>| client.embeddings(submitted, cursor.as_deref(), space).await;
    let mut pages = Pages::new(page);
    while let Some(page) = pages.next().await? {
        for line in &page {
            match &mut names {
                Some(names) => {
                    sink.write(&row(line)?)?;
                    let name = MatrixRow { item: &line.item, sha256: line.sha256 };
                    match format {
                        Format::Csv => names.write_csv(&[name], std::mem::take(&mut is_first))?,
                        _ => names.write_line(&name)?,
                    }
                }
                None => sink.write_line(line)?,
            }
        }
        rows += page.len();
    }
    if let Some(names) = names {
        sink.write_start(&npy_header(rows))?;
        names.finish().await?;
    }
    sink.finish().await?;
    note_written(rows, "embeddings", out);
    if view.failed > 0 {
        output::note(&format!(
            "no embedding for {} of {} images; see `subwatch status {submitted}`",
            view.failed, view.items
        ));
        return Ok(Exit::FailedItems);
    }
    Ok(Exit::Done)
}

fn row(line: &EmbeddingView) -> Result<Vec<u8>, CliError> {
    if line.embedding.len() != DIMENSIONS {
        return Err(CliError::failed(format!(
            "the embedding of '{}' has {} dimensions, expected {DIMENSIONS}",
            plain(&line.item),
            line.embedding.len()
        )));
    }
    Ok(Embedding::from_f32(&line.embedding).to_bytes())
}

/// Returns the header of NumPy's format 1.0 (numpy.lib.format) for `rows` × 512 little-endian f16. It has 128 bytes
/// for any number of rows, so it can be replaced when all rows are written.
fn npy_header(rows: usize) -> Vec<u8> {
    const BYTES: usize = 128;
    let shape = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {DIMENSIONS}), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&((BYTES - 10) as u16).to_le_bytes());
    header.extend_from_slice(format!("{shape:width$}\n", width = BYTES - 11).as_bytes());
    header
}

async fn weights(head: &HeadView, out: &str) -> Result<Exit, CliError> {
    require_format(Some(out), &["safetensors"])?;
    let mut sink = Sink::open(Some(out))?;
    sink.write(&safetensors(head).map_err(|error| CliError::failed(error.to_string()))?)?;
    sink.finish().await?;
    output::note(&format!("wrote the weights of run {} to {out}, sha256 {}", head.run, head.weights_sha256));
    Ok(Exit::Done)
}

fn safetensors(head: &HeadView) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let (weight, bias) = (bytes(&head.weight), bytes(&[head.bias]));
    let tensors = [
        ("fc.weight", TensorView::new(Dtype::F32, vec![1, head.weight.len()], &weight)?),
        ("fc.bias", TensorView::new(Dtype::F32, vec![1], &bias)?),
    ];
    let text = |value: &dyn Display| value.to_string();
    let metadata = [
        ("run", text(&head.run)),
        ("space", text(&head.space)),
        ("target", text(&head.target)),
        ("transform", text(&head.transform)),
        ("target_mean", text(&head.target_mean)),
        ("target_std", text(&head.target_std)),
        ("weights_sha256", text(&head.weights_sha256)),
    ];
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    safetensors::serialize(tensors, Some(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_must_not_promise_another_format() {
        for out in [None, Some("-"), Some("x.jsonl"), Some("s3://b/v1.2/x.json"), Some("./x")] {
            assert!(require_format(out, &["jsonl", "json"]).is_ok(), "{out:?}");
        }
        let error = require_format(Some("a/x.parquet"), &["jsonl", "json"]).unwrap_err();
        assert_eq!(error.message, "--out x.parquet: cannot write .parquet files; use one of .jsonl, .json");
    }

    #[test]
    fn npy_header_has_the_same_length_for_any_number_of_rows() {
        for rows in [0, 7, 123_456_789] {
            let header = npy_header(rows);
            assert_eq!((header.len(), header.last()), (128, Some(&b'\n')));
            assert!(String::from_utf8_lossy(&header).contains(&format!("'shape': ({rows}, 512)")));
        }
    }
}
