//! The train-epoch job: one node's share of a training step or of an evaluation pass.

use common::{
    ids::SubmissionId,
    job::args::TrainEpochArgs,
    priority::Priority,
    training::protocol::{HEAD_PARAMETERS, decode_f32},
};

use crate::{
    outcome::{JobError, Outcome},
    training::node,
    worker::Worker,
};

/// Computes the gradient sum or the predictions of a node.
///
/// # Errors
/// `JobError::Permanent` if the run's data is missing or malformed.
pub(super) async fn run(
    worker: &Worker,
    run: SubmissionId,
    args: &TrainEpochArgs,
) -> Result<Outcome, JobError> {
    const STALE: Outcome = Outcome::Ignored("the job is for an older version of the parameters");
    // Check the version first: the run's data is stored before its parameters, so it exists if they do.
    let Some(parameters) = worker.store.parameters(run).await? else { return Ok(STALE) };
    if parameters.version != args.version {
        return Ok(STALE);
    }
    let data = worker.runs.load(&worker.store, run).await?;
    let parameters = decode_f32(&parameters.bytes).filter(|values| values.len() == HEAD_PARAMETERS);
    let parameters = parameters
        .ok_or_else(|| JobError::Permanent(format!("the parameters of run {run} are malformed")))?;
    let TrainEpochArgs { version, step, node, .. } = *args;
    let args = args.clone();
    let result = worker.trainer.run(Priority::Bulk, move || node::compute(&args, &data, &parameters)).await;
    let bytes = result
        .ok_or_else(|| JobError::Permanent(format!("run {run} has no step {step} or no leaves {node}")))?;
    Ok(Outcome::Node { version, node, bytes })
}
