//! Training runs: data-parallel over the workers, with gradient averaging at the coordinator.
//!
//! Owns a run from its request to its head:
//!
//! 1. `submit` checks the request and records the run, which notifies the leader.
//! 2. `drive` is the leader's task for the run. First `prepare` embeds the dataset, and `setup` splits the items and
//!    computes the scaling of features and target.
//! 3. `machine` decides which pass comes next and how its result changes the state (with `adam` and `metrics`); `pass`
//!    has the workers compute it.
//! 4. `artifacts` has the results: samples, test predictions, the head.
//!
//! Workers compute the gradients; `runs` has the records of runs. Invariant: the head's bits depend on the samples and
//! the request, never on the number, order or crashes of workers.

mod adam;
mod artifacts;
mod drive;
mod error;
mod machine;
mod metrics;
mod pass;
mod prepare;
mod setup;
mod submit;

pub(crate) use self::{
    artifacts::{head, samples, test_predictions},
    drive::drive,
    submit::{resume, submit},
};
