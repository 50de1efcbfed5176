//! Chaos tests: schedules of disturbances applied to a real system, and the invariants that must hold
//! afterwards.
//!
//! A schedule is a pure function of its seed, so a failure can be replayed. A schedule that hits no delivery
//! in flight fails.

pub mod disturb;
mod disturb_clients;
mod disturb_jobs;
pub mod load;
pub mod runner;
pub mod schedule;
pub mod servers;
pub mod system;
pub mod verdict;
