//! Dead letters: jobs that were discarded.
//!
//! `intake` moves them from the broker's dead-letter queue into the store; `list` shows them; `process` requeues (with
//! `requeue`) or purges a selection.

mod intake;
mod list;
mod process;
mod requeue;

pub(crate) use self::{
    intake::{PREFETCH, consume},
    list::{get, list},
    process::{Action, process},
};
