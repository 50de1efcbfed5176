//! Finds the record that a request names, and parses list cursors.

use std::str::FromStr;

use common::{
    ids::SubmissionId,
    store::{Submission, SubmissionKind},
};

use super::{context::Context, error::RequestError};

/// Finds the record of a submission or run.
pub(crate) async fn submission(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let submission = context.store.submission(id).await?;
    submission.ok_or_else(|| {
        RequestError::NotFound(format!("submission or run {id} does not exist or has expired"))
    })
}

/// Finds the record of a run; any other kind of submission is `NotFound`.
pub(crate) async fn run(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let submission = submission(context, id).await?;
    if submission.kind != SubmissionKind::Train {
        return Err(RequestError::NotFound(format!("{id} is a submission, not a run")));
    }
    Ok(submission)
}

/// Parses a cursor: an ID or a part number, as the caller's list has it.
pub(crate) fn cursor<T: FromStr>(text: Option<&str>) -> Result<Option<T>, RequestError> {
    text.map(|text| text.parse().map_err(|_| invalid_cursor(text))).transpose()
}

pub(crate) fn invalid_cursor(text: &str) -> RequestError {
    RequestError::Invalid(format!("invalid cursor '{text}': send `next` of the previous page"))
}
