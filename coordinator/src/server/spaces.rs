//! Embedding spaces: lists them, chooses the default one, drops one, and copies one out and in.
//!
//! The similarity index of a space is in `similarity`.

use std::collections::BTreeMap;

use common::{
    digest::Digest,
    embedding::{DeviceClass, Space},
    job::kind::Kind,
    store::{AddedCounts, RegisteredWorker, Store, StoreError, WorkerRecord, bucket_of},
    topology::Route,
};
use dataset::shards::embeddings::check_space;

use super::{context::Context, error::RequestError, lookup, memory};
use crate::api::{AddEmbeddings, AddedEmbeddings, Page, RawEmbedding, SpaceView};

/// Who registered a space that no worker has registered.
const IMPORT: &str = "import";

/// The live workers.
pub(crate) struct Fleet(Vec<WorkerRecord>);

impl Fleet {
    pub(crate) async fn read(store: &Store) -> Result<Self, StoreError> {
        Ok(Self::of(&store.workers().await?))
    }

    pub(crate) fn of(workers: &[RegisteredWorker]) -> Self {
        Self(workers.iter().filter(|worker| worker.is_live()).map(|worker| worker.record.clone()).collect())
    }

    /// Whether a live worker runs jobs of `kind` in `space`.
    pub(crate) fn serves(&self, kind: Kind, space: &Space) -> bool {
        self.0.iter().any(|worker| worker.serves(kind, space))
    }

    /// Returns the space of the most live workers that run jobs of `kind`.
    pub(crate) fn usual_space(&self, kind: Kind) -> Option<Space> {
        let serving = self.0.iter().filter_map(|worker| Some((worker, worker.space.clone()?)));
        most_frequent(serving.filter(|(worker, space)| worker.serves(kind, space)).map(|(_, space)| space))
    }

    /// Returns the device class of the most live workers that run jobs of `kind` in `space`.
    fn usual_class(&self, kind: Kind, space: &Space) -> Option<DeviceClass> {
        let serving = self.0.iter().filter(|worker| worker.serves(kind, space));
        most_frequent(serving.filter_map(|worker| worker.device_class.clone()))
    }
}

/// Returns the most frequent value; of several, the last in order.
fn most_frequent<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts = BTreeMap::<T, usize>::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

/// Returns the space in which the jobs of a submission are to run: that which was requested, or else that of most live
/// workers, or else that of the worker that started last; with `uniform_hardware`, for the device class of most of its live
/// workers. `None` as long as it takes a live worker to decide.
pub(crate) async fn decide(
    store: &Store,
    kind: Kind,
    requested: Option<&Space>,
    uniform_hardware: bool,
) -> Result<Option<Space>, StoreError> {
    let fleet = Fleet::read(store).await?;
    let space = match requested.cloned().or_else(|| fleet.usual_space(kind)) {
        Some(space) => Some(space),
        None => store.last_space().await?,
    };
    Ok(match space {
        Some(space) if uniform_hardware && !space.is_of_class() => {
            fleet.usual_class(kind, &space).map(|class| space.of_class(&class))
        }
        space => space,
    })
}

/// As [`decide`], but returns the requested space as long as it takes a live worker to decide.
pub(crate) async fn decide_if_possible(
    store: &Store,
    kind: Kind,
    requested: Option<Space>,
    uniform_hardware: bool,
) -> Result<Option<Space>, StoreError> {
    Ok(decide(store, kind, requested.as_ref(), uniform_hardware).await?.or(requested))
}

/// Checks that a space that a user named exists.
///
/// # Errors
/// `NotFound` if no worker has registered it.
pub(crate) async fn check(store: &Store, name: Option<&str>) -> Result<Option<Space>, RequestError> {
    let Some(name) = name else { return Ok(None) };
    let space = Space(name.to_owned());
    let known = store.spaces().await?;
    if known.contains_key(name) || known.contains_key(&space.of_all_classes().0) {
        Ok(Some(space))
    } else {
        Err(unknown(name))
    }
}

