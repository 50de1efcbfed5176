//! From a delivery to its acknowledgement, and what keeps the consumer alive and honest meanwhile.

pub mod dispatch;
pub mod fatal;
pub mod heartbeat;
pub mod holdings;
pub mod watch;
