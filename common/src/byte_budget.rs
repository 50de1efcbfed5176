//! A limit on the bytes in memory at a time.
//!
//! To avoid deadlock, acquire only one permit at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::priority::Priority;

/// Granularity of the budget.
const UNIT_BYTES: u64 = 1024;

/// A budget of bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    total_units: u32,
}

impl ByteBudget {
    /// Makes a budget of `bytes`, capped at 4 TiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let total_units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(total_units as usize)), total_units }
    }

    /// Waits until `bytes` fit. A request larger than the whole budget takes all of it.
    pub async fn acquire(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.total_units);
        self.units.clone().acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}

/// A budget of bytes of which a part is kept for interactive work, so that it does not wait for bulk work. Clones share it.
#[derive(Clone, Debug)]
pub struct PriorityBudget {
    all: ByteBudget,
    interactive: ByteBudget,
}

impl PriorityBudget {
    /// Makes a budget of `bytes`, an eighth of which is kept for interactive work.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let interactive = bytes / 8;
        Self { all: ByteBudget::new(bytes - interactive), interactive: ByteBudget::new(interactive) }
    }

    /// Waits until `bytes` fit. A request for more than all bulk work may have takes all of that.
    pub async fn acquire(&self, bytes: u64, priority: Priority) -> OwnedSemaphorePermit {
        let fits = bytes <= u64::from(self.interactive.total_units) * UNIT_BYTES;
        match priority {
            Priority::Interactive if fits => self.interactive.acquire(bytes).await,
            _ => self.all.acquire(bytes).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn interactive_work_does_not_wait_for_bulk_work() {
        let budget = PriorityBudget::new(8 << 20);
        let _all = budget.acquire(u64::MAX, Priority::Bulk).await;
        assert!(budget.acquire(1, Priority::Interactive).now_or_never().is_some());
        assert!(budget.acquire(2 << 20, Priority::Interactive).now_or_never().is_none());
        assert!(budget.acquire(1, Priority::Bulk).now_or_never().is_none());
    }

    #[tokio::test]
    async fn dropped_permits_return_to_the_budget() {
        let budget = ByteBudget::new(8 << 20);
        let all = budget.acquire(u64::MAX).await;
        assert_eq!(budget.units.available_permits(), 0);
        drop(all);
        let _one = budget.acquire(1).await;
        assert_eq!(budget.units.available_permits(), (8 << 10) - 1);
    }
}
