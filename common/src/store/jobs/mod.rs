//! What workers write about jobs, and what others read of it; does not own the submission's record.

mod hold;
mod mark;
mod outcome;
mod pause;
mod requeue;
mod script;

pub(super) use self::script::{no_effect, optional, script_over_marks};
pub use self::{
    hold::{Company, Holder, Start, Touch},
    mark::{JobStatus, MarkState, Mishap},
    outcome::{Finish, JobState},
    pause::Pause,
    requeue::Requeue,
    script::JobRef,
};
