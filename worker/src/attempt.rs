//! How a job is run.

use common::priority::Priority;

/// What a job's delivery tells beside its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Whether an earlier attempt or delivery may have resolved some of its items.
    pub repeated: bool,
    pub priority: Priority,
}
