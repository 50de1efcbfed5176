//! What a job is: its kind, arguments and outcome, and the envelope it travels in.

pub mod args;
pub mod crawl;
pub mod discard;
pub mod envelope;
pub mod kind;
pub mod outcome;
