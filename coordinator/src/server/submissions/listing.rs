//! Lists a dataset into a submission's manifest, file by file.
//!
//! The submission opens when the first file is written, and the task of [`list`] adds the jobs of each further one,
//! while the first are published and run. Invariants: what is recorded never changes; jobs are published of recorded
//! items only; rejected items follow all items with jobs, so they are recorded last. A leader that takes over lists the
//! dataset again and continues behind what is recorded, which must be the same.

use common::{
    embedding::Space,
    ids::SubmissionId,
    job::outcome::{FailureReason, ItemFailure, ItemResult},
    store::{State, Submission, SubmissionKind},
};
use dataset::{
    files::Files,
    imagefolder::{Dataset, Entry},
    manifest::{ManifestItem, RejectedItem},
    shards::Columns,
};
use tokio::sync::watch;

use super::{
    SubmissionError,
    manifest::{Layout, Parts, layout},
    manifest_writer::{ManifestWriter, Recorded, WriteError},
    spec::{EmbedSpec, read_spec},
};
use crate::server::context::Context;

/// Entries between two checks for cancellation.
const CHECK_EVERY: u64 = 16_384;

/// A dataset that is being listed.
pub(super) struct Listing {
    dataset: Dataset,
    manifest: ManifestWriter,
    columns: Option<Columns>,
    /// Whether images without a row are left out, since a run has no label for them.
    rows_only: bool,
    /// Entries read so far.
    read: u64,
    /// The layout without its items.
    layout: Layout,
}

/// Where a listing has stopped.
pub(super) enum Stop {
    /// A file of the manifest is complete.
    File,
    /// All items are listed.
    End,
    /// The submission was closed meanwhile.
    Closed,
}

impl Listing {
    /// Opens the dataset of `layout`. Its items go to `manifest`, with the values of `columns`.
    pub(super) async fn open(
        submission: &Submission,
        layout: Layout,
        manifest: ManifestWriter,
        columns: Option<Columns>,
    ) -> Result<Self, SubmissionError> {
        let failed = |error: &dyn std::fmt::Display| SubmissionError::Failed(error.to_string());
        let url = layout.dataset.as_ref().ok_or_else(|| failed(&"the submission has no dataset"))?;
        let files = Files::open(url).map_err(|error| failed(&error))?;
        let dataset = Dataset::open(&files).await.map_err(|error| failed(&error))?;
        let rows_only = submission.kind == SubmissionKind::Embed
            && read_spec::<EmbedSpec>(submission)?.rows_only
            && dataset.is_labelled();
        let layout = Layout { labelled: dataset.is_labelled(), ..layout };
        Ok(Self { dataset, manifest, columns, rows_only, read: 0, layout })
    }

    /// Opens the dataset again, to continue behind the items that `layout` has recorded.
    async fn resume(submission: &Submission, layout: Layout) -> Result<Self, SubmissionError> {
        let recorded = layout.listing.map(|digest| Recorded {
            items: layout.items,
            files: layout.item_files.clone(),
            digest,
        });
        let manifest = ManifestWriter::growing(layout.folder.clone(), layout.part_items, recorded);
        let unlisted = Layout { without_row: 0, ..layout };
        Self::open(submission, unlisted, manifest, None).await
    }

    /// Sets the space of the jobs.
    pub(super) fn set_space(&mut self, space: Space) {
        self.layout.space = Some(space);
    }

    /// Lists items until a file of the manifest is complete. `state` is that of the submission.
    pub(super) async fn next_file(
        &mut self,
        context: &Context,
        id: SubmissionId,
        state: State,
    ) -> Result<Stop, SubmissionError> {
        let failed = |error: &dyn std::fmt::Display| SubmissionError::Failed(error.to_string());
        while let Some(entry) = self.dataset.next().await.map_err(|error| failed(&error))? {
            let completes_file = self.add(entry).await?;
            self.read += 1;
            if self.read.is_multiple_of(CHECK_EVERY) {
                if context.stop.is_cancelled() {
                    return Err(SubmissionError::Stopping);
                }
                if context.store.state(id).await? != Some(state) {
                    return Ok(Stop::Closed);
                }
            }
            if completes_file {
                return Ok(Stop::File);
            }
        }
        Ok(Stop::End)
    }

