//! What workers write about jobs, and what others read of it; does not own the submission's record.
//!
//! In the order of a job's life: `hold` (start, heartbeat, release, and the rule for poison), `pause` (rest for a
//! source), `finish` (apply an outcome, or keep a half-done attempt) and `requeue`. `mark` is what is read of all that,
//! and `script` what their Lua scripts have in common.

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
