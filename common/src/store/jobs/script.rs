//! What the scripts on job records share: their prelude, the job that they change, and their verdicts.

use redis::Script;

use crate::{ids::SubmissionId, job::outcome::CLOSED};

/// Refers to one generation of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobRef<'a> {
    pub submission: SubmissionId,
    /// See [`JobArgs::name`](crate::job::args::JobArgs::name).
    pub name: &'a str,
    /// Increases whenever the job is requeued.
    pub generation: u32,
}

pub(in crate::store) fn job_script(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("../scripts/job.lua")))
}

/// An optional argument of a script: empty if `None`.
pub(in crate::store) fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Describes a verdict that means "no effect".
pub(in crate::store) fn ignored_reason(verdict: &str) -> &'static str {
    match verdict {
        "finished" | "repeated" => "the job has already finished",
        "stale" => "the generation or parameter version is not the current one",
        "orphaned" => "the submission no longer exists",
        "waiting" => "another message of the job is due later",
        "closed" => CLOSED,
        _ => "unknown verdict of the store",
    }
}
