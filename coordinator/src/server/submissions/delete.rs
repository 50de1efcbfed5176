//! Deletes ended submissions and runs, to free memory in Redis.
//!
//! A deleted submission is as if its retention had passed. Manifests and the embeddings of images stay.

use common::{
    ids::SubmissionId,
    store::{Deletion, RunDocument, StoreError},
};

use crate::{
    api::DeletedSubmissions,
    server::{context::Context, error::RequestError, lookup},
};

/// Submissions that one request reads, and those that it reads at a time: a record may have megabytes.
const PAGE: usize = 504;
const RECORDS: usize = 8;

/// Deletes one submission or run.
///
/// # Errors
/// `NotFound` if it does not exist; `Conflict` if it has not ended.
pub(crate) async fn delete(context: &Context, id: SubmissionId) -> Result<DeletedSubmissions, RequestError> {
    match delete_submission(context, id).await? {
        Deletion::Deleted => Ok(DeletedSubmissions { deleted: 1, ..DeletedSubmissions::default() }),
        Deletion::Open => Err(RequestError::Conflict(format!(
            "{id} is unfinished: cancel it and, if that has been done, try again in a moment"
        ))),
        Deletion::Missing => {
            Err(RequestError::NotFound(format!("submission or run {id} does not exist or has expired")))
        }
    }
}

/// Deletes those of a page of all submissions and runs that the access token `token` submitted and that have ended.
pub(crate) async fn delete_all_of(
    context: &Context,
    token: &str,
    cursor: Option<&str>,
) -> Result<DeletedSubmissions, RequestError> {
    let mut before: Option<SubmissionId> = lookup::cursor(cursor)?;
    let mut deleted = DeletedSubmissions::default();
    for _ in 0..PAGE / RECORDS {
        let page = context.store.submissions(before, RECORDS).await?;
        let Some(last) = page.last() else { return Ok(deleted) };
        before = Some(last.id);
        for submission in page.iter().filter(|submission| submission.submitted_by.as_deref() == Some(token)) {
            match delete_submission(context, submission.id).await? {
                Deletion::Deleted => deleted.deleted += 1,
                Deletion::Open => deleted.unfinished += 1,
                Deletion::Missing => {}
            }
        }
    }
    deleted.next = before.map(|id| id.to_string());
    Ok(deleted)
}

/// Deletes a submission or, with its embed submission, a run. An embed submission that is just being cancelled stays for
/// its retention.
async fn delete_submission(context: &Context, id: SubmissionId) -> Result<Deletion, StoreError> {
    let embed: Option<SubmissionId> = context.store.document(id, RunDocument::Embed).await?;
    let deletion = context.store.delete_submission(id).await?;
    if let (Deletion::Deleted, Some(embed)) = (deletion, embed) {
        context.store.delete_submission(embed).await?;
    }
    Ok(deletion)
}
