//! The seeded split into training, validation and test samples, and the seeded sample order of an epoch.
//!
//! Invariants: the split depends on the seed and the IDs, not on the order of rows; when split by channel,
//! all videos of a channel are in one split; the same seed gives the same split and the same order on every
//! machine.

use std::{collections::BTreeMap, fmt, str::FromStr};

use common::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::manifest::ManifestItem;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Used to fit the parameters.
    Train,
    /// Used to choose the best epoch.
    Valid,
    /// Used for the reported metrics.
    Test,
}

/// How samples are grouped: a group is never divided between splits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// Each video is its own group: the split sizes are exact.
    Video,
    /// All videos of a channel are one group: the split sizes are as close as the channels allow.
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

/// Identifies a sample in the split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleKey<'a> {
    /// Unique in the dataset.
    pub video_id: &'a str,
    /// A video without a channel counts as its own channel.
    pub channel_id: &'a str,
}

impl<'a> SampleKey<'a> {
    /// Returns the key of an item. The file name replaces a missing video ID.
    #[must_use]
    pub fn of(item: &'a ManifestItem) -> Self {
        let video_id = item.video_id.as_deref().unwrap_or(&item.item);
        Self { video_id, channel_id: item.channel_id.as_deref().unwrap_or(video_id) }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SplitError {
    /// The validation or the test split would be empty.
    #[error(
        "cannot split 60/20/20: validation or test would be empty ({unit}s: {groups}, usable samples: {samples})"
    )]
    TooSmall {
        samples: usize,
        /// Number of videos or channels.
        groups: usize,
        unit: SplitBy,
    },
}

/// Splits samples 60/20/20. Validation and test get ⌊n/5⌋ samples each, training gets the rest, so that
/// rounding favours training. Returns the split of each sample, in the order given.
pub fn split(samples: &[SampleKey<'_>], by: SplitBy, seed: u64) -> Result<Vec<Split>, SplitError> {
    let mut groups = BTreeMap::<&str, Vec<usize>>::new();
    for (index, sample) in samples.iter().enumerate() {
        let group = match by {
            SplitBy::Video => sample.video_id,
            SplitBy::Channel => sample.channel_id,
        };
        groups.entry(group).or_default().push(index);
    }
    let mut shuffled: Vec<(Digest, Vec<usize>)> =
        groups.into_iter().map(|(group, members)| (sort_key(seed, group), members)).collect();
    shuffled.sort_by_key(|(order, _)| *order);

    let fifth = samples.len() / 5;
    let mut splits = vec![Split::Train; samples.len()];
    let (mut test, mut valid) = (0, 0);
    for (_, members) in &shuffled {
        // A group too large for the room left in both small splits is used for training.
        let split = if test + members.len() <= fifth {
            test += members.len();
            Split::Test
        } else if valid + members.len() <= fifth {
            valid += members.len();
            Split::Valid
        } else {
            continue;
        };
        for &member in members {
            splits[member] = split;
        }
    }
    if test == 0 || valid == 0 {
        return Err(SplitError::TooSmall { samples: samples.len(), groups: shuffled.len(), unit: by });
    }
    Ok(splits)
}

/// The sort key of a group: pseudo-random, and dependent only on seed and ID.
fn sort_key(seed: u64, id: &str) -> Digest {
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
    for index in (1..order.len()).rev() {
        order.swap(index, random.random_range(0..=index as u64) as usize);
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

    fn count(splits: &[Split], wanted: Split) -> usize {
        splits.iter().filter(|split| **split == wanted).count()
    }

    #[test]
    fn split_by_video_has_exact_sizes() {
        let check = |samples: usize, want: [usize; 3]| {
            let ids = ids(samples, 7);
            let splits = split(&keys(&ids), SplitBy::Video, 0).unwrap();
            assert_eq!([Split::Train, Split::Valid, Split::Test].map(|split| count(&splits, split)), want);
        };
        check(3200, [1920, 640, 640]);
        check(5, [3, 1, 1]);
        check(9, [7, 1, 1]);
        check(601, [361, 120, 120]);
    }

    #[test]
    fn too_few_samples_are_an_error() {
        let few = ids(4, 2);
        assert_eq!(
            split(&keys(&few), SplitBy::Video, 0).unwrap_err().to_string(),
            "cannot split 60/20/20: validation or test would be empty (videos: 4, usable samples: 4)"
        );
        let one_channel = ids(100, 1);
        assert!(split(&keys(&one_channel), SplitBy::Channel, 0).is_err());
    }

    #[test]
    fn epoch_order_is_pinned() {
        assert_eq!(epoch_order(0, 1, 8), PINNED);
        assert_ne!(epoch_order(0, 2, 8), PINNED);
        assert_ne!(epoch_order(1, 1, 8), PINNED);
        assert!(epoch_order(0, 1, 0).is_empty());
    }

    const PINNED: [u32; 8] = [5, 7, 6, 1, 3, 0, 2, 4];

    proptest! {
        #[test]
        fn split_is_stable_when_rows_are_reordered(count in 5_usize..200, seed in any::<u64>(), shift in 0_usize..200) {
            let mut rows = ids(count, 9);
            let before = split(&keys(&rows), SplitBy::Video, seed).unwrap();
            let shift = shift % count;
            rows.rotate_left(shift);
            let mut after = split(&keys(&rows), SplitBy::Video, seed).unwrap();
            after.rotate_right(shift);
            prop_assert_eq!(before, after);
        }

        #[test]
        fn split_by_channel_divides_no_channel(count in 50_usize..300, channels in 10_usize..50, seed in any::<u64>()) {
            let rows = ids(count, channels);
            let splits = split(&keys(&rows), SplitBy::Channel, seed).unwrap();
            let mut by_channel = BTreeMap::new();
            for ((_, channel), split) in rows.iter().zip(splits) {
                prop_assert_eq!(*by_channel.entry(channel).or_insert(split), split);
            }
        }

        #[test]
        fn epoch_visits_every_sample_once(seed in any::<u64>(), epoch in any::<u32>(), samples in 0_u32..500) {
            let mut order = epoch_order(seed, epoch, samples);
            order.sort_unstable();
            prop_assert_eq!(order, (0..samples).collect::<Vec<_>>());
        }
    }
}
