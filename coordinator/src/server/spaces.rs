//! Spaces of embeddings: which there are, which one is meant, and dropping one.
//!
//! Owns the choice of a space where a request names none. Does not own the similarity index of a space (see
//! `similarity`).

use std::collections::BTreeMap;

use common::{
    embedding::Space,
    store::{RegisteredWorker, Store, StoreError},
};

use super::error::RequestError;
use crate::api::SpaceView;

/// The space that most live workers embed into; `None` if no live worker has a model.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn in_use(store: &Store) -> Result<Option<Space>, StoreError> {
    let mut counts = BTreeMap::<Space, usize>::new();
    for worker in store.workers().await?.into_iter().filter(RegisteredWorker::is_live) {
        if let Some(space) = worker.record.space {
            *counts.entry(space).or_default() += 1;
        }
    }
    Ok(counts.into_iter().max_by_key(|(_, workers)| *workers).map(|(space, _)| space))
}

/// The space named, or the one in use, or the only one there is.
///
/// # Errors
/// When there is none of this name, none can be chosen, or the store does not serve.
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
            "no worker is running and there are several spaces: name one with --space".to_owned(),
        )),
        (None, _) => Err(RequestError::NotFound("nothing is embedded yet".to_owned())),
    }
}

/// Returns the spaces, by name.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn list(store: &Store) -> Result<Vec<SpaceView>, RequestError> {
    let workers = store.workers().await?;
    let mut views = Vec::new();
    for (name, registered) in store.spaces().await? {
        let space = Space(name.clone());
        let embeddings = store.bucket_sizes(&space).await?.iter().sum();
        let workers = workers.iter().filter(|worker| embeds_into(worker, &space)).count() as u64;
        views.push(SpaceView { space: name, embeddings, workers, registered });
    }
    views.sort_by(|a, b| a.space.cmp(&b.space));
    Ok(views)
}

/// Drops a space with its embeddings; they would have to be computed again.
///
/// # Errors
/// When there is none of this name, a live worker embeds into it and `force` is not set, or the store does not
/// serve.
pub(crate) async fn drop_space(store: &Store, name: &str, force: bool) -> Result<SpaceView, RequestError> {
    let dropped = list(store).await?.into_iter().find(|space| space.space == name);
    let dropped = dropped.ok_or_else(|| unknown(name))?;
    if dropped.workers > 0 && !force {
        return Err(RequestError::Conflict(format!(
            "{} live worker(s) embed into the space {name}: stop them first, or use --force",
            dropped.workers
        )));
    }
    store.drop_space(&Space(name.to_owned())).await?;
    Ok(dropped)
}

fn embeds_into(worker: &RegisteredWorker, space: &Space) -> bool {
    !worker.is_lost() && worker.record.space.as_ref() == Some(space)
}

fn unknown(name: &str) -> RequestError {
    RequestError::NotFound(format!("there is no space '{name}'; `subwatch spaces list` shows them"))
}
