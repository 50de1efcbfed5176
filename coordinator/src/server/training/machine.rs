//! The training run as a state machine: what to compute next, and how a result changes the state.
//!
//! Owns every decision of a run: steps, epochs, optimiser, best epoch, metrics. Pure: no effects, no clock. Invariant:
//! the next state depends only on the current state and the bits of the result, so a run resumed from a checkpoint
//! computes the same bits.

use common::training::protocol::{GradientSum, HEAD_PARAMETERS, Phase, RunPlan, hex_f32};
use serde::{Deserialize, Serialize};

use super::{
    adam::Adam,
    metrics::{mae, mse, r2, spearman},
    setup::Setup,
};
use crate::server::runs::{EpochRecord, RawErrors, TestRecord};

/// The state of a run. Serialised, it is the run's checkpoint.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    epochs: u32,
    phase: Phase,
    epoch: u32,
    step: u32,
    version: u64,
    squared_error: f64,
    #[serde(with = "hex_f32")]
    parameters: Vec<f32>,
    adam: Adam,
    best: Option<Best>,
    reports: Vec<EpochRecord>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Best {
    epoch: u32,
    valid_mse: f64,
    #[serde(with = "hex_f32")]
    parameters: Vec<f32>,
}

/// The pass to compute next: a training step, or the evaluation of a split.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Work {
    pub(super) phase: Phase,
    pub(super) epoch: u32,
    pub(super) step: u32,
    pub(super) version: u64,
    pub(super) parameters: Vec<f32>,
}

/// A pass returned a NaN or an infinity; the run fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "training diverged: {quantity} is not finite in epoch {epoch}, step {step}; try a smaller --learning-rate"
)]
pub(super) struct Diverged {
    quantity: &'static str,
    epoch: u32,
    step: u32,
}

impl Machine {
    /// Starts a run with zero parameters, which predict the training split's mean.
    pub(super) fn new(epochs: u32, learning_rate: f64) -> Self {
        Self {
            epochs,
            phase: Phase::Train,
            epoch: 1,
            step: 0,
            version: 1,
            squared_error: 0.0,
            parameters: vec![0.0; HEAD_PARAMETERS],
            adam: Adam::new(HEAD_PARAMETERS, learning_rate),
            best: None,
            reports: Vec::new(),
        }
    }

    /// Returns the next pass. The test split is evaluated with the best epoch's parameters.
    pub(super) fn work(&self) -> Work {
        let parameters = match self.phase {
            Phase::Train | Phase::Valid => &self.parameters,
            Phase::Test => self.best_parameters(),
        };
        Work {
            phase: self.phase,
            epoch: self.epoch,
            step: self.step,
            version: self.version,
            parameters: parameters.clone(),
        }
    }

    /// Completes a training step: averages the gradient sum of the step and applies Adam.
    pub(super) fn trained(&mut self, sum: &GradientSum, plan: &RunPlan) -> Result<(), Diverged> {
        let items = plan.step_range(self.step).len();
        self.require_finite("the loss", sum.squared_error)?;
        let gradient: Vec<f32> = sum.gradient.iter().map(|value| value / items as f32).collect();
        for value in &gradient {
            self.require_finite("the gradient", f64::from(*value))?;
        }
        self.adam.step(&mut self.parameters, &gradient);
        self.squared_error += sum.squared_error;
        self.version += 1;
        self.step += 1;
        if self.step == plan.steps() {
            self.phase = Phase::Valid;
            self.step = 0;
        }
        Ok(())
    }

    /// Completes an epoch with the predictions on the validation split, and remembers its parameters if they are the
    /// best so far.
    pub(super) fn validated(
        &mut self,
        predictions: &[f32],
        setup: &Setup,
        seconds: f64,
    ) -> Result<(), Diverged> {
        let valid_mse = mse(&setup.scale.restore(predictions), &setup.valid);
        self.require_finite("the validation error", valid_mse)?;
        let train_mse = self.squared_error / f64::from(setup.plan.train) * setup.scale.std * setup.scale.std;
        self.reports.push(EpochRecord { epoch: self.epoch, train_mse, valid_mse, seconds });
        if self.best.as_ref().is_none_or(|best| valid_mse < best.valid_mse) {
            self.best = Some(Best { epoch: self.epoch, valid_mse, parameters: self.parameters.clone() });
        }
        self.squared_error = 0.0;
        self.version += 1;
        if self.epoch == self.epochs {
            self.phase = Phase::Test;
        } else {
            self.phase = Phase::Train;
            self.epoch += 1;
        }
        Ok(())
    }

    /// Converts predictions to the target's raw units.
    pub(super) fn predictions(&self, predictions: &[f32], setup: &Setup) -> Vec<f64> {
        setup.scale.restore(predictions).iter().map(|value| setup.transform.invert(*value)).collect()
    }

