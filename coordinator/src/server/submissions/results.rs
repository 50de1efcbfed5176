//! The results of a submission's items, and their embeddings, as pages in manifest order.
//!
//! Owns how a manifest and the stored results are read side by side; a cursor counts parts of the manifest.

use common::{
    digest::Digest,
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{Submission, SubmissionKind},
};
use dataset::{files::parts, manifest::ManifestItem, target::Target};

use super::{
    manifest::{Layout, layout},
    view,
};
use crate::{
    api::{EmbeddingView, ItemState, ItemView, Page},
    server::{context::Context, error::RequestError, lookup, runs, spaces},
};

/// Manifest parts that one page of failed items may look through.
const FAILED_PARTS: u32 = 64;
/// Items on one page of results, where a manifest part holds fewer.
const PAGE_ITEMS: u32 = 64;

/// Returns a page of items with their results, in manifest order; the cursor counts manifest parts.
///
/// # Errors
/// When there is no such submission, it has no manifest yet, or store or manifest cannot be read.
pub(crate) async fn results(
    context: &Context,
    id: SubmissionId,
    cursor: Option<&str>,
    failed_only: bool,
) -> Result<Page<ItemView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let Some(layout) = layout(&submission) else { return Ok(Page { items: Vec::new(), next: None }) };
    let target = target(context, &submission).await?;
    let mut part: u32 = lookup::cursor(cursor)?.unwrap_or(0);
    let parts = if failed_only { FAILED_PARTS } else { (PAGE_ITEMS / layout.part_items).max(1) };
    let last = layout.parts().min(part.saturating_add(parts));
    let mut items = Vec::new();
    while part < last {
        let rows = read_part(context, id, &layout, part).await?.into_iter();
        let wanted =
            rows.filter(|(_, result)| !failed_only || result.as_ref().is_some_and(ItemResult::is_failed));
        items.extend(wanted.map(|(item, result)| item_view(item.item, result, target)));
        part += 1;
    }
    Ok(Page { items, next: (part < layout.parts()).then(|| part.to_string()) })
}

/// What a predict submission predicts.
async fn target(context: &Context, submission: &Submission) -> Result<Option<Target>, RequestError> {
    let Some(run) = view::predict_run(submission) else { return Ok(None) };
    match context.store.submission(run).await? {
        Some(run) => Ok(Some(runs::target(&run)?)),
        None => Ok(None),
    }
}

/// Returns a page of the embeddings of an embed submission's items, without those that failed; the
/// cursor counts manifest parts.
///
/// # Errors
/// When there is no such submission, it has not ended, or store or manifest cannot be read.
pub(crate) async fn embeddings(
    context: &Context,
    id: SubmissionId,
    cursor: Option<&str>,
    space: Option<String>,
) -> Result<Page<EmbeddingView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let wanted = submission.kind == SubmissionKind::Embed && submission.state.is_terminal();
    let Some(layout) = layout(&submission).filter(|_| wanted) else {
        let detail = format!("{id} is no embed submission that has ended");
        return Err(RequestError::Conflict(detail));
    };
    let part: u32 = lookup::cursor(cursor)?.unwrap_or(0);
    if part >= layout.jobs() {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let space = spaces::choose(&context.store, space).await?;
    let mut embedded = Vec::new();
    for (item, result) in read_part(context, id, &layout, part).await? {
        if let Some(ItemResult::Embedded { sha256, .. }) = result {
            embedded.push((item.item, sha256));
        }
    }
    let digests: Vec<Digest> = embedded.iter().map(|(_, sha256)| *sha256).collect();
    let found = context.store.embeddings(&space, &digests).await?;
    let mut items = Vec::with_capacity(embedded.len());
    for ((item, sha256), embedding) in embedded.into_iter().zip(found) {
        let lost = || {
            RequestError::NotFound(format!("'{item}' has no embedding in the space {space}: embed it again"))
        };
        let embedding = embedding.ok_or_else(lost)?.to_f32().to_vec();
        items.push(EmbeddingView { item, sha256, embedding });
    }
    Ok(Page { items, next: (part + 1 < layout.jobs()).then(|| (part + 1).to_string()) })
}

/// Reads a part of a manifest, with the results of its items.
async fn read_part(
    context: &Context,
    id: SubmissionId,
    layout: &Layout,
    part: u32,
) -> Result<Vec<(ManifestItem, Option<ItemResult>)>, RequestError> {
    let manifest: Vec<ManifestItem> = parts::read_part(&layout.part(part)).await.map_err(|error| {
        tracing::error!(submission = %id, part, %error, "a manifest part cannot be read");
        RequestError::Unavailable("the submission's manifest cannot be read".to_owned())
    })?;
    let results = context.store.results(id, layout.first_item(part), manifest.len() as u64).await?;
    Ok(manifest.into_iter().zip(results).collect())
}

fn item_view(item: String, result: Option<ItemResult>, target: Option<Target>) -> ItemView {
    let row = ItemView {
        item,
        state: ItemState::Pending,
        sha256: None,
        prediction: None,
        target: None,
        crawled: None,
        error: None,
    };
    match result {
        None => row,
        Some(ItemResult::Embedded { sha256, .. }) => {
            ItemView { state: ItemState::Embedded, sha256: Some(sha256), ..row }
        }
        Some(ItemResult::Predicted { sha256, prediction, .. }) => ItemView {
            state: ItemState::Predicted,
            sha256: Some(sha256),
            prediction: Some(prediction),
            target,
            ..row
        },
        Some(ItemResult::Crawled(crawled)) => {
            ItemView { state: ItemState::Crawled, crawled: Some(crawled), ..row }
        }
        Some(ItemResult::Failed(failure)) => {
            ItemView { state: ItemState::Failed, error: Some(failure.to_string()), ..row }
        }
        Some(ItemResult::Other(other)) => ItemView { state: ItemState::Other(other.state), ..row },
    }
}
