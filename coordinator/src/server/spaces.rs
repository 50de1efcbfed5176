//! Which space of embeddings is meant where nobody names one.

use std::collections::BTreeMap;

use common::{
    embedding::Space,
    store::{Store, StoreError, WorkerView},
};

/// The space that most live workers embed into; nothing when no live worker has a model.
pub(crate) async fn in_use(store: &Store) -> Result<Option<Space>, StoreError> {
    let mut counts = BTreeMap::<Space, usize>::new();
    for worker in store.workers().await?.into_iter().filter(WorkerView::is_live) {
        if let Some(space) = worker.record.space {
            *counts.entry(space).or_default() += 1;
        }
    }
    Ok(counts.into_iter().max_by_key(|(_, workers)| *workers).map(|(space, _)| space))
}
