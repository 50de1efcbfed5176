//! Groups duplicate and near-duplicate images.
//!
//! Duplicates have the same bytes. Each image in a group of near-duplicates is near to the group's first
//! image, so a chain of small differences cannot join unrelated pictures.

use std::cmp::Reverse;

use serde::Serialize;

use super::{images::HashedImage, near_duplicates::Index};

/// A group of near-duplicate images.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NearDuplicateGroup {
    /// Item names; of duplicate images, only the first.
    pub items: Vec<String>,
    /// Maximum Hamming distance of the 256-bit hashes to the first image; at most 40.
    pub max_distance: u32,
}

/// Groups of images with the same bytes.
pub(super) struct Duplicates {
    /// As item names, the largest group first.
    pub(super) groups: Vec<Vec<String>>,
    /// Images other than the first of their group, in all groups.
    pub(super) count: u64,
    /// All images except those, in the order of items.
    pub(super) distinct: Vec<HashedImage>,
}

/// Groups images by their bytes.
pub(super) fn duplicates(images: &[HashedImage], name: impl Fn(u32) -> String) -> Duplicates {
    let mut sorted = images.to_vec();
    sorted.sort_unstable_by_key(|image| (image.digest, image.item));
    let groups = || sorted.chunk_by(|a, b| a.digest == b.digest);
    let mut distinct: Vec<HashedImage> = groups().map(|group| group[0]).collect();
    distinct.sort_unstable_by_key(|image| image.item);
    let count = (sorted.len() - distinct.len()) as u64;
    let mut largest: Vec<&[HashedImage]> = groups().filter(|group| group.len() > 1).collect();
    largest.sort_by_key(|group| (Reverse(group.len()), group[0].item));
    let names = |group: &[HashedImage]| group.iter().map(|image| name(image.item)).collect();
    Duplicates { groups: largest.into_iter().map(names).collect(), count, distinct }
}

/// Groups near-duplicates among images with different bytes. Returns the groups, the largest first, and the number of
/// images other than the first of their group.
pub(super) fn near_duplicates(
    images: Vec<HashedImage>,
    name: impl Fn(u32) -> String,
) -> (Vec<NearDuplicateGroup>, u64) {
    let mut index = Index::default();
    // The index holds only the first image of each group, so its numbers are indices into `groups`.
    let mut groups: Vec<Vec<(u32, u32)>> = Vec::new();
    let mut count = 0;
    for image in images {
        match index.nearest(&image.hash) {
            Some((group, distance)) => {
                groups[group as usize].push((image.item, distance));
                count += 1;
            }
            None => {
                index.add(image.hash);
                groups.push(vec![(image.item, 0)]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups.sort_by_key(|group| (Reverse(group.len()), group[0].0));
    let with_names = |group: Vec<(u32, u32)>| NearDuplicateGroup {
        max_distance: group.iter().map(|(_, distance)| *distance).max().unwrap_or(0),
        items: group.into_iter().map(|(item, _)| name(item)).collect(),
    };
    (groups.into_iter().map(with_names).collect(), count)
}
