//! Adam (Kingma & Ba 2015, algorithm 1), with PyTorch's defaults: β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
//!
//! Each element is updated independently in f32, so the result depends on the inputs alone.

use common::training::protocol::hex_f32;
use serde::{Deserialize, Serialize};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Adam {
    learning_rate: f64,
    step: i32,
    #[serde(with = "hex_f32")]
    first_moment: Vec<f32>,
    #[serde(with = "hex_f32")]
    second_moment: Vec<f32>,
}

impl Adam {
    pub(super) fn new(parameters: usize, learning_rate: f64) -> Self {
        Self {
            learning_rate,
            step: 0,
            first_moment: vec![0.0; parameters],
            second_moment: vec![0.0; parameters],
        }
    }

    /// Moves `parameters` by one step along `gradient`.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        self.step += 1;
        let correction1 = 1.0 - f64::from(BETA1).powi(self.step);
        let correction2 = 1.0 - f64::from(BETA2).powi(self.step);
        let step_size = (self.learning_rate / correction1) as f32;
        let root_correction2 = correction2.sqrt() as f32;
        let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
        for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = BETA1 * *first + (1.0 - BETA1) * gradient;
            *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
            *parameter -= step_size * *first / (second.sqrt() / root_correction2 + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_match_pytorch() {
        // torch.optim.Adam([p], lr=0.1), p = [1, -2], gradients [0.5, -3] then [0.25, 1].
        let mut adam = Adam::new(2, 0.1);
        let mut parameters = [1.0, -2.0];
        adam.step(&mut parameters, &[0.5, -3.0]);
        assert!((parameters[0] - 0.9).abs() < 1e-6 && (parameters[1] + 1.9).abs() < 1e-6, "{parameters:?}");
        adam.step(&mut parameters, &[0.25, 1.0]);
        assert!(
            (parameters[0] - PYTORCH[0]).abs() < 1e-6 && (parameters[1] - PYTORCH[1]).abs() < 1e-6,
            "{parameters:?}"
        );
    }

    const PYTORCH: [f32; 2] = [0.806_782_1, -1.859_978_1];
}
