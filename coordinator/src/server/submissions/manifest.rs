//! Writes a submission's manifest while its items come.
//!
//! Owns the two rows of parts, items with jobs and rejected items; which of them is filled how far is all
//! it holds, besides a bounded number of parts on their way to disk.

use dataset::{
    files::parts::{self, PartError},
    manifest::RejectedItem,
};
use serde::Serialize;
use tokio::task::JoinSet;
use url::Url;

/// Parts being written at once.
const WRITES: usize = 16;

/// A manifest that is being written.
pub(super) struct ManifestWriter<T> {
    items: Series<T>,
    rejected: Series<RejectedItem>,
    writes: JoinSet<Result<(), PartError>>,
}

/// Parts that are filled one after another.
struct Series<T> {
    folder: Url,
    part_items: usize,
    /// Items of the part that is not full yet.
    pending: Vec<T>,
    parts: u32,
    items: u64,
}

impl<T: Serialize + Send + Sync + 'static> ManifestWriter<T> {
    /// Begins a manifest with parts of `part_items` items, the rejected ones in a folder of their own.
    pub(super) fn new(items: Url, rejected: Url, part_items: u32) -> Self {
        let part_items = part_items as usize;
        Self {
            items: Series::new(items, part_items),
            rejected: Series::new(rejected, part_items),
            writes: JoinSet::new(),
        }
    }

    /// Adds an item that gets a job.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn add(&mut self, item: T) -> Result<(), PartError> {
        self.items.add(item, &mut self.writes).await
    }

    /// Adds an item that has failed already.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn reject(&mut self, item: RejectedItem) -> Result<(), PartError> {
        self.rejected.add(item, &mut self.writes).await
    }

    /// Writes what is left and returns how many items there are, and how many rejected ones.
    ///
    /// # Errors
    /// When a part cannot be written.
    pub(super) async fn finish(mut self) -> Result<(u64, u64), PartError> {
        self.items.write(&mut self.writes).await?;
        self.rejected.write(&mut self.writes).await?;
        while let Some(written) = self.writes.join_next().await {
            written.expect("writing a part does not panic")?;
        }
        Ok((self.items.items, self.rejected.items))
    }
}

impl<T: Serialize + Send + Sync + 'static> Series<T> {
    fn new(folder: Url, part_items: usize) -> Self {
        Self { folder, part_items, pending: Vec::new(), parts: 0, items: 0 }
    }

    async fn add(&mut self, item: T, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        self.pending.push(item);
        self.items += 1;
        if self.pending.len() < self.part_items { Ok(()) } else { self.write(writes).await }
    }

    /// Begins to write the part that is pending, once few enough are on their way.
    async fn write(&mut self, writes: &mut JoinSet<Result<(), PartError>>) -> Result<(), PartError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        while writes.len() >= WRITES
            && let Some(written) = writes.join_next().await
        {
            written.expect("writing a part does not panic")?;
        }
        let (folder, part, items) = (self.folder.clone(), self.parts, std::mem::take(&mut self.pending));
        self.parts += 1;
        writes.spawn(async move { parts::write_part(&folder, part, &items).await });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use common::job::outcome::{FailureReason, ItemFailure};
    use dataset::manifest::ManifestItem;

    use super::*;

    #[tokio::test]
    async fn items_and_rejected_ones_fill_parts_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let items = Url::from_directory_path(folder.path()).unwrap();
        let rejected = items.join("rejected/").unwrap();
        let mut manifest = ManifestWriter::new(items.clone(), rejected.clone(), 4);
        let failure = ItemFailure::new(FailureReason::Missing, "gone");
        for number in 0..103 {
            let item = ManifestItem::named(&number.to_string());
            match number % 10 {
                0 => manifest.reject(RejectedItem { item, failure: failure.clone() }).await.unwrap(),
                _ => manifest.add(item).await.unwrap(),
            }
        }
        assert_eq!(manifest.finish().await.unwrap(), (92, 11));
        let read = async |folder: &Url, part| -> Vec<String> {
            let items: Vec<ManifestItem> = parts::read_part(&parts::part_url(folder, part)).await.unwrap();
            items.into_iter().map(|item| item.item).collect()
        };
        assert_eq!(read(&items, 22).await, ["98", "99", "101", "102"]);
        assert_eq!(read(&rejected, 2).await, ["80", "90", "100"], "a rejected item reads as an item");
        let failed: Vec<RejectedItem> = parts::read_part(&parts::part_url(&rejected, 0)).await.unwrap();
        assert_eq!((failed.len(), &failed[3].failure), (4, &failure));
    }
}
