//! Job records: the state of each job that a worker has received. Workers write them, the coordinator reads them.
//!
//! Transitions: `start` (start, heartbeat, release, and the poison limit), `snooze`, `finish` (a job or a failed
//! attempt) and `requeue`. `status` reads the records; `script` is what the Lua scripts share.

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
