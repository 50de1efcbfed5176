//! A limit on the bytes in memory at a time, of which one access token has a part only.
//!
//! So one client cannot keep the others waiting. Requests without a token, which only local clients can send, share
//! the whole budget.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use common::byte_budget::ByteBudget;
use futures::FutureExt;
use tokio::sync::OwnedSemaphorePermit;

pub(crate) struct SharedBudget {
    all: ByteBudget,
    token_bytes: u64,
    /// Budgets by the token's name; there are as many as tokens.
    by_token: Mutex<HashMap<String, ByteBudget>>,
}

/// Reserved memory; dropping it releases the memory.
pub(crate) struct Reservation {
    _of_token: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl SharedBudget {
    /// Makes a budget of `bytes`, of which each token has `token_bytes`.
    pub(crate) fn new(bytes: u64, token_bytes: u64) -> Self {
        Self { all: ByteBudget::new(bytes), token_bytes, by_token: Mutex::default() }
    }

    /// Waits until `bytes` fit into the budget of the token, and then into that of all.
    pub(crate) async fn reserve(&self, token: Option<&str>, bytes: u64) -> Reservation {
        let of_token = match token.map(|token| self.budget_of(token)) {
            Some(budget) => Some(budget.acquire(bytes).await),
            None => None,
        };
        Reservation { _of_token: of_token, _of_all: self.all.acquire(bytes).await }
    }

    /// Like [`reserve`](Self::reserve), but `None` at once if the token has used up its budget.
    pub(crate) async fn try_reserve(&self, token: Option<&str>, bytes: u64) -> Option<Reservation> {
        let of_token = match token.map(|token| self.budget_of(token)) {
            Some(budget) => Some(budget.acquire(bytes).now_or_never()?),
            None => None,
        };
        Some(Reservation { _of_token: of_token, _of_all: self.all.acquire(bytes).await })
    }

    fn budget_of(&self, token: &str) -> ByteBudget {
        let mut budgets = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(token.to_owned()).or_insert_with(|| ByteBudget::new(self.token_bytes)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_cannot_take_what_others_need() {
        let budget = SharedBudget::new(8 << 20, 4 << 20);
        let reserve = |token| budget.reserve(token, 3 << 20).now_or_never();
        let first = reserve(Some("a")).unwrap();
        assert!(reserve(Some("a")).is_none());
        let _second = reserve(Some("b")).unwrap();
        assert!(reserve(Some("c")).is_none(), "the whole budget is taken");
        assert!(budget.try_reserve(Some("a"), 3 << 20).now_or_never().unwrap().is_none());
        drop(first);
        assert!(reserve(None).is_some());
    }
}
