//! Turns a request into an immutable manifest: the items with jobs, then the rejected items.
//!
//! Preparation is idempotent, so after a crash it is repeated. Items are streamed from the dataset to the manifest (see
//! [`dataset::imagefolder`] for what is remembered of each), so an error late in the dataset fails the submission after
//! parts were written.

use std::time::Duration;

use common::{
    embedding::Space,
    ids::SubmissionId,
    job::{
        kind::Kind,
        outcome::{FailureReason, ItemFailure, ItemResult},
        output::Output,
    },
    store::{Opening, State, Submission, SubmissionKind},
};
use dataset::{
    files::{Files, parts::PartError},
    imagefolder::{Dataset, Entry, SkippedFiles},
    manifest::{ManifestItem, RejectedItem},
    metadata::{self, MergeError},
    shards::Columns,
};
use url::Url;

use super::{
    SubmissionError,
    crawl::CrawlSpec,
    manifest::{Layout, Parts},
    manifest_writer::{ManifestWriter, Packing, Written},
    output,
    spec::{EmbedSpec, NamedImage, OutputSpec, PredictSpec, read_spec},
};
use crate::server::{context::Context, spaces};

/// Interval at which a submission looks for a live worker.
const WORKER_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Items between two checks for cancellation.
const CHECK_EVERY: u64 = 16_384;

/// Writes the manifest and opens the submission. A submission without a valid item ends here.
pub(super) async fn prepare(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let mut requested = None;
    let (dataset, images, wanted) = match submission.kind {
        SubmissionKind::Crawl => return prepare_crawl(context, submission).await,
        SubmissionKind::Embed => {
            let EmbedSpec { dataset, images, space, uniform_hardware, .. } = read_spec(submission)?;
            (dataset, images, WantedSpace { kind: Kind::Embed, space, uniform_hardware })
        }
        SubmissionKind::Predict => {
            let PredictSpec { dataset, images, space, uniform_hardware, output, .. } = read_spec(submission)?;
            requested = output;
            (dataset, images, WantedSpace { kind: Kind::Predict, space, uniform_hardware })
        }
        SubmissionKind::Train => {
            return Err(SubmissionError::Failed("a training run is not a submission of items".to_owned()));
        }
    };
    let folder = manifest_folder(context, submission.id)?;
    if let Some(output) = &requested {
        output::claim(submission, output).await?;
    }
    let mut columns = requested.as_ref().map(OutputSpec::columns).transpose()?;
    let part_items = requested.as_ref().map_or(context.settings.jobs.chunk_items, |output| output.shard_rows);
    let mut manifest = ManifestWriter::new(folder.clone(), part_items, packing(context).await?);
    let read = match &dataset {
        Some(dataset) => {
            match write_dataset(context, submission, dataset, columns.as_mut(), &mut manifest).await? {
                Some(read) => read,
                None => return Ok(()),
            }
        }
        None => {
            write_uploads(context, images, &mut manifest).await?;
            ReadDataset::default()
        }
    };
    let written = manifest.finish().await.map_err(|error| unwritten(&error))?;
    let output = match (requested, columns) {
        (Some(OutputSpec { folder, format, .. }), Some(columns)) => {
            let columns = columns.finish().map_err(SubmissionError::Failed)?;
            Some(Output { folder, format, columns })
        }
        _ => None,
    };
    let space =
        if written.items == 0 { wanted.space } else { decide_space(context, submission, &wanted).await? };
    let layout = Layout { space, output, ..layout(dataset, folder, part_items, written, read) };
    open(context, submission.id, layout).await
}

