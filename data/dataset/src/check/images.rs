//! Reads the images of a dataset.
//!
//! Each image is read once: for its SHA-256, its perceptual hash, and a small copy if a contact sheet needs
//! it. Invariant: at most one decoded picture per core is in memory.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    digest::Digest,
    job::outcome::{FailureReason, ItemFailure},
};
use futures::{StreamExt, stream};
use images::{decode, missing_thumbnail::is_placeholder, perceptual_hash::PerceptualHash, picture::Picture};

use super::{
    options::CheckOptions,
    pictures::{LabelledThumbnail, thumbnail},
    rows::{Item, Rows},
    tally::Tally,
    warnings::{ItemProblem, Reason, Warnings},
};
use crate::{
    files::{Files, ReadError},
    split::epoch_order,
};

#[derive(Default)]
pub(super) struct Images {
    /// Images that were decoded, in the order of items.
    pub(super) hashed: Vec<HashedImage>,
    /// Failures of the others, by item index.
    pub(super) unreadable: BTreeMap<u32, FailureReason>,
    pub(super) problems: Vec<ItemProblem>,
    pub(super) sizes: Tally,
    pub(super) thumbnails: Vec<LabelledThumbnail>,
}

#[derive(Clone, Copy)]
pub(super) struct HashedImage {
    /// Item index.
    pub(super) item: u32,
    pub(super) digest: Digest,
    pub(super) hash: PerceptualHash,
}

struct CheckedImage {
    digest: Digest,
    hash: PerceptualHash,
    size: (u32, u32),
    is_placeholder: bool,
    thumbnail: Option<Picture>,
}

impl Images {
    /// Reads the image of every item. Calls `progress` with the number of finished images and the total.
    pub(super) async fn read(
        files: &Files,
        rows: &mut Rows,
        options: &CheckOptions,
        progress: impl Fn(u64, u64),
    ) -> Self {
        let total = rows.items.len() as u64;
        let sample = sample(options, rows.items.len() as u32);
        let limit = options.max_image_bytes;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut pictures = stream::iter((0_u32..).zip(&rows.items))
            .map(|(index, item)| {
                let keep_thumbnail = sample.contains(&index);
                async move { (index, item, check(files, &item.name, limit, keep_thumbnail).await) }
            })
            .buffered(cores);
        let mut images = Self::default();
        while let Some((index, item, checked)) = pictures.next().await {
            let thumbnail = images.add(index, item, checked, &mut rows.warnings);
            if sample.contains(&index) {
                images.thumbnails.push(LabelledThumbnail {
                    video_id: item.video_id().to_owned(),
                    label: item.label.as_ref().ok().copied(),
                    picture: thumbnail,
                });
            }
            progress(u64::from(index) + 1, total);
        }
        images.thumbnails.sort_by(|a, b| b.label.partial_cmp(&a.label).unwrap_or(std::cmp::Ordering::Equal));
        images
    }

    /// Adds an image and returns its thumbnail, if it has one.
    fn add(
        &mut self,
        index: u32,
        item: &Item,
        checked: Result<CheckedImage, ItemFailure>,
        warnings: &mut Warnings,
    ) -> Option<Picture> {
        let image = match checked {
            Ok(image) => image,
            Err(failure) => {
                self.problems.push(ItemProblem { item: item.name.to_string(), reason: failure.to_string() });
                self.unreadable.insert(index, failure.reason);
                return None;
            }
        };
        self.sizes.add(&format!("{}×{}", image.size.0, image.size.1));
        if let Some(expected) = item.sha256
            && expected != image.digest
        {
            let value =
                format!("{}… in the row, {}… in the file", expected.prefix(12), image.digest.prefix(12));
            warnings.add(Reason::FileChanged, &item.name, value);
        }
        if image.is_placeholder {
            warnings.add(Reason::Placeholder, &item.name, "");
        }
        self.hashed.push(HashedImage { item: index, digest: image.digest, hash: image.hash });
        image.thumbnail
    }
}

/// Selects random items for the contact sheet.
fn sample(options: &CheckOptions, items: u32) -> BTreeSet<u32> {
    match options.thumbnails {
        0 => BTreeSet::new(),
        count => epoch_order(options.seed, 0, items).into_iter().take(count as usize).collect(),
    }
}

async fn check(
    files: &Files,
    name: &str,
    limit: u64,
    keep_thumbnail: bool,
) -> Result<CheckedImage, ItemFailure> {
    let bytes = files.read(name, limit).await.map_err(|error| read_failure(&error))?;
    let decoding = tokio::task::spawn_blocking(move || {
        let picture = decode::decode(&bytes)?;
        Ok(CheckedImage {
            digest: Digest::of(&bytes),
            hash: PerceptualHash::of(&picture)?,
            size: (picture.width, picture.height),
            is_placeholder: is_placeholder(&bytes),
            thumbnail: keep_thumbnail.then(|| thumbnail(&picture)),
        })
    });
    decoding.await.expect("decoding does not panic")
}

fn read_failure(error: &ReadError) -> ItemFailure {
    let reason = match error {
        ReadError::Missing { .. } => FailureReason::Missing,
        ReadError::TooLarge { .. } => FailureReason::TooLarge,
        ReadError::Refused { .. } => FailureReason::Refused,
        ReadError::Unavailable { .. } => FailureReason::Unavailable,
    };
    ItemFailure::new(reason, error.to_string())
}
