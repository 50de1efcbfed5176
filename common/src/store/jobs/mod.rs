//! Job records: the state of each job that a worker has received. Workers write them, the coordinator reads them.
//!
//! Transitions: `start` (start, heartbeat, release, and the poison limit), `snooze`, `finish` (a job or a failed
//! attempt), `dropped` (by RabbitMQ) and `requeue`. `status` reads the records; `script` is what the Lua scripts share.

mod dropped;
mod finish;
mod requeue;
mod script;
mod snooze;
mod start;
mod status;

pub(super) use self::script::{ignored_reason, job_script, optional};
pub use self::{
    dropped::DroppedJob,
    finish::{Finish, JobEnd, Results},
    requeue::Requeue,
    script::JobRef,
    snooze::Snooze,
    start::{Heartbeat, Holder, Isolation, Start},
    status::{AttemptError, JobState, JobStatus},
};
