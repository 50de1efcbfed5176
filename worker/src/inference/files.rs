//! From files to embeddings without a store: read, hash, decode, run the model.
//!
//! For benchmarks. The stages are those of a [`Pipeline`](super::Pipeline).

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{embedding::Embedding, priority::Priority};
use dataset::{files::Files, manifest::ManifestItem};
use futures::{StreamExt, stream};
use images::decoder::Decoder;

use super::{
    batcher::{EmbedError, Embedder},
    pipeline::{Computer, WINDOW_BATCHES},
    reading::{FileReader, GROUP_ITEMS, InProgress, ItemError, groups},
};

/// Embeds the files of a dataset.
pub struct FilePipeline {
    files: Files,
    reader: FileReader,
    computer: Computer,
    embedded: AtomicUsize,
}

impl FilePipeline {
    /// Makes the pipeline for `files` of at most `max_image_bytes` each.
    #[must_use]
    pub fn new(files: Files, embedder: Embedder, decoder: Decoder, max_image_bytes: u64) -> Self {
        let computer = Computer { decoder, embedder };
        Self { files, reader: FileReader::new(max_image_bytes), computer, embedded: AtomicUsize::new(0) }
    }

    /// Most images in one batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.computer.embedder.batch()
    }

    /// Number of images embedded so far.
    #[must_use]
    pub fn embedded(&self) -> usize {
        self.embedded.load(Ordering::Relaxed)
    }

    /// Embeds `items` with the concurrency of a job. Returns the embeddings in the order of `items`.
    ///
    /// # Errors
    /// If an item cannot be embedded; the error names the item.
    pub async fn embed(&self, items: Vec<ManifestItem>) -> Result<Vec<Embedding>, String> {
        let window = WINDOW_BATCHES * self.batch();
        let mut expected = self.computer.embedder.expect_items(items.len(), Priority::Bulk);
        let mut embedded = stream::iter(groups((0..).zip(items).collect()))
            .map(|group| self.reader.read(&self.files, group, Priority::Bulk))
            .buffer_unordered(window / GROUP_ITEMS)
            .flat_map(stream::iter)
            .map(|InProgress { index, item, state }| async move {
                let state = match state {
                    // Nothing ends this process if the model thread has ended.
                    Ok(image) => self
                        .computer
                        .decode_and_embed(image, Priority::Bulk)
                        .await
                        .map_err(|error: EmbedError| ItemError::Later(error.to_string())),
                    Err(error) => Err(error),
                };
                InProgress { index, item, state }
            })
            .buffer_unordered(window)
            .boxed();
        let mut embeddings = Vec::new();
        while let Some(InProgress { index, item, state }) = embedded.next().await {
            expected.resolve_one();
            self.embedded.fetch_add(1, Ordering::Relaxed);
            let failed = |reason: String| format!("{}: {reason}", item.item);
            let embedding = state.map_err(|error| failed(reason(&error)))?;
            embeddings.push((index, embedding.map_err(|failure| failed(failure.to_string()))?));
        }
        embeddings.sort_by_key(|(index, _)| *index);
        Ok(embeddings.into_iter().map(|(_, embedding)| embedding).collect())
    }
}

fn reason(error: &ItemError) -> String {
    match error {
        ItemError::Item(failure) => format!("{failure:?}"),
        ItemError::Later(error) => error.clone(),
        ItemError::Job(error) => error.to_string(),
    }
}
