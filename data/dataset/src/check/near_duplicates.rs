//! Finding the nearest of many pictures that look alike.
//!
//! Owns the index. What is compared of two pictures, and when they look alike, is [`images::perceptual_hash`]'s.

use images::perceptual_hash::{MOST_BITS, PerceptualHash};

/// A hash of 64 bits is cut into this many parts. Two that differ in at most [`MOST_BITS`] of 64 bits differ in at most two bits
/// of at least one of four parts (Norouzi, Punjani and Fleet 2012: multi-index hashing).
const PARTS: usize = 4;
const PART_BITS: usize = 16;
const MOST_PART_BITS: u32 = MOST_BITS / PARTS as u32;

/// Hashes of pictures, and finding the nearest among them.
pub(super) struct Index {
    hashes: Vec<PerceptualHash>,
    /// Their places by the value of each part.
    shelves: [Vec<Vec<u32>>; PARTS],
    /// Everything that a part may be changed by.
    changes: Vec<u16>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            hashes: Vec::new(),
            shelves: std::array::from_fn(|_| vec![Vec::new(); 1 << PART_BITS]),
            changes: (0..=u16::MAX).filter(|change| change.count_ones() <= MOST_PART_BITS).collect(),
        }
    }
}

impl Index {
    /// Adds one and returns its place.
    pub(super) fn add(&mut self, hash: PerceptualHash) -> u32 {
        let place = self.hashes.len() as u32;
        for (shelves, part) in self.shelves.iter_mut().zip(parts(hash.coarse)) {
            shelves[usize::from(part)].push(place);
        }
        self.hashes.push(hash);
        place
    }

    /// Returns the place of the nearest that looks alike, with the bits in which it differs; of several that are
    /// equally near, the one that was added first.
    pub(super) fn nearest(&self, hash: &PerceptualHash) -> Option<(u32, u32)> {
        let mut nearest: Option<(u32, u32)> = None;
        for (shelves, part) in self.shelves.iter().zip(parts(hash.coarse)) {
            let shelves = self.changes.iter().map(|change| &shelves[usize::from(part ^ change)]);
            for place in shelves.flatten() {
                if let Some(bits) = self.hashes[*place as usize].nearness(hash)
                    && nearest.is_none_or(|(at, least)| (bits, *place) < (least, at))
                {
                    nearest = Some((*place, bits));
                }
            }
        }
        nearest
    }
}

fn parts(hash: u64) -> [u16; PARTS] {
    std::array::from_fn(|part| (hash >> (part * PART_BITS)) as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    fn likeness(coarse: u64) -> PerceptualHash {
        let fine: [u8; 32] = std::array::from_fn(|at| coarse.to_le_bytes()[at % 8]);
        PerceptualHash { coarse, fine, colours: [0; 48] }
    }

    proptest! {
        #[test]
        fn the_nearest_is_the_one_that_comparing_all_finds(
            hashes in prop::collection::vec(any::<u64>(), 1..40),
            of in any::<prop::sample::Index>(),
            flips in prop::collection::vec(0_u32..64, 0..12),
        ) {
            let mut index = Index::default();
            for (at, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(index.add(likeness(*hash)), at as u32);
            }
            let sought = likeness(flips.iter().fold(*of.get(&hashes), |hash, bit| hash ^ (1 << bit)));
            let all = (0_u32..).zip(&hashes);
            let near = all.filter_map(|(at, hash)| Some((likeness(*hash).nearness(&sought)?, at)));
            prop_assert_eq!(index.nearest(&sought), near.min().map(|(bits, at)| (at, bits)));
        }
    }

    #[test]
    fn a_hundred_thousand_are_grouped_by_few_comparisons() {
        let mut random = sample::random(0, 9, 0);
        let mut index = Index::default();
        let hashes: Vec<u64> = (0..100_000).map(|_| random.next_u64()).collect();
        for hash in &hashes {
            index.add(likeness(*hash));
        }
        for (place, hash) in (0_u32..).zip(&hashes).step_by(97) {
            let changed = likeness(hash ^ 0x0101_0101_0101_0101);
            assert_eq!(index.nearest(&changed), Some((place, 32)));
        }
    }
}
