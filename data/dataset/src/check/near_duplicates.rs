//! An index of perceptual hashes, to find the nearest near-duplicate of a picture.
//!
//! Distance and thresholds are defined in [`images::perceptual_hash`].

use images::perceptual_hash::{MAX_COARSE_DISTANCE, PerceptualHash};

/// Parts of a coarse hash. Two hashes that differ in at most [`MAX_COARSE_DISTANCE`] of 64 bits differ in at
/// most two bits of at least one of four parts (Norouzi, Punjani and Fleet 2012: multi-index hashing).
const PARTS: usize = 4;
const PART_BITS: usize = 16;
const MAX_PART_DISTANCE: u32 = MAX_COARSE_DISTANCE / PARTS as u32;

/// Perceptual hashes, numbered in the order in which they were added.
pub(super) struct Index {
    hashes: Vec<PerceptualHash>,
    /// For each part, the numbers of the hashes by the value of that part.
    buckets: [Vec<Vec<u32>>; PARTS],
    /// All bit masks with at most [`MAX_PART_DISTANCE`] bits set.
    masks: Vec<u16>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            hashes: Vec::new(),
            buckets: std::array::from_fn(|_| vec![Vec::new(); 1 << PART_BITS]),
            masks: (0..=u16::MAX).filter(|mask| mask.count_ones() <= MAX_PART_DISTANCE).collect(),
        }
    }
}

impl Index {
    /// Adds a hash and returns its number.
    pub(super) fn add(&mut self, hash: PerceptualHash) -> u32 {
        let number = self.hashes.len() as u32;
        for (buckets, part) in self.buckets.iter_mut().zip(parts(hash.coarse)) {
            buckets[usize::from(part)].push(number);
        }
        self.hashes.push(hash);
        number
    }

    /// Returns the number of the nearest near-duplicate and its distance; of equally near ones, the first
    /// added.
    pub(super) fn nearest(&self, hash: &PerceptualHash) -> Option<(u32, u32)> {
        let mut nearest: Option<(u32, u32)> = None;
        for (buckets, part) in self.buckets.iter().zip(parts(hash.coarse)) {
            let candidates = self.masks.iter().flat_map(|mask| &buckets[usize::from(part ^ mask)]);
            for &candidate in candidates {
                if let Some(distance) = self.hashes[candidate as usize].near_duplicate_distance(hash)
                    && nearest.is_none_or(|(number, min)| (distance, candidate) < (min, number))
                {
                    nearest = Some((candidate, distance));
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

    fn perceptual_hash(coarse: u64) -> PerceptualHash {
        let fine: [u8; 32] = std::array::from_fn(|index| coarse.to_le_bytes()[index % 8]);
        PerceptualHash { coarse, fine, colours: [0; 48] }
    }

    proptest! {
        #[test]
        fn index_finds_the_same_nearest_as_exhaustive_search(
            hashes in prop::collection::vec(any::<u64>(), 1..40),
            of in any::<prop::sample::Index>(),
            flips in prop::collection::vec(0_u32..64, 0..12),
        ) {
            let mut index = Index::default();
            for (number, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(index.add(perceptual_hash(*hash)), number as u32);
            }
            let query = perceptual_hash(flips.iter().fold(*of.get(&hashes), |hash, bit| hash ^ (1 << bit)));
            let all = (0_u32..).zip(&hashes);
            let near = all.filter_map(|(number, hash)| {
                Some((perceptual_hash(*hash).near_duplicate_distance(&query)?, number))
            });
            prop_assert_eq!(index.nearest(&query), near.min().map(|(distance, number)| (number, distance)));
        }
    }

    #[test]
    fn near_duplicate_is_found_among_a_hundred_thousand_hashes() {
        let mut random = sample::random(0, 9, 0);
        let mut index = Index::default();
        let hashes: Vec<u64> = (0..100_000).map(|_| random.next_u64()).collect();
        for hash in &hashes {
            index.add(perceptual_hash(*hash));
        }
        for (number, hash) in (0_u32..).zip(&hashes).step_by(97) {
            let changed = perceptual_hash(hash ^ 0x0101_0101_0101_0101);
            assert_eq!(index.nearest(&changed), Some((number, 32)));
        }
    }
}
