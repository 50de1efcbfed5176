//! Images that repeat another, byte by byte or to the eye.
//!
//! Owns the groups. Those of pictures that look alike are made around the first of each: every other is near to it,
//! so that no chain of small steps joins pictures that look nothing alike.

use std::cmp::Reverse;

use serde::Serialize;

use super::{images::Seen, near_duplicates::Index, options::LISTED};

/// Pictures that look alike.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NearGroup {
    /// Their items; of equal images, the first.
    pub items: Vec<String>,
    /// Of the 256 bits of a picture's hash, the most in which one of them differs from the first; at most 40.
    pub bits: u32,
}

/// Images with the same bytes.
pub(super) struct Repeated {
    /// The largest groups.
    pub(super) groups: Vec<Vec<String>>,
    /// Images beyond the first of each group, over all groups.
    pub(super) beyond_first: u64,
    /// The first of each group, and every other image, in order.
    pub(super) firsts: Vec<Seen>,
}

/// Groups images by their bytes.
pub(super) fn equal(seen: &[Seen], name: impl Fn(u32) -> String) -> Repeated {
    let mut sorted = seen.to_vec();
    sorted.sort_unstable_by_key(|image| (image.digest, image.item));
    let groups = || sorted.chunk_by(|a, b| a.digest == b.digest);
    let mut firsts: Vec<Seen> = groups().map(|group| group[0]).collect();
    firsts.sort_unstable_by_key(|image| image.item);
    let beyond_first = (sorted.len() - firsts.len()) as u64;
    let mut repeated: Vec<&[Seen]> = groups().filter(|group| group.len() > 1).collect();
    repeated.sort_by_key(|group| (Reverse(group.len()), group[0].item));
    repeated.truncate(LISTED);
    let names = |group: &[Seen]| group.iter().map(|image| name(image.item)).collect();
    Repeated { groups: repeated.into_iter().map(names).collect(), beyond_first, firsts }
}

/// Groups different images that look alike, and counts those beyond the first of each group, over all groups.
pub(super) fn near(images: Vec<Seen>, name: impl Fn(u32) -> String) -> (Vec<NearGroup>, u64) {
    let mut index = Index::default();
    // The place of each group's first in the index is the group's own.
    let mut groups: Vec<Vec<(u32, u32)>> = Vec::new();
    let mut beyond_first = 0;
    for image in images {
        match index.nearest(&image.hash) {
            Some((group, bits)) => {
                groups[group as usize].push((image.item, bits));
                beyond_first += 1;
            }
            None => {
                index.add(image.hash);
                groups.push(vec![(image.item, 0)]);
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups.sort_by_key(|group| (Reverse(group.len()), group[0].0));
    groups.truncate(LISTED);
    let named = |group: Vec<(u32, u32)>| NearGroup {
        bits: group.iter().map(|(_, bits)| *bits).max().unwrap_or(0),
        items: group.into_iter().map(|(item, _)| name(item)).collect(),
    };
    (groups.into_iter().map(named).collect(), beyond_first)
}
