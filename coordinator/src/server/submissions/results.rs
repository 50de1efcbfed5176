//! Pages of a submission's results and embeddings, in manifest order.
//!
//! Joins the manifest with the stored results.

use common::{
    digest::Digest,
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{Submission, SubmissionKind},
};
use dataset::{manifest::ManifestItem, target::Target};

use super::{
    manifest::{Parts, layout},
    view,
};
use crate::{
    api::{EmbeddingView, ItemState, ItemView, Page, ResultsParams},
    server::{context::Context, error::RequestError, lookup, pages::PageSize, runs, spaces},
};

/// Maximum number of manifest parts that one page of results reads, since failed items may be rare.
const PARTS: u32 = 64;

/// Returns a page of items with their results; empty before the submission is prepared. The cursor is the number of the
/// first item.
pub(crate) async fn results(
    context: &Context,
    id: SubmissionId,
    params: &ResultsParams,
) -> Result<Page<ItemView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let Some(layout) = layout(&submission) else { return Ok(Page { items: Vec::new(), next: None }) };
    let target = target(context, &submission).await?;
    let (limit, total) = (params.limit(), layout.items + layout.rejected);
    let manifest = Parts::new(layout);
    let mut next: u64 = lookup::cursor(params.cursor.as_deref())?.unwrap_or(0);
    let mut items = Vec::new();
    let (mut parts, mut size) = (0, PageSize::default());
    while next < total && items.len() < limit && parts < PARTS && !size.is_full() {
        let (part, position) = manifest.layout().part_of(next);
        let first = next;
        for (item, result) in read_part(context, id, &manifest, part).await?.into_iter().skip(position) {
            if items.len() == limit || size.is_full() {
                break;
            }
            next += 1;
            if !params.failed || result.as_ref().is_some_and(ItemResult::is_failed) {
                let view = item_view(item.item, result, target);
                size.add(&view);
                items.push(view);
            }
        }
        if next == first {
            let detail = format!("the manifest of submission {id} lacks items of part {part}");
            return Err(RequestError::Unavailable(detail));
        }
        parts += 1;
    }
    Ok(Page { items, next: (next < total).then(|| next.to_string()) })
}

/// Returns the target of a predict submission.
async fn target(context: &Context, submission: &Submission) -> Result<Option<Target>, RequestError> {
    let Some(run) = view::predict_run(submission) else { return Ok(None) };
    match context.store.submission(run).await? {
        Some(run) => Ok(Some(runs::target(&run)?)),
        None => Ok(None),
    }
}

/// Returns a page of the embeddings of an embed submission, without failed items: at most a manifest part. The cursor
/// is the number of the first item.
///
/// # Errors
/// `Conflict` if it is not an embed submission or has not ended; `NotFound` if the space lacks one of the embeddings.
pub(crate) async fn embeddings(
    context: &Context,
    id: SubmissionId,
    cursor: Option<&str>,
    space: Option<String>,
) -> Result<Page<EmbeddingView>, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let is_ended_embed = submission.kind == SubmissionKind::Embed && submission.state.is_terminal();
    let Some(layout) = layout(&submission).filter(|_| is_ended_embed) else {
        return Err(RequestError::Conflict(match submission.kind {
            SubmissionKind::Embed if submission.state.is_terminal() => {
                format!("embed submission {id} has no items; its state is {}", submission.state)
            }
            SubmissionKind::Embed => {
                format!("embed submission {id} has not ended (state {}): wait for it", submission.state)
            }
            _ => format!("{id} is not an embed submission"),
        }));
    };
    let mut next: u64 = lookup::cursor(cursor)?.unwrap_or(0);
    if next >= layout.items {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let space = match (space, &layout.space) {
        (None, Some(space)) => space.clone(),
        (space, _) => spaces::choose(&context.store, space).await?,
    };
    let (part, position) = layout.part_of(next);
    let manifest = Parts::new(layout);
    let read = read_part(context, id, &manifest, part).await?;
    let embedded: Vec<Digest> =
        read.iter().skip(position).filter_map(|(_, result)| digest(result.as_ref())).collect();
    let mut found = context.store.embeddings(&space, &embedded).await?.into_iter();
    let (mut items, mut size) = (Vec::with_capacity(embedded.len()), PageSize::default());
    for (item, result) in read.into_iter().skip(position) {
        if size.is_full() {
            return Ok(Page { items, next: Some(next.to_string()) });
        }
        next += 1;
        let Some(sha256) = digest(result.as_ref()) else { continue };
        let item = item.item;
        let missing = || {
            RequestError::NotFound(format!(
                "'{item}' has no embedding in the embedding space {space}: embed it again"
            ))
        };
        let embedding = found.next().flatten().ok_or_else(missing)?.to_f32().to_vec();
        let view = EmbeddingView { item, sha256, embedding };
        size.add(&view);
        items.push(view);
    }
    let layout = manifest.layout();
    let next = layout.first_item(part + 1);
    Ok(Page { items, next: (next < layout.items).then(|| next.to_string()) })
}

fn digest(result: Option<&ItemResult>) -> Option<Digest> {
    match result {
        Some(ItemResult::Embedded { sha256, .. }) => Some(*sha256),
        _ => None,
    }
}

/// Reads a manifest part with the results of its items.
async fn read_part(
    context: &Context,
    id: SubmissionId,
    parts: &Parts,
    part: u32,
) -> Result<Vec<(ManifestItem, Option<ItemResult>)>, RequestError> {
    let manifest: Vec<ManifestItem> = parts.read(part).await.map_err(|error| {
        tracing::error!(submission = %id, part, %error, "cannot read a manifest part");
        RequestError::Unavailable(format!("cannot read the manifest of submission {id}"))
    })?;
    let results = context.store.results(id, parts.layout().first_item(part), manifest.len() as u64).await?;
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