    /// Computes the test metrics from the predictions on the test split.
    pub(super) fn test_record(&self, predictions: &[f32], setup: &Setup) -> TestRecord {
        let predicted = setup.scale.restore(predictions);
        let invert =
            |values: &[f64]| -> Vec<f64> { values.iter().map(|v| setup.transform.invert(*v)).collect() };
        let predicted_raw = invert(&predicted);
        let baseline = |mean: f64, targets: &[f64]| mse(&vec![mean; targets.len()], targets);
        TestRecord {
            mse: mse(&predicted, &setup.test),
            mae: mae(&predicted, &setup.test),
            r2: r2(&predicted, &setup.test),
            spearman: spearman(&predicted, &setup.test),
            baseline_mse: baseline(setup.scale.mean, &setup.test),
            raw: RawErrors {
                mse: mse(&predicted_raw, &setup.test_raw),
                mae: mae(&predicted_raw, &setup.test_raw),
                baseline_mse: baseline(setup.train_mean_raw, &setup.test_raw),
            },
        }
    }

    /// Returns the completed epochs.
    pub(super) fn reports(&self) -> &[EpochRecord] {
        &self.reports
    }

    /// Returns the epoch with the lowest validation error; `None` during the first epoch.
    pub(super) fn best_epoch(&self) -> Option<u32> {
        self.best.as_ref().map(|best| best.epoch)
    }

    /// Returns the best epoch's parameters, or the current ones during the first epoch.
    pub(super) fn best_parameters(&self) -> &Vec<f32> {
        self.best.as_ref().map_or(&self.parameters, |best| &best.parameters)
    }

    /// Estimates the time to the last epoch's end from the latest epochs; `None` during the first one and the test.
    pub(super) fn remaining_seconds(&self, plan: &RunPlan) -> Option<f64> {
        const EPOCHS: usize = 5;
        let latest = &self.reports[self.reports.len().saturating_sub(EPOCHS)..];
        let seconds = latest.iter().map(|report| report.seconds).sum::<f64>() / latest.len() as f64;
        (!latest.is_empty() && self.phase != Phase::Test)
            .then(|| seconds * f64::from(self.epochs) * (1.0 - self.fraction(plan)).max(0.0))
    }

    /// Returns the share of all passes that is done, from 0 to 1.
    pub(super) fn fraction(&self, plan: &RunPlan) -> f64 {
        let steps = f64::from(plan.steps() + 1);
        let in_epoch = match self.phase {
            Phase::Train => f64::from(self.step),
            Phase::Valid => f64::from(plan.steps()),
            Phase::Test => steps,
        };
        (f64::from(self.epoch - 1) * steps + in_epoch) / (f64::from(self.epochs) * steps)
    }

    /// Describes the current pass and the errors of the last epoch as text.
    pub(super) fn describe(&self, plan: &RunPlan) -> String {
        let epoch = format!("epoch {} of {}", self.epoch, self.epochs);
        let pass = match self.phase {
            Phase::Train => format!("{epoch}, step {} of {}", self.step + 1, plan.steps()),
            Phase::Valid => format!("{epoch}, validation"),
            Phase::Test => format!("test with epoch {}", self.best_epoch().unwrap_or(self.epoch)),
        };
        let errors = self.reports.last().map(|report| {
            let EpochRecord { epoch, train_mse, valid_mse, .. } = report;
            let best = self.best.as_ref().filter(|best| best.epoch != *epoch);
            let best =
                best.map(|best| format!(", best {} in epoch {}", error_text(best.valid_mse), best.epoch));
            format!(
                "; epoch {epoch}: train MSE {}, valid MSE {}{}",
                error_text(*train_mse),
                error_text(*valid_mse),
                best.unwrap_or_default()
            )
        });
        pass + &errors.unwrap_or_default()
    }

    fn require_finite(&self, quantity: &'static str, value: f64) -> Result<(), Diverged> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Diverged { quantity, epoch: self.epoch, step: self.step })
        }
    }
}

/// Formats an error with four decimals, or in scientific notation if that would be long or lose it.
fn error_text(value: f64) -> String {
    if (1e-3..1e6).contains(&value) || value == 0.0 { format!("{value:.4}") } else { format!("{value:.3e}") }
}

#[cfg(test)]
mod tests {
    use common::{embedding::Space, training::protocol::head_fingerprint};
    use dataset::target::{Target, Transform};

    use super::*;
    use crate::server::training::setup::TargetScale;

    fn setup() -> Setup {
        Setup {
            plan: RunPlan {
                space: Space("space".to_owned()),
                fingerprint: head_fingerprint(),
                leaves: 4,
                batch_size: 4,
                seed: 0,
                train: 6,
                valid: 2,
                test: 2,
            },
            target: Target::Views,
            transform: Transform::None,
            scale: TargetScale { mean: 10.0, std: 2.0 },
            train_mean_raw: 10.0,
            valid: vec![10.0, 12.0],
            test: vec![8.0, 12.0],
            test_raw: vec![8.0, 12.0],
        }
    }

