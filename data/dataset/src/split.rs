//! The seeded split into training, validation and test samples, and the seeded order of an epoch.
//!
//! Owns which side a sample lies on. Invariants: the split depends on the seed and the ids, not on the
//! order of rows; split by channel, no channel lies on two sides; the same seed gives the same split and
//! the same order on every machine.

use std::{collections::BTreeMap, fmt, str::FromStr};

use common::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::manifest::ManifestItem;

/// A side of the split.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Parameters are fitted to it.
    Train,
    /// The best epoch is chosen by it.
    Valid,
    /// Metrics are reported on it.
    Test,
}

/// What must stay on one side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// Each video goes its own way: exact counts.
    Video,
    /// All videos of a channel stay together: counts as near as the channels allow.
    Channel,
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Channel => "channel",
        })
    }
}

impl FromStr for SplitBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "video" => Ok(Self::Video),
            "channel" => Ok(Self::Channel),
            _ => Err(format!("unknown split '{text}' (known: video, channel)")),
        }
    }
}

/// What identifies a sample to the split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleKey<'a> {
    /// The video, unique in the dataset.
    pub video_id: &'a str,
    /// Its channel; a video without one is a channel of its own.
    pub channel_id: &'a str,
}

impl<'a> SampleKey<'a> {
    /// Returns the key of a manifest's item; the file name stands in for a missing video id.
    #[must_use]
    pub fn of(item: &'a ManifestItem) -> Self {
        let video_id = item.video_id.as_deref().unwrap_or(&item.item);
        Self { video_id, channel_id: item.channel_id.as_deref().unwrap_or(video_id) }
    }
}

/// Why samples cannot be split.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SplitError {
    /// A side would be empty.
    #[error(
        "{samples} usable samples in {groups} {unit}s are too few to split 60/20/20: every side needs at least one"
    )]
    TooSmall {
        /// Samples given.
        samples: usize,
        /// Videos or channels they form.
        groups: usize,
        /// `video` or `channel`.
        unit: SplitBy,
    },
}

/// Splits samples 60/20/20. Validation and test get ⌊n/5⌋ each, training the rest, so that rounding never
/// costs the training side.
///
/// # Errors
/// When a side would be empty.
pub fn split(samples: &[SampleKey<'_>], by: SplitBy, seed: u64) -> Result<Vec<Split>, SplitError> {
    let mut groups = BTreeMap::<&str, Vec<usize>>::new();
    for (at, sample) in samples.iter().enumerate() {
        let group = match by {
            SplitBy::Video => sample.video_id,
            SplitBy::Channel => sample.channel_id,
        };
        groups.entry(group).or_default().push(at);
    }
    let mut drawn: Vec<(Digest, Vec<usize>)> =
        groups.into_iter().map(|(group, members)| (draw(seed, group), members)).collect();
    drawn.sort_by_key(|(order, _)| *order);

    let fifth = samples.len() / 5;
    let mut sides = vec![Split::Train; samples.len()];
    let (mut test, mut valid) = (0, 0);
    for (_, members) in &drawn {
        // A group goes where it fits; one too large for what is left of both small sides is trained on.
        let side = if test + members.len() <= fifth {
            test += members.len();
            Split::Test
        } else if valid + members.len() <= fifth {
            valid += members.len();
            Split::Valid
        } else {
            continue;
        };
        for &member in members {
            sides[member] = side;
        }
    }
    if test == 0 || valid == 0 {
        return Err(SplitError::TooSmall { samples: samples.len(), groups: drawn.len(), unit: by });
    }
    Ok(sides)
}

/// A position that depends on seed and id alone.
fn draw(seed: u64, id: &str) -> Digest {
    Digest::of(&[&seed.to_le_bytes(), id.as_bytes()].concat())
}

/// Returns the order of `samples` samples in an epoch: a Fisher-Yates shuffle by ChaCha12.
#[must_use]
pub fn epoch_order(seed: u64, epoch: u32, samples: u32) -> Vec<u32> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&epoch.to_le_bytes());
    let mut random = ChaCha12Rng::from_seed(key);
    let mut order: Vec<u32> = (0..samples).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, random.random_range(0..=at as u64) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(ids: &[(String, String)]) -> Vec<SampleKey<'_>> {
        ids.iter().map(|(video_id, channel_id)| SampleKey { video_id, channel_id }).collect()
    }

    fn ids(count: usize, channels: usize) -> Vec<(String, String)> {
        (0..count).map(|i| (format!("video-{i}"), format!("channel-{}", i % channels))).collect()
    }

    fn count(sides: &[Split], side: Split) -> usize {
        sides.iter().filter(|at| **at == side).count()
    }

    #[test]
    fn counts_are_exact_by_video() {
        let check = |samples: usize, want: [usize; 3]| {
            let ids = ids(samples, 7);
            let sides = split(&keys(&ids), SplitBy::Video, 0).unwrap();
            assert_eq!([Split::Train, Split::Valid, Split::Test].map(|side| count(&sides, side)), want);
        };
        check(3200, [1920, 640, 640]);
        check(5, [3, 1, 1]);
        check(9, [7, 1, 1]);
        check(601, [361, 120, 120]);
    }

    #[test]
    fn too_few_samples_are_an_error_with_the_numbers() {
        let few = ids(4, 2);
        assert_eq!(
            split(&keys(&few), SplitBy::Video, 0).unwrap_err().to_string(),
            "4 usable samples in 4 videos are too few to split 60/20/20: every side needs at least one"
        );
        let one_channel = ids(100, 1);
        assert!(split(&keys(&one_channel), SplitBy::Channel, 0).is_err());
    }

    #[test]
    fn the_order_of_an_epoch_is_pinned() {
        assert_eq!(epoch_order(0, 1, 8), PINNED);
        assert_ne!(epoch_order(0, 2, 8), PINNED);
        assert_ne!(epoch_order(1, 1, 8), PINNED);
        assert!(epoch_order(0, 1, 0).is_empty());
    }

    const PINNED: [u32; 8] = [5, 7, 6, 1, 3, 0, 2, 4];

    proptest! {
        #[test]
        fn split_is_stable_when_rows_are_reordered(count in 5_usize..200, seed in any::<u64>(), turn in 0_usize..200) {
            let mut rows = ids(count, 9);
            let before = split(&keys(&rows), SplitBy::Video, seed).unwrap();
            let turn = turn % count;
            rows.rotate_left(turn);
            let mut after = split(&keys(&rows), SplitBy::Video, seed).unwrap();
            after.rotate_right(turn);
            prop_assert_eq!(before, after);
        }

        #[test]
        fn no_channel_lies_on_two_sides(count in 50_usize..300, channels in 10_usize..50, seed in any::<u64>()) {
            let rows = ids(count, channels);
            let sides = split(&keys(&rows), SplitBy::Channel, seed).unwrap();
            let mut of_channel = BTreeMap::new();
            for ((_, channel), side) in rows.iter().zip(sides) {
                prop_assert_eq!(*of_channel.entry(channel).or_insert(side), side);
            }
        }

        #[test]
        fn an_epoch_visits_every_sample_once(seed in any::<u64>(), epoch in any::<u32>(), samples in 0_u32..500) {
            let mut order = epoch_order(seed, epoch, samples);
            order.sort_unstable();
            prop_assert_eq!(order, (0..samples).collect::<Vec<_>>());
        }
    }
}
