//! Submitting a run, and resuming one that failed.
//!
//! Owns what a run may ask for. The record is written like that of any submission, which wakes the coordinator
//! that leads; what happens next is in `drive`.

use common::{ids::SubmissionId, store::SubmissionKind};

use crate::{
    api::{RunRequest, RunView},
    server::{
        context::Context,
        error::RequestError,
        lookup,
        runs::{self, RunSpec},
        submissions::{self, Caller, Checked},
    },
};

/// Accepts a run. Sent again under the same key, it is the same run.
///
/// # Errors
/// When the request is wrong, not let in, or cannot be recorded.
pub(crate) async fn submit(
    context: &Context,
    request: RunRequest,
    caller: &Caller,
) -> Result<RunView, RequestError> {
    let check = async {
        check(&request)?;
        let dataset = context.roots.resolve(&request.dataset)?;
        let spec = RunSpec { dataset, settings: request.clone().into() };
        Checked::new(SubmissionKind::Train, &spec, None)
    };
    let id = submissions::submit_checked(context, &request, caller, check).await?;
    context.store.open_run(id).await?;
    runs::get(context, id).await
}

fn check(request: &RunRequest) -> Result<(), RequestError> {
    let check =
        |good: bool, what: &str| if good { Ok(()) } else { Err(RequestError::Invalid(what.to_owned())) };
    check((1..=100_000).contains(&request.epochs), "epochs must be between 1 and 100000")?;
    check((1..=1_000_000).contains(&request.batch_size), "batch_size must be between 1 and 1000000")?;
    check((1..=4096).contains(&request.leaves), "leaves must be between 1 and 4096")?;
    check(
        request.learning_rate.is_finite() && request.learning_rate > 0.0,
        "learning_rate must be a positive number",
    )
}

/// Opens a run that failed again; it goes on from its last checkpoint.
///
/// # Errors
/// When there is none with this id, it did not fail, or the store does not serve.
pub(crate) async fn resume(context: &Context, id: SubmissionId) -> Result<RunView, RequestError> {
    let run = lookup::run(context, id).await?;
    // First of all, so that the leader finds it even if this process dies in between.
    context.store.set_active(id).await?;
    if !context.store.reopen_run(id).await? {
        return Err(RequestError::Conflict(format!(
            "run {id} is {}: only a run that failed can be resumed",
            run.state
        )));
    }
    // Again, since a leader that looked in between found it ended and took it off.
    context.store.set_active(id).await?;
    runs::get(context, id).await
}
