//! What the images of a dataset are.
//!
//! Owns looking into each once: its bytes are hashed, its picture is hashed by what can be seen, and a small copy
//! stays where a contact sheet wants it. Invariant: no more pictures are held at a time than there are cores.

use std::collections::{BTreeMap, BTreeSet};

use common::{
    digest::Digest,
    job::outcome::{FailureReason, ItemFailure},
};
use futures::{StreamExt, stream};
use images::{decode, missing_thumbnail::is_placeholder, perceptual_hash::PerceptualHash, picture::Picture};

use super::{
    options::Look,
    pictures::{LabelledThumbnail, small},
    rows::{Item, Rows},
    suspicions::{ItemProblem, Reason, Suspicions},
    tally::Tally,
};
use crate::{
    files::{Files, ReadError},
    split::epoch_order,
};

/// What the images of a dataset are.
#[derive(Default)]
pub(super) struct Images {
    /// Those that were decoded, in the order of the items.
    pub(super) seen: Vec<Seen>,
    /// Why others were not, by the item's place.
    pub(super) unreadable: BTreeMap<u32, FailureReason>,
    pub(super) problems: Vec<ItemProblem>,
    pub(super) sizes: Tally,
    pub(super) thumbnails: Vec<LabelledThumbnail>,
}

/// One image that was decoded.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// The item's place.
    pub(super) item: u32,
    pub(super) digest: Digest,
    pub(super) hash: PerceptualHash,
}

/// What one image turned out to be.
struct Looked {
    digest: Digest,
    hash: PerceptualHash,
    size: (u32, u32),
    is_placeholder: bool,
    small: Option<Picture>,
}

impl Images {
    /// Looks into every image of the items.
    pub(super) async fn of(files: &Files, rows: &mut Rows, look: &Look, progress: impl Fn(u64, u64)) -> Self {
        let total = rows.items.len() as u64;
        let drawn = draw(look, rows.items.len() as u32);
        let limit = look.max_image_bytes;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut pictures = stream::iter((0_u32..).zip(&rows.items))
            .map(|(at, item)| {
                let keep = drawn.contains(&at);
                async move { (at, item, look_at(files, &item.name, limit, keep).await) }
            })
            .buffered(cores);
        let mut images = Self::default();
        while let Some((at, item, looked)) = pictures.next().await {
            let small = images.add(at, item, looked, &mut rows.suspicions);
            if drawn.contains(&at) {
                images.thumbnails.push(LabelledThumbnail {
                    video_id: item.video_id().to_owned(),
                    label: item.label.as_ref().ok().copied(),
                    picture: small,
                });
            }
            progress(u64::from(at) + 1, total);
        }
        images.thumbnails.sort_by(|a, b| b.label.partial_cmp(&a.label).unwrap_or(std::cmp::Ordering::Equal));
        images
    }

    /// Returns the small copy, if there is one.
    fn add(
        &mut self,
        at: u32,
        item: &Item,
        looked: Result<Looked, ItemFailure>,
        suspicions: &mut Suspicions,
    ) -> Option<Picture> {
        let looked = match looked {
            Ok(looked) => looked,
            Err(failure) => {
                self.problems.push(ItemProblem { item: item.name.to_string(), reason: failure.to_string() });
                self.unreadable.insert(at, failure.reason);
                return None;
            }
        };
        self.sizes.add(&format!("{}×{}", looked.size.0, looked.size.1));
        if let Some(expected) = item.sha256
            && expected != looked.digest
        {
            let value =
                format!("the row says {}…, the file has {}…", expected.prefix(12), looked.digest.prefix(12));
            suspicions.add(Reason::FileChanged, &item.name, value);
        }
        if looked.is_placeholder {
            suspicions.add(Reason::Placeholder, &item.name, "");
        }
        self.seen.push(Seen { item: at, digest: looked.digest, hash: looked.hash });
        looked.small
    }
}

/// Draws the items whose thumbnails are kept.
fn draw(look: &Look, items: u32) -> BTreeSet<u32> {
    match look.thumbnails {
        0 => BTreeSet::new(),
        wanted => epoch_order(look.seed, 0, items).into_iter().take(wanted as usize).collect(),
    }
}

async fn look_at(files: &Files, name: &str, limit: u64, keep: bool) -> Result<Looked, ItemFailure> {
    let bytes = files.read(name, limit).await.map_err(|error| unread(&error))?;
    let looking = tokio::task::spawn_blocking(move || {
        let picture = decode::decode(&bytes)?;
        Ok(Looked {
            digest: Digest::of(&bytes),
            hash: PerceptualHash::of(&picture)?,
            size: (picture.width, picture.height),
            is_placeholder: is_placeholder(&bytes),
            small: keep.then(|| small(&picture)),
        })
    });
    looking.await.expect("decoding does not panic")
}

fn unread(error: &ReadError) -> ItemFailure {
    let reason = match error {
        ReadError::Missing { .. } => FailureReason::Missing,
        ReadError::TooLarge { .. } => FailureReason::TooLarge,
        ReadError::Refused { .. } => FailureReason::Refused,
        ReadError::Unavailable { .. } => FailureReason::Unavailable,
    };
    ItemFailure::new(reason, error.to_string())
}
