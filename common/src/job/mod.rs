//! A job: its kind, arguments and envelope, and the outcome of its items.
//!
//! `kind` is the closed set of kinds; `args` has the arguments of each, `crawl` the plan and items of a crawl;
//! `output` names the files that a batch prediction writes; `envelope` adds IDs, attempt and deadline. `outcome` is the
//! result of an item, `discard` the reason for discarding a job.

pub mod args;
pub mod crawl;
pub mod discard;
pub mod envelope;
pub mod kind;
pub mod outcome;
pub mod output;
