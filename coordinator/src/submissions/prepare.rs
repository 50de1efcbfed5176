//! Turns a request into an immutable manifest.
//!
//! Owns what the manifest holds: the items with jobs, then the items rejected already. Doing it twice
//! gives the same, so a coordinator that dies here does it again.

use common::{
    ids::SubmissionId,
    outcome::{FailureReason, ItemFailure, ItemResult},
    store::{Opening, State, Submission, SubmissionKind},
};
use data::{
    files::Files,
    imagefolder::{self, Rejected},
    manifest::ManifestItem,
    parts,
};
use url::Url;

use super::{EmbedSpec, Layout, PredictSpec, SubmissionError, read_spec};
use crate::{api::UploadedImage, context::Context};

/// Writes the manifest and opens the submission; one without any good item ends here.
///
/// # Errors
/// When the dataset or the artifacts folder cannot be used, or the store does not serve.
pub(super) async fn prepare(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let source = read_source(context, submission).await?;
    let folder = manifest_folder(context, submission.id)?;
    let layout = Layout {
        dataset: source.dataset,
        folder,
        items: source.items.len() as u64,
        rejected: source.rejected.len() as u64,
        part_items: context.settings.chunk_items,
        labelled: source.labelled,
    };
    write_manifest(&layout, &source.items, &source.rejected).await?;

    let rejected = source.rejected.into_iter().zip(layout.items..);
    let opening = Opening {
        items: layout.items + layout.rejected,
        jobs: layout.jobs(),
        manifest: serde_json::to_value(&layout).expect("a layout is plain data"),
        rejected: rejected.map(|(rejected, index)| (index, ItemResult::Failed(rejected.failure))).collect(),
    };
    context.store.open_submission(submission.id, &opening).await?;
    if opening.jobs == 0 {
        context.store.close_submission(submission.id, State::CompletedWithErrors, None, false).await?;
    }
    Ok(())
}

/// What a submission is about.
struct Source {
    dataset: Option<Url>,
    items: Vec<ManifestItem>,
    rejected: Vec<Rejected>,
    labelled: bool,
}

async fn read_source(context: &Context, submission: &Submission) -> Result<Source, SubmissionError> {
    let (dataset, images) = match submission.kind {
        SubmissionKind::Embed => {
            let EmbedSpec { dataset, images } = read_spec(submission)?;
            (dataset, images)
        }
        SubmissionKind::Predict => {
            let PredictSpec { dataset, images, .. } = read_spec(submission)?;
            (dataset, images)
        }
        SubmissionKind::Train => {
            return Err(SubmissionError::Failed("a run has no items of its own".to_owned()));
        }
    };
    match dataset {
        Some(dataset) => read_dataset(dataset).await,
        None => read_uploads(context, images).await,
    }
}

async fn read_dataset(url: Url) -> Result<Source, SubmissionError> {
    let failed = |error: &dyn std::fmt::Display| SubmissionError::Failed(error.to_string());
    let files = Files::open(&url).map_err(|error| failed(&error))?;
    let dataset = imagefolder::read(&files).await.map_err(|error| failed(&error))?;
    Ok(Source {
        dataset: Some(url),
        items: dataset.items,
        rejected: dataset.rejected,
        labelled: dataset.labelled,
    })
}

async fn read_uploads(context: &Context, images: Vec<UploadedImage>) -> Result<Source, SubmissionError> {
    let mut source = Source { dataset: None, items: Vec::new(), rejected: Vec::new(), labelled: false };
    for image in images {
        match context.store.image_bytes(&image.sha256).await? {
            0 => source.rejected.push(Rejected {
                item: image.item,
                failure: ItemFailure::new(
                    FailureReason::Missing,
                    format!("no image {} was uploaded, or it expired", image.sha256),
                ),
            }),
            bytes => source.items.push(ManifestItem::uploaded(&image.item, bytes, image.sha256)),
        }
    }
    Ok(source)
}

fn manifest_folder(context: &Context, id: SubmissionId) -> Result<Url, SubmissionError> {
    let folder = context.artifacts.join(&format!("manifests/{id}/"));
    folder.map_err(|error| SubmissionError::Failed(format!("the artifacts folder makes no URL: {error}")))
}

async fn write_manifest(
    layout: &Layout,
    items: &[ManifestItem],
    rejected: &[Rejected],
) -> Result<(), SubmissionError> {
    let rejected: Vec<ManifestItem> =
        rejected.iter().map(|rejected| ManifestItem::named(&rejected.item)).collect();
    let part_items = layout.part_items as usize;
    let parts = items.chunks(part_items).chain(rejected.chunks(part_items));
    for (part, items) in parts.enumerate() {
        parts::write_part(&layout.folder, part as u32, items)
            .await
            .map_err(|error| SubmissionError::Failed(format!("the manifest cannot be written: {error}")))?;
    }
    Ok(())
}