/// Returns the space of the most live workers; `None` if no live worker has a model.
pub(crate) async fn in_use(store: &Store) -> Result<Option<Space>, StoreError> {
    Ok(most_frequent(Fleet::read(store).await?.0.into_iter().filter_map(|worker| worker.space)))
}

/// Returns whether a known worker computes the embeddings of `space` with random weights.
pub(crate) async fn has_random_weights(store: &Store, space: &Space) -> Result<bool, StoreError> {
    let workers = store.workers().await?;
    let space = space.of_all_classes();
    let is_random = |worker: &RegisteredWorker| {
        worker.record.random_weights && worker.record.space.as_ref() == Some(&space)
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
pub(crate) async fn drop_space(
    context: &Context,
    name: &str,
    force: bool,
) -> Result<SpaceView, RequestError> {
    let store = &context.store;
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
    let space = Space(name.to_owned());
    store.drop_space(&space).await?;
    // A submission whose jobs are in one of its queues publishes them again.
    for route in Route::of_space(Some(&space)) {
        context.publisher.delete_queue_of(&route).await;
    }
    Ok(dropped)
}

/// Returns a page of a space's embeddings, in the order of their digests. The cursor is the last digest of the page
/// before.
pub(crate) async fn embeddings(
    store: &Store,
    name: &str,
    cursor: Option<&str>,
) -> Result<Page<RawEmbedding>, RequestError> {
    if !store.spaces().await?.contains_key(name) {
        return Err(unknown(name));
    }
    let space = Space(name.to_owned());
    let after: Option<Digest> = lookup::cursor(cursor)?;
    let mut digests = Vec::new();
    let sizes = store.bucket_sizes(&space).await?;
    let first = after.as_ref().map_or(0, bucket_of);
    for bucket in (first..sizes.len()).filter(|bucket| sizes[*bucket] > 0) {
        let mut found = store.bucket_digests(&space, bucket).await?;
        found.retain(|digest| after.is_none_or(|after| *digest > after));
        found.sort_unstable();
        digests.append(&mut found);
        if digests.len() > AddEmbeddings::MAX {
            break;
        }
    }
    let next = (digests.len() > AddEmbeddings::MAX).then(|| digests[AddEmbeddings::MAX - 1].to_string());
    digests.truncate(AddEmbeddings::MAX);
    let found = store.embeddings(&space, &digests).await?;
    let found = digests.into_iter().zip(found);
    let items = found.filter_map(|(sha256, embedding)| Some(RawEmbedding { sha256, embedding: embedding? }));
    Ok(Page { items: items.collect(), next })
}

/// Adds embeddings to a space, which is registered if it does not exist. Those that the space has stay.
///
/// # Errors
/// `Invalid` if there are too many, or the name cannot be that of a space; `Busy` if Redis is nearly full.
pub(crate) async fn add_embeddings(
    store: &Store,
    name: &str,
    request: AddEmbeddings,
) -> Result<AddedEmbeddings, RequestError> {
    let space = Space(name.to_owned());
    check_space(&space).map_err(RequestError::Invalid)?;
    if request.embeddings.len() > AddEmbeddings::MAX {
        let count = request.embeddings.len();
        let detail = format!("{count} embeddings exceed the limit of {} per request", AddEmbeddings::MAX);
        return Err(RequestError::Invalid(detail));
    }
    memory::require_free(store).await?;
    store.register_space(&space, IMPORT).await?;
    let embeddings: Vec<_> = request.embeddings.into_iter().map(|raw| (raw.sha256, raw.embedding)).collect();
    let AddedCounts { added, present, different } = store.add_embeddings(&space, &embeddings).await?;
    Ok(AddedEmbeddings { added, present, different })
}

fn embeds_into(worker: &RegisteredWorker, space: &Space) -> bool {
    let record = &worker.record;
    !worker.is_lost() && (record.space.as_ref() == Some(space) || record.spaces.contains(space))
}

fn unknown(name: &str) -> RequestError {
    RequestError::NotFound(format!(
        "embedding space '{name}' does not exist; `subwatch spaces list` lists all"
    ))
}
