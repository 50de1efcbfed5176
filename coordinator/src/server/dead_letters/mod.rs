//! Dead letters: jobs that were discarded.
//!
//! `intake` takes them out of the broker's hand-over queue into the store; `list` shows them; `process` requeues a
//! selection (`requeue`) or purges it.

mod intake;
mod list;
mod process;
mod requeue;

pub(crate) use self::{
    intake::{PREFETCH, consume},
    list::{get, list},
    process::{Action, process},
};
