//! From a delivery to its acknowledgement.
//!
//! A delivery passes `dispatch` (started mark, isolation), `attempt` (work, heartbeat, time limit) and `disposition`
//! (effects, ack). `counts` has the jobs in flight. `heartbeat`, `watchdog` and `fatal_signal` concern the process.

mod attempt;
pub mod counts;
pub mod dispatch;
mod disposition;
pub mod fatal_signal;
pub mod heartbeat;
mod job_record;
pub mod watchdog;
