//! Stopping a submission or run early.

use common::{
    ids::SubmissionId,
    store::{State, SubmissionKind},
};

use super::view;
use crate::{
    api::SubmissionView,
    server::{context::Context, error::RequestError, lookup},
};

/// Stops a submission or run: nothing more is published, and what is queued is dropped as it is met.
///
/// # Errors
/// When there is none with this id, it has ended already, or the store does not serve.
pub(crate) async fn cancel(context: &Context, id: SubmissionId) -> Result<SubmissionView, RequestError> {
    let submission = lookup::submission(context, id).await?;
    let keep = submission.kind == SubmissionKind::Train;
    if !context.store.close_submission(id, State::Cancelled, None, keep).await? {
        let state = lookup::submission(context, id).await?.state;
        return Err(RequestError::Conflict(format!("{id} has ended already: it is {state}")));
    }
    view::get(context, id).await
}
