//! Turns a request into an immutable manifest: the items with jobs, then the rejected items.
//!
//! Preparation is idempotent, so after a crash it is repeated. Items are streamed from the dataset to the manifest (see
//! [`dataset::imagefolder`] for what is remembered of each), so an error late in the dataset fails the submission after
//! parts were written. A submission of many items opens with the first of them, and `listing` adds the others.

use std::time::Duration;

use common::{
    embedding::Space,
    ids::SubmissionId,
    job::{
        kind::Kind,
        outcome::{FailureReason, ItemFailure},
        output::Output,
    },
    store::{End, Opening, State, Submission, SubmissionKind},
};
use dataset::{
    files::Files,
    imagefolder::SkippedFiles,
    manifest::{ManifestItem, RejectedItem},
    metadata::{self, MergeError},
};
use url::Url;

use super::{
    SubmissionError,
    crawl::CrawlSpec,
    listing::{self, Listing, Stop},
    manifest::{Layout, Parts},
    manifest_writer::{ManifestWriter, Packing},
    output,
    spec::{EmbedSpec, NamedImage, OutputSpec, PredictSpec, read_spec},
};
use crate::server::{context::Context, spaces};

/// Interval at which a submission looks for a live worker.
const WORKER_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Writes the manifest and opens the submission. A submission without a valid item ends here. One that opens while its
/// dataset is still being listed returns the listing, for [`listing::list`].
pub(super) async fn prepare(
    context: &Context,
    submission: &Submission,
) -> Result<Option<Listing>, SubmissionError> {
    let mut requested = None;
    let (dataset, images, wanted) = match submission.kind {
        SubmissionKind::Crawl => return prepare_crawl(context, submission).await.map(|()| None),
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
    let columns = requested.as_ref().map(OutputSpec::columns).transpose()?;
    let part_items = requested.as_ref().map_or(context.settings.jobs.chunk_items, |output| output.shard_rows);
    let packing = packing(context).await?;
    let is_dataset = dataset.is_some();
    let unlisted = unlisted(dataset, folder.clone(), part_items);
    let (layout, columns) = if is_dataset {
        // All shards have one schema, which is known at the end of the dataset. Only workers that read ranges of files can
        // run jobs while the number of files is unknown.
        let may_stream = requested.is_none() && packing == Packing::Many;
        let manifest = match may_stream {
            true => ManifestWriter::growing(folder, part_items, None),
            false => ManifestWriter::new(folder, part_items, packing),
        };
        let mut listing = Listing::open(submission, unlisted, manifest, columns).await?;
        loop {
            match listing.next_file(context, submission.id, State::Preparing).await? {
                Stop::End => break listing.finish().await?,
                Stop::Closed => return Ok(None),
                Stop::File if may_stream => {
                    if open_early(context, submission, &wanted, &mut listing).await? {
                        return Ok(Some(listing));
                    }
                }
                Stop::File => {}
            }
        }
    } else {
        // A user waits for few images, and an index would be another file to write.
        let packing = if images.len() <= part_items as usize { Packing::One } else { packing };
        let mut manifest = ManifestWriter::new(folder, part_items, packing);
        write_uploads(context, images, &mut manifest).await?;
        (manifest.finish().await?.layout(unlisted), columns)
    };
    let output = match (requested, columns) {
        (Some(OutputSpec { folder, format, .. }), Some(columns)) => {
            let columns = columns.finish().map_err(SubmissionError::Failed)?;
            Some(Output { folder, format, columns })
        }
        _ => None,
    };
    let space =
        if layout.items == 0 { wanted.space } else { decide_space(context, submission, &wanted).await? };
    open(context, submission.id, Layout { space, output, ..layout }).await?;
    Ok(None)
}

/// Opens a submission with the jobs that are listed so far, unless it takes a live worker to decide on their space. Returns
/// whether it did, or found it closed.
async fn open_early(
    context: &Context,
    submission: &Submission,
    wanted: &WantedSpace,
    listing: &mut Listing,
) -> Result<bool, SubmissionError> {
    let WantedSpace { kind, space, uniform_hardware } = wanted;
    let space = spaces::decide(&context.store, *kind, space.as_ref(), *uniform_hardware).await?;
    let Some(space) = space else { return Ok(false) };
    listing.set_space(space);
    let layout = listing.so_far().await?;
    context.store.open_submission(submission.id, &opening(&layout, End::Listing)).await?;
    Ok(true)
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
        manifest.add(&item).await?;
    }
    let written = manifest.finish().await?;
    let unlisted = Layout { labelled: true, ..unlisted(Some(spec.out), folder, part_items) };
    open(context, submission.id, written.layout(unlisted)).await
}

/// Returns how many parts a file of the manifest may have. A worker of an earlier version reads a file as one part.
async fn packing(context: &Context) -> Result<Packing, SubmissionError> {
    let workers = context.store.workers().await?;
    let mut live = workers.iter().filter(|worker| worker.is_live());
    Ok(if live.all(|worker| worker.record.reads_ranges) { Packing::Many } else { Packing::One })
}

/// Returns the layout of a manifest before its items are listed.
fn unlisted(dataset: Option<Url>, folder: Url, part_items: u32) -> Layout {
    Layout {
        dataset,
        folder,
        items: 0,
        rejected: 0,
        part_items,
        item_files: Vec::new(),
        rejected_files: Vec::new(),
        labelled: false,
        without_row: 0,
        skipped_files: SkippedFiles::default(),
        space: None,
        output: None,
        listing: None,
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

async fn write_uploads(
    context: &Context,
    images: Vec<NamedImage>,
    manifest: &mut ManifestWriter,
) -> Result<(), SubmissionError> {
    for image in images {
        match context.store.image_bytes(&image.sha256).await? {
            0 => {
                let detail = format!("image {} was not uploaded or has expired", image.sha256);
                let failure = ItemFailure::new(FailureReason::Missing, detail);
                manifest.reject(&RejectedItem { item: ManifestItem::named(&image.item), failure }).await?;
            }
            bytes => drop(manifest.add(&ManifestItem::uploaded(&image.item, bytes, image.sha256)).await?),
        }
    }
    Ok(())
}

/// Records the failures of rejected items, then opens the submission.
async fn open(context: &Context, id: SubmissionId, layout: Layout) -> Result<(), SubmissionError> {
    let parts = Parts::new(layout);
    listing::reject_items(context, id, &parts).await?;
    let layout = parts.layout();
    let end = if layout.output.is_some() { End::Output } else { End::LastJob };
    let opening = opening(layout, end);
    context.store.open_submission(id, &opening).await?;
    if opening.jobs == 0 && opening.end == End::LastJob {
        context.store.close_submission(id, State::CompletedWithErrors, None, false).await?;
    }
    Ok(())
}

fn opening(layout: &Layout, end: End) -> Opening {
    Opening {
        items: layout.items + layout.rejected,
        jobs: layout.jobs(),
        manifest: serde_json::to_value(layout).expect("a layout is plain data"),
        rejected: layout.rejected,
        end,
    }
}

fn manifest_folder(context: &Context, id: SubmissionId) -> Result<Url, SubmissionError> {
    let folder = context.artifacts.join(&format!("manifests/{id}/"));
    folder.map_err(|error| {
        SubmissionError::Failed(format!("cannot make the URL of the manifest folder: {error}"))
    })
}