    /// Adds an entry to the manifest. Returns whether a file is complete with it. Images without a row are items, except
    /// for training, which counts them.
    async fn add(&mut self, entry: Entry) -> Result<bool, SubmissionError> {
        let row = self.dataset.row();
        let values = self.columns.as_mut().map_or(Ok(Vec::new()), |columns| columns.read(row));
        let rejected = match (entry, values) {
            (Entry::Item(item), Ok(values)) => {
                self.layout.without_row += u64::from(item.without_row);
                if item.without_row && self.rows_only {
                    return Ok(false);
                }
                return Ok(self.manifest.add(&ManifestItem { values, ..item }).await?);
            }
            (Entry::Item(item), Err(detail)) => {
                RejectedItem { item, failure: ItemFailure::new(FailureReason::InvalidRow, detail) }
            }
            // Values that could not be read are null.
            (Entry::Rejected(rejected), values) => {
                let item = ManifestItem {
                    values: values.unwrap_or_default(),
                    ..ManifestItem::named(&rejected.item)
                };
                RejectedItem { item, failure: rejected.failure }
            }
            (Entry::Duplicate(duplicate), _) => {
                return Err(SubmissionError::Failed(format!(
                    "{duplicate}; `subwatch dataset check` lists all of them"
                )));
            }
        };
        self.manifest.reject(&rejected).await?;
        Ok(false)
    }

    /// Returns the layout of the items in complete files, once those are written. Call it after [`Stop::File`].
    pub(super) async fn so_far(&mut self) -> Result<Layout, SubmissionError> {
        let written = self.manifest.so_far().await?;
        let listing = written.digest;
        Ok(Layout { listing, ..written.layout(self.layout.clone()) })
    }

    /// Writes the last files. Returns the layout of all items, and the columns.
    pub(super) async fn finish(mut self) -> Result<(Layout, Option<Columns>), SubmissionError> {
        let written = self.manifest.finish().await?;
        let skipped_files = self.dataset.skipped_files().clone();
        let layout = Layout { skipped_files, listing: None, ..written.layout(self.layout) };
        Ok((layout, self.columns))
    }
}

/// Lists the rest of the dataset of an open submission and records it. Continues `listing`, or lists the dataset again.
/// `progress` is notified of more jobs, and false once all are recorded.
pub(super) async fn list(
    context: &Context,
    submission: &Submission,
    listing: Option<Listing>,
    progress: &watch::Sender<bool>,
) -> Result<(), SubmissionError> {
    let id = submission.id;
    let extend = async |layout: &Layout| {
        let manifest = serde_json::to_value(layout).expect("a layout is plain data");
        let is_open = context.store.extend_submission(id, layout.items, layout.jobs(), &manifest).await?;
        progress.send_replace(true);
        Ok::<_, SubmissionError>(is_open)
    };
    let unreadable = || SubmissionError::Failed("cannot read the submission's manifest".to_owned());
    let mut layout = layout(submission).ok_or_else(unreadable)?;
    // Otherwise all items are recorded, and the rejected ones remain.
    if layout.listing.is_some() {
        let mut listing = match listing {
            Some(listing) => listing,
            None => {
                tracing::info!(submission = %id, recorded = layout.items, "listing the dataset again");
                Listing::resume(submission, layout).await?
            }
        };
        loop {
            match listing.next_file(context, id, State::Running).await? {
                Stop::File if extend(&listing.so_far().await?).await? => {}
                Stop::File | Stop::Closed => return Ok(()),
                Stop::End => break,
            }
        }
        (layout, _) = listing.finish().await?;
        if !extend(&layout).await? {
            return Ok(());
        }
    }
    let parts = Parts::new(layout);
    reject_items(context, id, &parts).await?;
    let layout = parts.layout();
    let manifest = serde_json::to_value(layout).expect("a layout is plain data");
    context.store.complete_listing(id, layout.rejected, layout.items, layout.jobs(), &manifest).await?;
    progress.send_replace(false);
    Ok(())
}

/// Records the failures of the rejected items.
pub(super) async fn reject_items(
    context: &Context,
    id: SubmissionId,
    parts: &Parts,
) -> Result<(), SubmissionError> {
    let layout = parts.layout();
    for part in layout.jobs()..layout.parts() {
        let rejected: Vec<RejectedItem> = parts
            .read(part)
            .await
            .map_err(|error| SubmissionError::Failed(format!("cannot read back the manifest: {error}")))?;
        let failures = rejected.into_iter().map(|rejected| ItemResult::Failed(rejected.failure));
        let failures: Vec<(u64, ItemResult)> = (layout.first_item(part)..).zip(failures).collect();
        context.store.reject_items(id, &failures).await?;
    }
    Ok(())
}

impl From<WriteError> for SubmissionError {
    fn from(error: WriteError) -> Self {
        Self::Failed(error.to_string())
    }
}
