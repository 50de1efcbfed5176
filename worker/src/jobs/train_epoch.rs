//! The train-epoch job: one node's share of a training step or of an evaluation.
//!
//! Owns nothing but the order of things: fetch the parameters, compute, answer.

use common::{
    ids::SubmissionId,
    job::args::TrainEpochArgs,
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
/// When the run's data is gone or malformed, or the store does not serve.
pub(super) async fn run(
    worker: &Worker,
    run: SubmissionId,
    args: &TrainEpochArgs,
) -> Result<Outcome, JobError> {
    const STALE: Outcome = Outcome::Ignored("a newer version of it exists");
    // The version first: where the store holds it, it holds the run's data, which was put there before.
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
    let answer = worker.trainer.run(move || node::answer(&args, &data, &parameters)).await;
    let bytes = answer
        .ok_or_else(|| JobError::Permanent(format!("the run has no step {step} or no leaves {node}")))?;
    Ok(Outcome::Node { version, node, bytes })
}
