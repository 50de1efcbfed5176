//! What workers write about jobs, and what others read of it; does not own the submission's record.

mod finish;
mod hold;
mod mark;
mod pause;
mod requeue;
mod script;

pub(super) use self::script::{no_effect, optional, script_over_marks};
pub use self::{
    finish::{Finish, JobState},
    hold::{Company, Holder, Start, Touch},
    mark::{JobStatus, MarkState, Mishap},
    pause::Pause,
    requeue::Requeue,
    script::JobRef,
};
