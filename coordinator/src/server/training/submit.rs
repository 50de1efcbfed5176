//! Submits a run, or resumes one that failed.
//!
//! Owns the checks of a request. Writing the record notifies the leader, which continues in `drive`.

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

/// Submits a run. Repeating a request with its idempotency key returns the first run.
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
    let RunRequest { epochs, batch_size, leaves, learning_rate, .. } = *request;
    let check = |valid: bool, field: &str, value: &dyn std::fmt::Display, range: &str| match valid {
        true => Ok(()),
        false => Err(RequestError::Invalid(format!("{field} is {value}: it must be {range}"))),
    };
    check((1..=100_000).contains(&epochs), "epochs", &epochs, "between 1 and 100000")?;
    check((1..=1_000_000).contains(&batch_size), "batch_size", &batch_size, "between 1 and 1000000")?;
    check((1..=4096).contains(&leaves), "leaves", &leaves, "between 1 and 4096")?;
    let is_positive = learning_rate.is_finite() && learning_rate > 0.0;
    check(is_positive, "learning_rate", &learning_rate, "a positive number")
}

/// Reopens a failed run, which continues from its last checkpoint.
///
/// # Errors
/// `NotFound` if the run does not exist; `Conflict` if it has not failed.
pub(crate) async fn resume(context: &Context, id: SubmissionId) -> Result<RunView, RequestError> {
    let run = lookup::run(context, id).await?;
    // Before it is reopened, so that the leader finds the run even if this process dies in between.
    context.store.set_active(id).await?;
    if !context.store.reopen_run(id).await? {
        return Err(RequestError::Conflict(format!(
            "only a failed run can be resumed: the state of {id} is {}",
            run.state
        )));
    }
    // Again: a leader may have seen the ended run in between and set it inactive.
    context.store.set_active(id).await?;
    runs::get(context, id).await
}
