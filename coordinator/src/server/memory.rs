//! The memory of Redis that is kept for work in progress.

use common::store::Store;

use super::error::RequestError;

/// Refuses work while 90 % of `maxmemory` is used: the rest is for the results of accepted work.
///
/// # Errors
/// `Busy` if too little is free.
pub(crate) async fn require_free(store: &Store) -> Result<(), RequestError> {
    if store.is_memory_nearly_full().await? {
        return Err(RequestError::Busy(
            "90 % of the memory of Redis is used, and the rest is for submissions in progress: ask an operator to \
             run `subwatch doctor`"
                .to_owned(),
        ));
    }
    Ok(())
}