    fn gradient(value: f32, squared_error: f64) -> GradientSum {
        GradientSum { gradient: vec![value; HEAD_PARAMETERS], squared_error }
    }

    /// Runs two epochs, the second with a higher validation error. Returns the machine before its test.
    fn trained_machine(setup: &Setup) -> Machine {
        let mut machine = Machine::new(2, 0.1);
        for valid in [[0.0, 1.0], [5.0, 5.0]] {
            for _ in 0..setup.plan.steps() {
                machine.trained(&gradient(1.0, 3.0), &setup.plan).unwrap();
            }
            machine.validated(&valid, setup, 0.5).unwrap();
        }
        machine
    }

    #[test]
    fn a_run_goes_through_train_valid_and_test() {
        let setup = setup();
        let mut machine = Machine::new(1, 0.1);
        let mut passes = Vec::new();
        while machine.phase != Phase::Test {
            let work = machine.work();
            passes.push((work.phase, work.epoch, work.step, work.version));
            match work.phase {
                Phase::Train => machine.trained(&gradient(1.0, 3.0), &setup.plan).unwrap(),
                Phase::Valid => machine.validated(&[0.0, 1.0], &setup, 0.5).unwrap(),
                Phase::Test => unreachable!("the loop ends before the test"),
            }
        }
        assert_eq!(passes, [(Phase::Train, 1, 0, 1), (Phase::Train, 1, 1, 2), (Phase::Valid, 1, 0, 3)]);
        assert_eq!(machine.work().version, 4);
        assert_eq!(
            machine.reports(),
            [EpochRecord { epoch: 1, train_mse: 4.0, valid_mse: 0.0, seconds: 0.5 }]
        );
    }

    #[test]
    fn the_best_epoch_is_tested() {
        let setup = setup();
        let machine = trained_machine(&setup);
        assert_eq!(machine.best_epoch(), Some(1));
        assert_ne!(machine.parameters, *machine.best_parameters());
        assert_eq!(machine.work().parameters, *machine.best_parameters());
        let report = machine.test_record(&[-1.0, 0.0], &setup);
        assert_eq!((report.mse, report.mae, report.baseline_mse), (2.0, 1.0, 4.0));
    }

    #[test]
    fn checkpoints_round_trip_bit_for_bit() {
        let machine = trained_machine(&setup());
        let json = serde_json::to_string(&machine).unwrap();
        assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine);
    }

    #[test]
    fn a_non_finite_value_fails_the_run() {
        let setup = setup();
        let error = Machine::new(1, 0.1).trained(&gradient(f32::NAN, 1.0), &setup.plan).unwrap_err();
        assert_eq!(
            error.to_string(),
            "training diverged: the gradient is not finite in epoch 1, step 0; try a smaller --learning-rate"
        );
        assert!(Machine::new(1, 0.1).trained(&gradient(1.0, f64::INFINITY), &setup.plan).is_err());
    }

    #[test]
    fn progress_shows_errors_and_remaining_time() {
        let setup = setup();
        let mut machine = Machine::new(400, 0.1);
        assert_eq!(machine.describe(&setup.plan), "epoch 1 of 400, step 1 of 2");
        for valid in [[0.0, 1.0], [5000.0, 5000.0]] {
            for _ in 0..setup.plan.steps() {
                machine.trained(&gradient(1.0, 3.0), &setup.plan).unwrap();
            }
            machine.validated(&valid, &setup, 0.5).unwrap();
        }
        assert_eq!(machine.remaining_seconds(&setup.plan), Some(199.0));
        assert_eq!(
            machine.describe(&setup.plan),
            "epoch 3 of 400, step 1 of 2; epoch 2: train MSE 4.0000, valid MSE 9.998e7, best 0.0000 in epoch 1"
        );
        assert_eq!(
            trained_machine(&setup).describe(&setup.plan).split(';').next(),
            Some("test with epoch 1")
        );
        assert_eq!(trained_machine(&setup).remaining_seconds(&setup.plan), None);
    }

    #[test]
    fn raw_predictions_and_errors_are_those_of_values_from_zero() {
        // Python: transformed = np.array([-1.0, 12.0]); raw = np.maximum(transformed, 0)
        let setup = setup();
        let machine = trained_machine(&setup);
        let predictions = [-5.5, 1.0];
        assert_eq!(machine.predictions(&predictions, &setup), [0.0, 12.0]);
        let record = machine.test_record(&predictions, &setup);
        assert_eq!((record.mse, record.mae), (40.5, 4.5));
        assert_eq!((record.raw.mse, record.raw.mae), (32.0, 4.0));
    }

    #[test]
    fn progress_grows_from_zero_to_one() {
        let setup = setup();
        assert_eq!(Machine::new(2, 0.1).fraction(&setup.plan), 0.0);
        assert_eq!(trained_machine(&setup).fraction(&setup.plan), 1.0);
    }
}
