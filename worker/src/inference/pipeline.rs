//! From a chunk of a manifest to embeddings: read, hash, look up, decode, run the model, store.
//!
//! Shared by embed and predict jobs. Invariants: a bad item fails alone; an item that cannot be read for now does not
//! prevent others from being resolved; new embeddings are stored before the caller reports them.

use std::{
    collections::HashMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use common::{
    digest::Digest,
    embedding::{Embedding, Space},
    ids::SubmissionId,
    job::{
        args::Chunk,
        outcome::{ItemFailure, ItemResult},
    },
    priority::Priority,
    stage::Stage,
    store::{CatalogueEntry, Store},
};
use dataset::{files::Files, manifest::ManifestItem};
use futures::{StreamExt, stream};
use images::{decode::decode, decoder::Decoder, preprocess};
use tokio::sync::OnceCell;
use url::Url;

use super::{
    batcher::{EmbedError, Embedder},
    reading::{GROUP_ITEMS, Image, InProgress, ItemError, Reader, groups},
};
use crate::{
    attempt::Attempt,
    outcome::{JobError, Outcome},
};

/// Maximum number of items in progress per job, in batches: one is computed while the next is prepared.
pub(super) const WINDOW_BATCHES: usize = 2;

pub struct Pipeline {
    reader: Reader,
    computer: Computer,
    store: Store,
    storing: Stage,
    /// See [`Embedder::spaces`].
    spaces: [Space; 2],
}

/// The stages that compute: decode, run the model.
pub(super) struct Computer {
    pub(super) decoder: Decoder,
    pub(super) embedder: Embedder,
}

/// Embeddings and failures of the images of one job, which decodes each image once, however many items name it.
#[derive(Default)]
struct Computed {
    images: Mutex<HashMap<Digest, ComputedImage>>,
}

type ComputedImage = Arc<OnceCell<Result<Embedding, ItemFailure>>>;

impl Computed {
    fn cell(&self, sha256: Digest) -> ComputedImage {
        self.images.lock().expect("no holder of this lock panics").entry(sha256).or_default().clone()
    }
}

/// An item's embedding.
pub struct Embedded {
    /// Digest of the image.
    pub sha256: Digest,
    /// Whether the store had it already.
    pub cached: bool,
    /// The embedding.
    pub embedding: Embedding,
}

impl Pipeline {
    /// Makes the pipeline of a worker whose image files have at most `max_image_bytes`.
    #[must_use]
    pub fn new(embedder: Embedder, store: Store, decoder: Decoder, max_image_bytes: u64) -> Self {
        Self {
            reader: Reader::new(store.clone(), max_image_bytes),
            spaces: embedder.spaces(),
            computer: Computer { decoder, embedder },
            store,
            storing: Stage::new(1),
        }
    }

    /// The stages that an image passes, by name.
    #[must_use]
    pub fn stages(&self) -> [(&'static str, Stage); 4] {
        [
            ("fetch", self.reader.stage().clone()),
            ("decode", self.computer.decoder.stage().clone()),
            ("model", self.computer.embedder.stage().clone()),
            ("store", self.storing.clone()),
        ]
    }

    /// Returns the space to embed into for a job that names `wanted`. Jobs of earlier versions name none.
    ///
    /// # Errors
    /// `JobError::Retryable` if another worker has to compute it.
    pub fn space(&self, wanted: Option<&Space>) -> Result<&Space, JobError> {
        let [own, _] = &self.spaces;
        let Some(wanted) = wanted else { return Ok(own) };
        self.spaces.iter().find(|space| *space == wanted).ok_or_else(|| {
            JobError::Retryable(format!(
                "the job is for embedding space {wanted}, but this worker computes {own}: start a worker with the same \
                 weights, precision and kind of device"
            ))
        })
    }

    /// Why the model thread has ended; `None` while it runs.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.computer.embedder.failure()
    }

    /// How long the model has been computing its current batch; `None` while it is free.
    #[must_use]
    pub fn busy(&self) -> Option<Duration> {
        self.computer.embedder.busy()
    }

    /// Embeds the items of a chunk that are unresolved into one of its spaces, and turns each embedding into a `result`.
    ///
    /// # Errors
    /// When the manifest cannot be read, the model fails, or the store does not serve.
    pub async fn embed(
        &self,
        submission: SubmissionId,
        chunk: &Chunk,
        space: &Space,
        attempt: Attempt,
        result: impl Fn(&Embedded) -> ItemResult,
    ) -> Result<Outcome, JobError> {
        let Attempt { repeated, priority } = attempt;
        let items = self.reader.unresolved_items(submission, chunk, repeated).await?;
        let files = chunk.dataset.as_ref().map(Files::open).transpose();
        let files = files.map_err(|error| match error.is_retryable() {
            true => JobError::Retryable(error.to_string()),
            false => JobError::Permanent(error.to_string()),
        })?;
        let wanted = items.len();
        let computed = Computed::default();
        let window = WINDOW_BATCHES * self.computer.embedder.batch();
        let mut expected = self.computer.embedder.expect_items(wanted, priority);
        let mut embedded = stream::iter(groups(items))
            .map(|group| self.reader.read(files.as_ref(), group, priority))
            .buffer_unordered(window / GROUP_ITEMS)
            .then(|images| self.look_up(space, images))
            .flat_map(stream::iter)
            .map(|(image, known)| self.embed_image(&computed, image, known, priority))
            .buffer_unordered(window)
            .boxed();
        let mut results = Vec::with_capacity(wanted);
        let (mut fresh, mut named, mut later) = (Vec::new(), Vec::new(), None);
        while let Some(InProgress { index, item, state }) = embedded.next().await {
            expected.resolve_one();
            match state {
                Ok(embedded) => {
                    let entry = |dataset| (embedded.sha256, catalogue_entry(dataset, item));
                    named.extend(chunk.dataset.as_ref().map(entry));
                    results.push((index, result(&embedded)));
                    if !embedded.cached {
                        fresh.push((embedded.sha256, embedded.embedding));
                    }
                }
                Err(ItemError::Item(failure)) => results.push((index, ItemResult::Failed(failure))),
                Err(ItemError::Later(error)) => {
                    later.get_or_insert_with(|| format!("{}: {error}", item.item));
                }
                Err(ItemError::Job(JobError::Retryable(error))) => {
                    later = Some(error);
                    break;
                }
                Err(ItemError::Job(error)) => return Err(error),
            }
        }
        drop(embedded);
        // Store the new embeddings even if the job has to be retried.
        let _in_stage = self.storing.enter(results.len());
        let _working = self.storing.work();
        tokio::try_join!(self.store.put_embeddings(space, &fresh), self.store.put_catalogue(&named))?;
        let Some(error) = later else { return Ok(Outcome::Items(results)) };
        let left = wanted - results.len();
        let error = format!("{left} of {wanted} items unresolved: {error}");
        Ok(Outcome::Retry { error, results })
    }

    /// Finds the embeddings that the store has, in one round trip.
    async fn look_up(
        &self,
        space: &Space,
        mut images: Vec<InProgress<Image>>,
    ) -> Vec<(InProgress<Image>, Option<Embedding>)> {
        let digests: Vec<Digest> =
            images.iter().filter_map(|image| image.state.as_ref().ok()).map(|image| image.sha256).collect();
        match self.store.embeddings(space, &digests).await {
            Ok(found) => {
                let mut found = found.into_iter();
                let with_embedding = |image: InProgress<Image>| {
                    let known = if image.state.is_ok() { found.next().flatten() } else { None };
                    (image, known)
                };
                images.into_iter().map(with_embedding).collect()
            }
            Err(error) => {
                let error = JobError::from(error);
                for image in images.iter_mut().filter(|image| image.state.is_ok()) {
                    image.state = Err(ItemError::Job(error.clone()));
                }
                images.into_iter().map(|image| (image, None)).collect()
            }
        }
    }

    async fn embed_image(
        &self,
        computed: &Computed,
        image: InProgress<Image>,
        known: Option<Embedding>,
        priority: Priority,
    ) -> InProgress<Embedded> {
        let InProgress { index, item, state } = image;
        let state = match (state, known) {
            (Err(error), _) => Err(error),
            (Ok(image), Some(embedding)) => Ok(Embedded { sha256: image.sha256, cached: true, embedding }),
            (Ok(image), None) => {
                let sha256 = image.sha256;
                let once = computed.cell(sha256);
                match once.get_or_try_init(|| self.computer.compute(image, priority)).await.cloned() {
                    Ok(Ok(embedding)) => Ok(Embedded { sha256, cached: false, embedding }),
                    Ok(Err(failure)) => Err(ItemError::Item(failure)),
                    Err(error) => Err(ItemError::Job(error)),
                }
            }
        };
        InProgress { index, item, state }
    }
}

impl Computer {
    /// Returns the embedding of an image, or why it has none. If the model thread has ended, this waits for ever: the
    /// process ends, and releases the job.
    pub(super) async fn compute(
        &self,
        image: Image,
        priority: Priority,
    ) -> Result<Result<Embedding, ItemFailure>, JobError> {
        match self.decode_and_embed(image, priority).await {
            Ok(embedding) => Ok(embedding),
            Err(error @ EmbedError::Failed(_)) => Err(JobError::Retryable(error.to_string())),
            Err(EmbedError::Gone) => pending().await,
        }
    }

    pub(super) async fn decode_and_embed(
        &self,
        image: Image,
        priority: Priority,
    ) -> Result<Result<Embedding, ItemFailure>, EmbedError> {
        let Image { bytes, _memory, .. } = image;
        let admission = self.embedder.admit(priority).await?;
        let decode_and_submit = |bytes: Bytes| {
            let picture = decode(&bytes)?;
            admission.submit(|target| preprocess::resize_into(&picture, target))
        };
        match self.decoder.run(priority, bytes, decode_and_submit).await {
            Ok(pending) => pending.embedding().await.map(Ok),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

/// Metadata of an image for similarity search.
fn catalogue_entry(dataset: &Url, item: ManifestItem) -> CatalogueEntry {
    CatalogueEntry {
        item: item.item,
        dataset: dataset.to_string(),
        video_id: item.video_id,
        channel: item.channel.or(item.channel_id),
    }
}

#[cfg(test)]
mod tests {
    use common::{byte_budget::ByteBudget, embedding::DIMENSIONS};
    use dataset::sample;
    use images::encode;
    use tokio::task::JoinSet;

    use super::{super::batcher, *};

    const IMAGES: u32 = 100;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn images_beyond_all_bounds_are_computed() {
        let (embedder, mut batches) = batcher::connect_without_model(2);
        let device = std::thread::spawn(move || {
            while let Some(batch) = batches.next() {
                for answer in batch.answers {
                    answer.send(Ok(Embedding::from_f32(&[0.0; DIMENSIONS])));
                }
                batches.give_back(batch.memory);
            }
        });
        // Each image needs more memory than there is, so it is decoded alone.
        let computer = Arc::new(Computer { decoder: Decoder::new(2, 1), embedder });
        let memory = Arc::new(ByteBudget::new(1).acquire(0).await);
        let mut computing = JoinSet::new();
        for number in 0..IMAGES {
            let mut bytes = encode::jpeg(&sample::picture(1, number), 80).unwrap();
            let is_broken = number % 3 == 0;
            if is_broken {
                bytes.truncate(bytes.len() / 2);
            }
            let image = Image { sha256: Digest::of(&bytes), bytes: bytes.into(), _memory: memory.clone() };
            let computer = computer.clone();
            computing.spawn(async move { (is_broken, computer.compute(image, Priority::Bulk).await) });
        }
        drop(computer);
        let computed = tokio::time::timeout(Duration::from_secs(60), computing.join_all()).await;
        for (is_broken, result) in computed.expect("the images do not wait for each other") {
            assert_eq!(result.unwrap().is_err(), is_broken);
        }
        device.join().unwrap();
    }
}
