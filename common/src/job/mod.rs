//! What a job is: its kind, arguments and outcome, and the envelope it travels in.
//!
//! `kind` is the closed set of kinds, `args` what each of them carries, `crawl` the plan and the items of a crawl.
//! `envelope` adds who asked, which attempt and until when. `outcome` is what became of an item, and `discard` why a
//! whole job was given up.

pub mod args;
pub mod crawl;
pub mod discard;
pub mod envelope;
pub mod kind;
pub mod outcome;
