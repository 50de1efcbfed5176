//! Training runs: data-parallel over the workers, with the gradients averaged here.
//!
//! Owns a run from its request to its head:
//!
//! 1. `submit` checks the request and records the run, which wakes the coordinator that leads.
//! 2. `drive` is what the leader does for it. First `prepare` embeds the dataset, and `setup` splits the items and
//!    computes the scaling of features and target.
//! 3. `machine` decides what to compute next and what an answer changes (`adam`, `metrics`); `pass` exchanges one
//!    step or evaluation with the workers.
//! 4. `artifacts` holds what a run leaves: samples, test predictions, the head.
//!
//! Does not own how gradients are computed (worker), how jobs travel (broker), or the records of runs (`runs`).
//! Invariant: the head's bits depend on the samples, the request and the number of leaves, never on the number,
//! order or deaths of workers.

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
    artifacts::{head, samples, tested},
    drive::drive,
    submit::{resume, submit},
};
