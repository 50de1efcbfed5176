//! What the scripts over a job's mark have in common: how they are made, which job they mean, and their verdicts.

use redis::Script;

use crate::{ids::SubmissionId, job::outcome::CLOSED};

/// Which job: by its submission, its name there (see [`JobArgs::name`]), and its generation.
///
/// [`JobArgs::name`]: crate::job::args::JobArgs::name
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobRef<'a> {
    /// The submission.
    pub submission: SubmissionId,
    /// What singles it out there.
    pub name: &'a str,
    /// Rises when an operator requeues it.
    pub generation: u32,
}

pub(in crate::store) fn script_over_marks(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("../scripts/mark.lua")))
}

/// A script's argument that may be absent: then it is empty.
pub(in crate::store) fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Words for why a delivery has no effect.
pub(in crate::store) fn no_effect(verdict: &str) -> &'static str {
    match verdict {
        "finished" | "repeated" => "it is finished already",
        "stale" => "it is of another generation or version",
        "orphaned" => "its submission is gone",
        "closed" => CLOSED,
        _ => "the store says so",
    }
}
