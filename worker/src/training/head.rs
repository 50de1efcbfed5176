//! The arithmetic of a linear head: predictions, and gradients of the squared error.
//!
//! Owns the order of every floating-point operation. All of it is scalar f32 in a fixed order, without
//! fused multiply-add, so the bits are the same on every machine (see
//! [`common::training::protocol::head_fingerprint`]); vector units still help, since the lanes of `dot` are part
//! of the definition.

use std::collections::HashMap;

use common::{
    embedding::DIMENSIONS,
    training::{
        protocol::GradientSum,
        tree::{Node, leaf_range},
    },
};

/// Independent sums in a dot product.
const LANES: usize = 16;

/// Standardised features of one sample.
pub(super) type Features = [f32; DIMENSIONS];

/// A standardised sample.
pub(super) struct Example {
    pub(super) features: Features,
    pub(super) target: f32,
}

/// Returns the head's output; `parameters` are the weights, then the bias.
pub(super) fn predict(parameters: &[f32], features: &Features) -> f32 {
    dot(&parameters[..DIMENSIONS], features) + parameters[DIMENSIONS]
}

/// Returns the gradient sum of the leaves below `node`, added along the tree. `example` returns the sample at a position
/// of the step, which has `items` samples.
pub(super) fn gradient_sum(
    parameters: &[f32],
    node: Node,
    leaves: u32,
    items: usize,
    example: impl Fn(usize) -> Example,
) -> GradientSum {
    let mut leaf = |leaf| Some(leaf_sum(parameters, leaf_range(leaf, leaves, items).map(&example)));
    node.reduce(&HashMap::new(), &mut leaf, &|a, b| a.plus(&b)).expect("every leaf has a sum")
}

fn leaf_sum(parameters: &[f32], examples: impl Iterator<Item = Example>) -> GradientSum {
    let mut sum = GradientSum::zero();
    for example in examples {
        let error = predict(parameters, &example.features) - example.target;
        let slope = 2.0 * error;
        let (weights, bias) = sum.gradient.split_at_mut(DIMENSIONS);
        for (gradient, feature) in weights.iter_mut().zip(&example.features) {
            *gradient += slope * feature;
        }
        bias[0] += slope;
        sum.squared_error += f64::from(error) * f64::from(error);
    }
    sum
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for at in 0..width {
            lanes[at] += lanes[at + width];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use common::training::protocol::HEAD_PARAMETERS;

    use super::*;

    fn example(at: usize) -> Example {
        let features = std::array::from_fn(|i| ((at * 31 + i * 7) % 13) as f32 / 13.0 - 0.5);
        Example { features, target: at as f32 / 10.0 }
    }

    fn parameters() -> Vec<f32> {
        (0..HEAD_PARAMETERS).map(|i| (i % 5) as f32 / 100.0).collect()
    }

    #[test]
    fn gradients_match_finite_differences() {
        let loss = |parameters: &[f32]| {
            let errors =
                (0..7).map(|at| f64::from(predict(parameters, &example(at).features) - example(at).target));
            errors.map(|error| error * error).sum::<f64>()
        };
        let parameters = parameters();
        let sum = gradient_sum(&parameters, Node::root(4), 4, 7, example);
        assert!((sum.squared_error - loss(&parameters)).abs() < 1e-5);
        for at in [0, 100, DIMENSIONS] {
            let (mut up, mut down) = (parameters.clone(), parameters.clone());
            up[at] += 1e-2;
            down[at] -= 1e-2;
            let slope = (loss(&up) - loss(&down)) / 2e-2;
            assert!((slope - f64::from(sum.gradient[at])).abs() < 1e-2, "{at}: {slope} {}", sum.gradient[at]);
        }
    }

    #[test]
    fn sum_of_two_nodes_has_the_bits_of_their_parent() {
        let parameters = parameters();
        let whole = gradient_sum(&parameters, Node::root(16), 16, 50, example);
        let (left, right) = Node::root(16).children().unwrap();
        let left = gradient_sum(&parameters, left, 16, 50, example);
        let right = gradient_sum(&parameters, right, 16, 50, example);
        assert_eq!(left.plus(&right).to_bytes(), whole.to_bytes());
    }

    #[test]
    fn empty_leaves_add_nothing() {
        let sum = gradient_sum(&parameters(), Node::root(16), 16, 3, example);
        let flat = gradient_sum(&parameters(), Node::root(1), 1, 3, example);
        assert!((sum.squared_error - flat.squared_error).abs() < 1e-9);
    }

    /// The bits are part of the head's fingerprint: a change here needs a new fingerprint.
    #[test]
    fn bits_are_pinned() {
        let sum = gradient_sum(&parameters(), Node::root(16), 16, 50, example);
        assert_eq!(common::digest::Digest::of(&sum.to_bytes()).prefix(16), "9f5c87ae46df9583");
    }
}
