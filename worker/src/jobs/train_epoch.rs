//! The train-epoch job: one node's share of a training step or of an evaluation.
//!
//! Owns nothing but the order of things: fetch the parameters, compute, answer.

use common::{
    ids::SubmissionId,
    job::args::TrainEpochArgs,
    training::{
        protocol::{HEAD_PARAMETERS, Phase, decode_f32, encode_f32},
        tree::node_range,
    },
};

use super::{JobError, Outcome};
use crate::{
    training::{head, run_data::RunData},
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
    // The version first: where the store holds it, it holds the run's data, which was put there before.
    let Some(parameters) = worker.store.parameters(run).await? else { return Ok(Outcome::Stale) };
    if parameters.version != args.version {
        return Ok(Outcome::Stale);
    }
    let cell = worker.runs.of(run);
    let data = cell.get_or_try_init(|| RunData::load(&worker.store, run)).await?;
    let parameters = decode_f32(&parameters.bytes).filter(|values| values.len() == HEAD_PARAMETERS);
    let parameters = parameters
        .ok_or_else(|| JobError::Permanent(format!("the parameters of run {run} are malformed")))?;
    let bytes = compute(data, args, &parameters)?;
    Ok(Outcome::Node { version: args.version, node: args.node, bytes })
}

fn compute(data: &RunData, args: &TrainEpochArgs, parameters: &[f32]) -> Result<Vec<u8>, JobError> {
    let TrainEpochArgs { phase, epoch, step, node, .. } = *args;
    let plan = &data.plan;
    if !node.is_in_tree_over(plan.leaves) || (phase == Phase::Train && step >= plan.steps()) {
        return Err(JobError::Permanent(format!("the run has no step {step} or no leaves {node}")));
    }
    let items = plan.pass_items(phase, step);
    let row = |position| data.row(phase, epoch, step, position);
    Ok(match phase {
        Phase::Train => head::gradient_sum(parameters, node, plan.leaves, items, row).to_bytes(),
        Phase::Valid | Phase::Test => {
            let range = node_range(node, plan.leaves, items);
            let predictions: Vec<f32> =
                range.map(|position| head::predict(parameters, &row(position).features)).collect();
            encode_f32(&predictions)
        }
    })
}
