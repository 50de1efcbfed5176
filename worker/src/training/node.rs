//! The result of one node of a training pass: a gradient sum, or predictions.
//!
//! A single thread computes a result, so its bits do not depend on the machine.

use common::{
    job::args::TrainEpochArgs,
    training::{
        protocol::{Phase, encode_f32},
        tree::node_range,
    },
};

use super::{head, run_data::RunData};

/// Computes the encoded result; `None` if `step` or `node` is out of range. Blocks.
#[must_use]
pub fn compute(args: &TrainEpochArgs, data: &RunData, parameters: &[f32]) -> Option<Vec<u8>> {
    let TrainEpochArgs { phase, epoch, step, node, .. } = *args;
    let plan = &data.plan;
    if !node.is_in_tree_over(plan.leaves) || (phase == Phase::Train && step >= plan.steps()) {
        return None;
    }
    let items = plan.pass_items(phase, step);
    let example = |position| data.example(phase, epoch, step, position);
    Some(match phase {
        Phase::Train => head::gradient_sum(parameters, node, plan.leaves, items, example).to_bytes(),
        Phase::Valid | Phase::Test => {
            let range = node_range(node, plan.leaves, items);
            let predictions: Vec<f32> =
                range.map(|position| head::predict(parameters, &example(position).features)).collect();
            encode_f32(&predictions)
        }
    })
}