/// Writes the manifest of a crawl. A job has one item: a channel, or a slice of the video list.
async fn prepare_crawl(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let spec: CrawlSpec = read_spec(submission)?;
    let files = Files::open(&spec.out).map_err(|error| SubmissionError::Failed(error.to_string()))?;
    if let Err(error @ MergeError::OtherFormat(_)) = metadata::require_writable(&files).await {
        return Err(SubmissionError::Failed(error.to_string()));
    }
    let folder = manifest_folder(context, submission.id)?;
    let part_items = CrawlSpec::PART_ITEMS;
    let mut manifest = ManifestWriter::new(folder.clone(), part_items, packing(context).await?);
    for item in spec.items() {
        manifest.add(&item).await.map_err(|error| unwritten(&error))?;
    }
    let written = manifest.finish().await.map_err(|error| unwritten(&error))?;
    let read = ReadDataset { labelled: true, ..ReadDataset::default() };
    open(context, submission.id, layout(Some(spec.out), folder, part_items, written, read)).await
}

/// Returns how many parts a file of the manifest may have. A worker of an earlier version reads a file as one part.
async fn packing(context: &Context) -> Result<Packing, SubmissionError> {
    let workers = context.store.workers().await?;
    let mut live = workers.iter().filter(|worker| worker.is_live());
    Ok(if live.all(|worker| worker.record.reads_ranges) { Packing::Many } else { Packing::One })
}

fn layout(dataset: Option<Url>, folder: Url, part_items: u32, written: Written, read: ReadDataset) -> Layout {
    let Written { items, rejected, item_files, rejected_files } = written;
    let ReadDataset { labelled, without_row, skipped_files } = read;
    Layout {
        dataset,
        folder,
        items,
        rejected,
        part_items,
        item_files,
        rejected_files,
        labelled,
        without_row,
        skipped_files,
        space: None,
        output: None,
    }
}

/// What a submission asks for.
struct WantedSpace {
    kind: Kind,
    space: Option<Space>,
    uniform_hardware: bool,
}

/// Returns the space in which the submission's jobs are to run. Waits for a live worker if it takes one to decide; `None` if
/// the submission was closed meanwhile.
async fn decide_space(
    context: &Context,
    submission: &Submission,
    wanted: &WantedSpace,
) -> Result<Option<Space>, SubmissionError> {
    let WantedSpace { kind, space, uniform_hardware } = wanted;
    loop {
        let space = spaces::decide(&context.store, *kind, space.as_ref(), *uniform_hardware).await?;
        if space.is_some() || context.store.state(submission.id).await? != Some(State::Preparing) {
            return Ok(space);
        }
        if let Some(deadline_ms) = submission.deadline_ms
            && context.store.now_ms().await? > deadline_ms
        {
            return Err(SubmissionError::Failed(format!(
                "the deadline has passed, and no live worker runs {kind} jobs"
            )));
        }
        tokio::select! {
            () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
            () = tokio::time::sleep(WORKER_POLL_INTERVAL) => {}
        }
    }
}

/// A summary of a dataset that was read.
#[derive(Default)]
struct ReadDataset {
    labelled: bool,
    without_row: u64,
    skipped_files: SkippedFiles,
}

