//! Pictures that look alike without being equal: the same one saved again, in another size, slightly cropped.
//!
//! Owns the hash of what can be seen and finding near hashes among many. The hash is the classical one of 64
//! bits: the picture is made grey and small, and each bit says whether one of its 8×8 lowest frequencies lies
//! above their median. Dark bars above and below a 4:3 thumbnail are no part of what is hashed, or else two
//! thirds of all thumbnails of a dataset of such would have them in common.

use std::cell::RefCell;

use image::RgbImage;
use image_hasher::{FilterType, HashAlg, Hasher, HasherConfig};

use crate::{decode::Picture, youtube::letterbox};

/// Bits in which the hashes of pictures that look alike may differ.
///
/// Measured on 3,200 real thumbnails of 120×90. Copies that are found with at most 8 bits: saved again at quality 25
/// 99.8 %, at half the size 99.8 %, four times the size 100 %, 2 % cropped 99.8 %, 4 % cropped 97.7 %, 8 % cropped
/// 57 %. Of their 5.1 million pairs 6 are that near, and all of them are the same scene or the same template with
/// another text. At 10 bits the first pair of strangers is among them, and most of the 19 at 12 bits are strangers.
/// Strangers grow by the square: among 100,000 thumbnails expect some tens of such pairs.
pub(super) const MOST_BITS: u32 = 8;

thread_local! {
    static HASHER: RefCell<Hasher<[u8; 8]>> = RefCell::new(
        HasherConfig::with_bytes_type()
            .hash_size(8, 8)
            .hash_alg(HashAlg::Median)
            .preproc_dct()
            .resize_filter(FilterType::Triangle)
            .to_hasher()
    );
}

/// Hashes what can be seen of a picture.
pub(super) fn hash(picture: &Picture) -> u64 {
    let row = picture.width as usize * 3;
    let (rows, height) = match letterbox::middle(picture) {
        Some(area) => (&picture.rgb[area.y as usize * row..][..area.height as usize * row], area.height),
        None => (picture.rgb.as_slice(), picture.height),
    };
    let seen = RgbImage::from_raw(picture.width, height, rows.to_vec());
    let seen = seen.expect("a picture has three bytes a pixel");
    HASHER.with_borrow(|hasher| u64::from_le_bytes(hasher.hash_image(&seen).into_inner()))
}

/// A hash is cut into this many parts. Two that differ in at most [`MOST_BITS`] of 64 bits differ in at most two bits
/// of at least one of four parts (Norouzi, Punjani and Fleet 2012: multi-index hashing).
const PARTS: usize = 4;
const PART_BITS: usize = 16;
const MOST_PART_BITS: u32 = MOST_BITS / PARTS as u32;

/// Hashes, and finding the nearest among them.
pub(super) struct Index {
    hashes: Vec<u64>,
    /// The hashes by the value of each part.
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
    /// Adds a hash and returns its place.
    pub(super) fn add(&mut self, hash: u64) -> u32 {
        let place = self.hashes.len() as u32;
        self.hashes.push(hash);
        for (shelves, part) in self.shelves.iter_mut().zip(parts(hash)) {
            shelves[usize::from(part)].push(place);
        }
        place
    }

    /// Returns the place of the nearest hash, with the bits in which it differs; of several that are equally near, the
    /// one that was added first.
    pub(super) fn nearest(&self, hash: u64) -> Option<(u32, u32)> {
        let mut nearest: Option<(u32, u32)> = None;
        for (shelves, part) in self.shelves.iter().zip(parts(hash)) {
            for change in &self.changes {
                for place in &shelves[usize::from(part ^ change)] {
                    let bits = (self.hashes[*place as usize] ^ hash).count_ones();
                    if bits <= MOST_BITS && nearest.is_none_or(|(at, least)| (bits, *place) < (least, at)) {
                        nearest = Some((*place, bits));
                    }
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

    proptest! {
        #[test]
        fn the_nearest_is_the_one_that_comparing_all_finds(
            hashes in prop::collection::vec(any::<u64>(), 1..40),
            of in any::<prop::sample::Index>(),
            flips in prop::collection::vec(0_u32..64, 0..12),
        ) {
            let mut index = Index::default();
            for (at, hash) in hashes.iter().enumerate() {
                prop_assert_eq!(index.add(*hash), at as u32);
            }
            let sought = flips.iter().fold(*of.get(&hashes), |hash, bit| hash ^ (1 << bit));
            let all = (0_u32..).zip(&hashes).map(|(at, hash)| ((hash ^ sought).count_ones(), at));
            let nearest = all.filter(|(bits, _)| *bits <= MOST_BITS).min().map(|(bits, at)| (at, bits));
            prop_assert_eq!(index.nearest(sought), nearest);
        }
    }
}
