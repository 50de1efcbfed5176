//! What workers write about jobs, and what others read of it; does not own the submission's record.
//!
//! In the order of a job's life: `hold` (start, heartbeat, release, and the rule for poison), `pause` (rest for a
//! source), `finish` (apply an outcome, or keep a half-done attempt) and `requeue`. `mark` is what is read of all that,
//! and `script` what their Lua scripts have in common.

mod finish;
mod requeue;
mod script;
mod snooze;
mod start;
mod status;

pub(super) use self::script::{ignored_reason, job_script, optional};
pub use self::{
    finish::{Finish, JobEnd},
    requeue::Requeue,
    script::JobRef,
    snooze::Snooze,
    start::{Heartbeat, Holder, Isolation, Start},
    status::{AttemptError, JobState, JobStatus},
};