/// Writes the items of a dataset. Returns `None` if the submission was closed meanwhile. Images without a row are
/// items, except for training, which counts them.
async fn write_dataset(
    context: &Context,
    submission: &Submission,
    url: &Url,
    mut columns: Option<&mut Columns>,
    manifest: &mut ManifestWriter,
) -> Result<Option<ReadDataset>, SubmissionError> {
    let id = submission.id;
    let failed = |error: &dyn std::fmt::Display| SubmissionError::Failed(error.to_string());
    let files = Files::open(url).map_err(|error| failed(&error))?;
    let mut dataset = Dataset::open(&files).await.map_err(|error| failed(&error))?;
    let is_skipping = submission.kind == SubmissionKind::Embed
        && read_spec::<EmbedSpec>(submission)?.rows_only
        && dataset.is_labelled();
    let (mut read, mut without_row) = (0_u64, 0);
    while let Some(entry) = dataset.next().await.map_err(|error| failed(&error))? {
        let values = columns.as_mut().map_or(Ok(Vec::new()), |columns| columns.read(dataset.row()));
        let written = match (entry, values) {
            (Entry::Item(item), Ok(values)) => {
                without_row += u64::from(item.without_row);
                let item = ManifestItem { values, ..item };
                if item.without_row && is_skipping { Ok(()) } else { manifest.add(&item).await }
            }
            (Entry::Item(item), Err(detail)) => {
                let failure = ItemFailure::new(FailureReason::InvalidRow, detail);
                manifest.reject(&RejectedItem { item, failure }).await
            }
            // Values that could not be read are null.
            (Entry::Rejected(rejected), values) => {
                let item = ManifestItem {
                    values: values.unwrap_or_default(),
                    ..ManifestItem::named(&rejected.item)
                };
                manifest.reject(&RejectedItem { item, failure: rejected.failure }).await
            }
            (Entry::Duplicate(duplicate), _) => {
                return Err(SubmissionError::Failed(format!(
                    "{duplicate}; `subwatch dataset check` lists all of them"
                )));
            }
        };
        written.map_err(|error| unwritten(&error))?;
        read += 1;
        if read.is_multiple_of(CHECK_EVERY) {
            if context.stop.is_cancelled() {
                return Err(SubmissionError::Stopping);
            }
            if context.store.state(id).await? != Some(State::Preparing) {
                return Ok(None);
            }
        }
    }
    let skipped_files = dataset.skipped_files().clone();
    Ok(Some(ReadDataset { labelled: dataset.is_labelled(), without_row, skipped_files }))
}

async fn write_uploads(
    context: &Context,
    images: Vec<NamedImage>,
    manifest: &mut ManifestWriter,
) -> Result<(), SubmissionError> {
    for image in images {
        let written = match context.store.image_bytes(&image.sha256).await? {
            0 => {
                let detail = format!("image {} was not uploaded or has expired", image.sha256);
                let failure = ItemFailure::new(FailureReason::Missing, detail);
                manifest.reject(&RejectedItem { item: ManifestItem::named(&image.item), failure }).await
            }
            bytes => manifest.add(&ManifestItem::uploaded(&image.item, bytes, image.sha256)).await,
        };
        written.map_err(|error| unwritten(&error))?;
    }
    Ok(())
}

/// Records the failures of rejected items, then opens the submission.
async fn open(context: &Context, id: SubmissionId, layout: Layout) -> Result<(), SubmissionError> {
    let unreadable =
        |error: PartError| SubmissionError::Failed(format!("cannot read back the manifest: {error}"));
    let parts = Parts::new(layout);
    let layout = parts.layout();
    for part in layout.jobs()..layout.parts() {
        let rejected: Vec<RejectedItem> = parts.read(part).await.map_err(unreadable)?;
        let failures = rejected.into_iter().map(|rejected| ItemResult::Failed(rejected.failure));
        let failures: Vec<(u64, ItemResult)> = (layout.first_item(part)..).zip(failures).collect();
        context.store.reject_items(id, &failures).await?;
    }
    let opening = Opening {
        items: layout.items + layout.rejected,
        jobs: layout.jobs(),
        manifest: serde_json::to_value(layout).expect("a layout is plain data"),
        rejected: layout.rejected,
        has_output: layout.output.is_some(),
    };
    context.store.open_submission(id, &opening).await?;
    if opening.jobs == 0 && !opening.has_output {
        context.store.close_submission(id, State::CompletedWithErrors, None, false).await?;
    }
    Ok(())
}

fn manifest_folder(context: &Context, id: SubmissionId) -> Result<Url, SubmissionError> {
    let folder = context.artifacts.join(&format!("manifests/{id}/"));
    folder.map_err(|error| {
        SubmissionError::Failed(format!("cannot make the URL of the manifest folder: {error}"))
    })
}

fn unwritten(error: &PartError) -> SubmissionError {
    SubmissionError::Failed(format!("cannot write the manifest: {error}"))
}
