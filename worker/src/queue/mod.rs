//! From a delivery to its acknowledgement, and what keeps the consumer alive meanwhile.
//!
//! A delivery passes `dispatch` (started mark, isolation), `attempt` (work, heartbeat, time limit) and `settle`
//! (effects, answer). `counts` says what is in flight; `heartbeat`, `watchdog` and `fatal` are about the process.

mod attempt;
pub mod counts;
pub mod dispatch;
mod disposition;
pub mod fatal_signal;
pub mod heartbeat;
mod job_record;
pub mod watchdog;
