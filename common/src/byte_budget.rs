//! A bound on the bytes that are held in memory at once.
//!
//! Owns the semaphore; whoever waits for it holds nothing else.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the budget is counted in.
const UNIT_BYTES: u64 = 1024;

/// A budget of bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
    all: u32,
}

impl ByteBudget {
    /// Makes a budget of `bytes`, at most 4 TiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until `bytes` fit; what is larger than the whole budget waits for all of it.
    ///
    /// # Panics
    /// Never: the semaphore is not closed.
    pub async fn acquire(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.all);
        self.units.clone().acquire_many_owned(units).await.expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_bounded_and_given_back() {
        let budget = ByteBudget::new(8 << 20);
        let all = budget.acquire(u64::MAX).await;
        assert_eq!(budget.units.available_permits(), 0);
        drop(all);
        let _one = budget.acquire(1).await;
        assert_eq!(budget.units.available_permits(), (8 << 10) - 1);
    }
}
