//! What a request names: the record of a submission or run, and the place in a list that a cursor stands for.

use std::str::FromStr;

use common::{
    ids::SubmissionId,
    store::{Submission, SubmissionKind},
};

use super::{context::Context, error::RequestError};

/// Finds the record of a submission or run.
///
/// # Errors
/// When there is none with this id, or the store does not serve.
pub(crate) async fn submission(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let found = context.store.submission(id).await?;
    found.ok_or_else(|| {
        RequestError::NotFound(format!("there is no submission or run {id}, or it has expired"))
    })
}

/// Finds the record of a run.
///
/// # Errors
/// When there is no run with this id, or the store does not serve.
pub(crate) async fn run(context: &Context, id: SubmissionId) -> Result<Submission, RequestError> {
    let submission = submission(context, id).await?;
    if submission.kind != SubmissionKind::Train {
        return Err(RequestError::NotFound(format!("{id} is no run but a submission")));
    }
    Ok(submission)
}

/// Reads a cursor: an id, or the number of a part.
///
/// # Errors
/// When it is neither.
pub(crate) fn cursor<T: FromStr>(text: Option<&str>) -> Result<Option<T>, RequestError> {
    let parse =
        |text: &str| text.parse().map_err(|_| RequestError::Invalid(format!("'{text}' is no cursor")));
    text.map(parse).transpose()
}
