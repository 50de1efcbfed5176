//! What workers write about jobs, and what others read of it; does not own the submission's record.

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
