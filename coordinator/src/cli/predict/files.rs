//! `predict --out`: predictions as files that the workers write.

use clap::Args;
use common::job::output::ShardFormat;

use crate::{
    api::{OutputRequest, OutputView, SubmissionView},
    cli::{
        arguments::{dataset_argument, one_of},
        exit::{CliError, Exit},
        images::argument::ImageArgument,
        output::{self, Format, counted, digits, plain},
    },
};

#[derive(Args)]
pub(super) struct OutputArguments {
    /// Write the predictions of one dataset to files in a new or empty folder or s3:// URL, as the workers see it.
    #[arg(long, value_name = "URL", help_heading = "Batch prediction")]
    out: Option<String>,
    /// Format of the files.
    #[arg(long, value_parser = one_of::<ShardFormat>(ShardFormat::ALL.map(ShardFormat::name)))]
    #[arg(default_value = "parquet", requires = "out", help_heading = "Batch prediction")]
    format: ShardFormat,
    /// Columns of the dataset's metadata to carry along, separated by commas.
    #[arg(long, value_delimiter = ',', requires = "out", help_heading = "Batch prediction")]
    columns: Vec<String>,
    /// Rows per file, and so images per job, up to 1024 [default: 1024].
    #[arg(long, value_name = "N", requires = "out", help_heading = "Batch prediction")]
    shard_rows: Option<u32>,
}

impl OutputArguments {
    /// Returns the requested output of the images that the command names.
    pub(super) fn request(
        &self,
        images: &[ImageArgument],
        format: Format,
    ) -> Result<Option<OutputRequest>, CliError> {
        let Some(out) = &self.out else { return Ok(None) };
        let usage = |message: &str| Err(CliError::new(Exit::Usage, message));
        if !matches!(images, [ImageArgument::Folder(_) | ImageArgument::Dataset(_)]) {
            return usage("--out writes the predictions of one dataset: give one folder or s3:// URL");
        }
        if format == Format::Csv {
            return usage(
                "with --out, the predictions are in files: use --format, and -o json for the summary",
            );
        }
        Ok(Some(OutputRequest {
            folder: dataset_argument(out),
            format: self.format,
            columns: self.columns.clone(),
            shard_rows: self.shard_rows,
        }))
    }
}

/// Prints where the predictions of an ended submission are, and returns the exit code of its outcome.
pub(super) fn print(format: Format, view: &SubmissionView) -> Result<Exit, CliError> {
    output::print_value(format, view, text)?;
    Ok(view.state.into())
}

fn text(view: &SubmissionView) -> String {
    let mut lines = vec![
        format!("submission  {}, {}", view.submission, view.state),
        format!("rows        {}: {} predicted, {} failed", view.items, view.succeeded, view.failed),
    ];
    lines.extend(view.output.as_ref().map(line));
    lines.push(format!(
        "time        {:.1} s, {} images/s",
        view.elapsed_seconds,
        digits(view.items_per_second)
    ));
    lines.join("\n")
}

/// Describes the files of a prediction, as a line of a report.
pub(in crate::cli) fn line(output: &OutputView) -> String {
    let shards = counted(u64::from(output.shards), &format!("{} file", output.format));
    match &output.manifest {
        Some(manifest) => format!("output      {shards}, listed in {}", plain(manifest)),
        None => format!("output      {shards} in {}, incomplete", plain(&output.folder)),
    }
}

#[cfg(test)]
mod tests {
    use common::store::{State, SubmissionKind};

    use super::*;

    #[test]
    fn report_counts_rows_and_names_the_manifest() {
        let output = OutputView {
            folder: "s3://lake/out/".to_owned(),
            format: ShardFormat::Parquet,
            shards: 98,
            manifest: Some("s3://lake/out/_manifest.json".to_owned()),
        };
        let view = SubmissionView {
            kind: SubmissionKind::Predict,
            state: State::CompletedWithErrors,
            items: 100_000,
            succeeded: 99_998,
            failed: 2,
            elapsed_seconds: 25.0,
            items_per_second: 4000.0,
            output: Some(output.clone()),
            ..SubmissionView::example()
        };
        insta::assert_snapshot!(text(&view), @r"
        submission  01890a5d-ac96-774b-bcce-b302099a8057, completed with errors
        rows        100000: 99998 predicted, 2 failed
        output      98 parquet files, listed in s3://lake/out/_manifest.json
        time        25.0 s, 4,000 images/s
        ");
        let unfinished = OutputView { manifest: None, ..output };
        assert_eq!(line(&unfinished), "output      98 parquet files in s3://lake/out/, incomplete");
    }
}
