//! Embedding spaces: lists them, chooses the default one, and drops one.
//!
//! The similarity index of a space is in `similarity`.

use std::collections::BTreeMap;

use common::{
    embedding::Space,
    store::{RegisteredWorker, Store, StoreError},
};

use super::error::RequestError;
use crate::api::SpaceView;

/// Returns the space of the most live workers; `None` if no live worker has a model.
pub(crate) async fn in_use(store: &Store) -> Result<Option<Space>, StoreError> {
    let mut counts = BTreeMap::<Space, usize>::new();
    for worker in store.workers().await?.into_iter().filter(RegisteredWorker::is_live) {
        if let Some(space) = worker.record.space {
            *counts.entry(space).or_default() += 1;
        }
    }
    Ok(counts.into_iter().max_by_key(|(_, workers)| *workers).map(|(space, _)| space))
}

/// Returns whether a known worker computes the embeddings of `space` with random weights.
pub(crate) async fn has_random_weights(store: &Store, space: &Space) -> Result<bool, StoreError> {
    let workers = store.workers().await?;
    let is_random = |worker: &RegisteredWorker| {
        worker.record.random_weights && worker.record.space.as_ref() == Some(space)
    };
    Ok(workers.iter().any(is_random))
}

/// Returns the named space; without a name, the one in use, or else the only one.
///
/// # Errors
/// `NotFound` if the named space does not exist or there are no spaces; `Invalid` if the choice is ambiguous.
pub(crate) async fn choose(store: &Store, name: Option<String>) -> Result<Space, RequestError> {
    let known = store.spaces().await?;
    match name {
        Some(name) if known.contains_key(&name) => return Ok(Space(name)),
        Some(name) => return Err(unknown(&name)),
        None => {}
    }
    if let Some(space) = in_use(store).await? {
        return Ok(space);
    }
    let mut names: Vec<String> = known.into_keys().collect();
    match (names.pop(), names.is_empty()) {
        (Some(only), true) => Ok(Space(only)),
        (Some(_), false) => Err(RequestError::Invalid(
            "no worker is running and there are several embedding spaces: choose one with --space".to_owned(),
        )),
        (None, _) => Err(RequestError::NotFound(
            "there are no embeddings yet: run `subwatch embed DATASET`".to_owned(),
        )),
    }
}

/// Returns the spaces, sorted by name.
pub(crate) async fn list(store: &Store) -> Result<Vec<SpaceView>, RequestError> {
    let workers = store.workers().await?;
    let mut views = Vec::new();
    for (name, registered_by) in store.spaces().await? {
        let space = Space(name.clone());
        let embeddings = store.bucket_sizes(&space).await?.iter().sum();
        let workers = workers.iter().filter(|worker| embeds_into(worker, &space)).count() as u64;
        views.push(SpaceView { space: name, embeddings, workers, registered_by });
    }
    views.sort_by(|a, b| a.space.cmp(&b.space));
    Ok(views)
}

/// Deletes a space with its embeddings.
///
/// # Errors
/// `NotFound` if the space does not exist; `Conflict` if live workers use it and `force` is false.
pub(crate) async fn drop_space(store: &Store, name: &str, force: bool) -> Result<SpaceView, RequestError> {
    let dropped = list(store).await?.into_iter().find(|space| space.space == name);
    let dropped = dropped.ok_or_else(|| unknown(name))?;
    if dropped.workers > 0 && !force {
        let workers = match dropped.workers {
            1 => "1 live worker uses".to_owned(),
            workers => format!("{workers} live workers use"),
        };
        return Err(RequestError::Conflict(format!(
            "{workers} the embedding space {name}: stop its workers first, or use --force"
        )));
    }
    store.drop_space(&Space(name.to_owned())).await?;
    Ok(dropped)
}

fn embeds_into(worker: &RegisteredWorker, space: &Space) -> bool {
    !worker.is_lost() && worker.record.space.as_ref() == Some(space)
}

fn unknown(name: &str) -> RequestError {
    RequestError::NotFound(format!(
        "embedding space '{name}' does not exist; `subwatch spaces list` lists all"
    ))
}
