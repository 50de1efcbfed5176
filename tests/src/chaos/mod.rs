//! Chaos: schedules of disturbances over a real system, and the verdict on what it did.
//!
//! Owns the tests' servers that may be killed, the schedules, and what must hold after each. Does not own
//! product code. Invariant: a schedule is a pure function of its seed, so whatever it finds can be played
//! again; a schedule that disturbed nothing in flight fails.

pub mod disturb;
pub mod load;
pub mod runner;
pub mod schedule;
pub mod servers;
pub mod system;
pub mod verdict;
