//! The seeded split into training, validation and test samples, and the seeded sample order of an epoch.
//!
//! `key` has what decides the group of a sample, and `groups` finds the samples that belong together. Invariants: no
//! group is divided; the split depends on the seed, the IDs and the images, not on the order of rows; the same seed gives
//! the same split and the same order on every machine.

mod groups;
mod key;

use std::{collections::HashMap, hash::Hash};

use common::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

pub use self::key::{SampleKey, SplitBy};

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

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SplitError {
    /// The validation or the test split would be empty.
    #[error(
        "cannot split 60/20/20 by {unit}: validation or test would be empty (usable samples: {samples}, groups: \
         {groups}){}",
        if *unit == SplitBy::Channel { "; use --split-by video" } else { "" }
    )]
    TooSmall { samples: usize, groups: usize, unit: SplitBy },
    #[error(
        "cannot split by channel: no row has a channel_id or a channel; add one, or use --split-by video"
    )]
    NoChannels,
}

/// Why samples are split by video although no unit was requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// No sample has a channel.
    NoChannels,
    /// The channels are too few, or too large, for a 60/20/20 split.
    FewChannels { channels: usize },
}

/// The result of [`split`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The split of each sample, in the order given.
    pub splits: Vec<Split>,
    pub by: SplitBy,
    /// Number of groups.
    pub groups: usize,
    pub fallback: Option<Fallback>,
}

/// Splits samples 60/20/20. Validation and test get at most ⌊n/5⌋ samples each, training gets the rest, so that
/// rounding favours training. Without `by`, channels are kept together if that is possible.
pub fn split(samples: &[SampleKey<'_>], by: Option<SplitBy>, seed: u64) -> Result<Assignment, SplitError> {
    let by_channel = || match samples.iter().any(|sample| sample.channel().is_some()) {
        true => split_by(samples, SplitBy::Channel, seed),
        false => Err(SplitError::NoChannels),
    };
    let fallback = match by {
        Some(SplitBy::Video) => None,
        Some(SplitBy::Channel) => return by_channel(),
        None => match by_channel() {
            Err(SplitError::TooSmall { .. }) => Some(Fallback::FewChannels {
                channels: distinct(samples.iter().filter_map(SampleKey::channel)),
            }),
            Err(SplitError::NoChannels) => Some(Fallback::NoChannels),
            Ok(assignment) => return Ok(assignment),
        },
    };
    Ok(Assignment { fallback, ..split_by(samples, SplitBy::Video, seed)? })
}

fn split_by(samples: &[SampleKey<'_>], by: SplitBy, seed: u64) -> Result<Assignment, SplitError> {
    let mut shuffled = groups::groups(samples, by);
    shuffled.sort_by_cached_key(|group| (sort_key(seed, group.key), group.first));
    let fifth = samples.len() / 5;
    let mut splits = vec![Split::Train; samples.len()];
    let (mut test, mut valid) = (0, 0);
    for group in &shuffled {
        // A group too large for the room left in both small splits is used for training.
        let size = group.members.len();
        let split = if test + size <= fifth {
            test += size;
            Split::Test
        } else if valid + size <= fifth {
            valid += size;
            Split::Valid
        } else {
            continue;
        };
        for &member in &group.members {
            splits[member] = split;
        }
    }
    if test == 0 || valid == 0 {
        return Err(SplitError::TooSmall { samples: samples.len(), groups: shuffled.len(), unit: by });
    }
    Ok(Assignment { splits, by, groups: shuffled.len(), fallback: None })
}

fn distinct<T: Eq + Hash>(values: impl Iterator<Item = T>) -> usize {
    values.collect::<std::collections::HashSet<T>>().len()
}

/// What samples of different splits have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leakage {
    pub channels: usize,
    /// Channels with samples in more than one split.
    pub divided_channels: usize,
    /// Different images.
    pub images: usize,
    /// Images, byte for byte, in more than one split.
    pub divided_images: usize,
}

impl Leakage {
    /// Counts over the `splits` of `samples`.
    #[must_use]
    pub fn of(samples: &[SampleKey<'_>], splits: &[Split]) -> Self {
        let (channels, divided_channels) = divided(samples.iter().map(SampleKey::channel), splits);
        let (images, divided_images) = divided(samples.iter().map(|sample| Some(sample.sha256)), splits);
        Self { channels, divided_channels, images, divided_images }
    }
}

/// Returns the number of different values, and how many of them are in more than one split.
fn divided<T: Eq + Hash>(values: impl Iterator<Item = Option<T>>, splits: &[Split]) -> (usize, usize) {
    let mut seen = HashMap::<T, Option<Split>>::new();
    for (value, split) in values.zip(splits) {
        if let Some(value) = value {
            let only = seen.entry(value).or_insert(Some(*split));
            *only = only.filter(|only| only == split);
        }
    }
    (seen.len(), seen.values().filter(|only| only.is_none()).count())
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

    fn key<'a>(video_id: &'a str, channel_id: Option<&'a str>, image: &str) -> SampleKey<'a> {
        SampleKey { video_id, channel_id, channel_name: None, sha256: Digest::of(image.as_bytes()) }
    }

    fn keys(ids: &[(String, String)]) -> Vec<SampleKey<'_>> {
        ids.iter().map(|(video, channel)| key(video, Some(channel), video)).collect()
    }

    fn ids(count: usize, channels: usize) -> Vec<(String, String)> {
        (0..count).map(|i| (format!("video-{i}"), format!("channel-{}", i % channels))).collect()
    }

    fn count(splits: &[Split], wanted: Split) -> usize {
        splits.iter().filter(|split| **split == wanted).count()
    }

    const VIDEO: Option<SplitBy> = Some(SplitBy::Video);
    const CHANNEL: Option<SplitBy> = Some(SplitBy::Channel);

    #[test]
    fn split_by_video_has_exact_sizes() {
        let check = |samples: usize, want: [usize; 3]| {
            let ids = ids(samples, 7);
            let Assignment { splits, groups, .. } = split(&keys(&ids), VIDEO, 0).unwrap();
            assert_eq!([Split::Train, Split::Valid, Split::Test].map(|split| count(&splits, split)), want);
            assert_eq!(groups, samples);
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
            split(&keys(&few), VIDEO, 0).unwrap_err().to_string(),
            "cannot split 60/20/20 by video: validation or test would be empty (usable samples: 4, groups: 4)"
        );
        let one_channel = ids(100, 1);
        let error = split(&keys(&one_channel), CHANNEL, 0).unwrap_err().to_string();
        assert!(error.ends_with("(usable samples: 100, groups: 1); use --split-by video"), "{error}");
    }

    /// Of each split, the indices of 10 samples in 5 channels with seed 2.
    #[test]
    fn assignment_is_pinned() {
        let ids = ids(10, 5);
        let of = |by| {
            let splits = split(&keys(&ids), by, 2).unwrap().splits;
            let at = |wanted| -> Vec<usize> { (0..10).filter(|&i| splits[i] == wanted).collect() };
            [at(Split::Valid), at(Split::Test)]
        };
        assert_eq!(
            (of(VIDEO), of(CHANNEL)),
            (PINNED_BY_VIDEO.map(Vec::from), PINNED_BY_CHANNEL.map(Vec::from))
        );
    }

    // Python: ids sorted by sha256(seed.to_bytes(8, "little") + id); the first 2 samples are the test split, the next 2
    // the validation split.
    const PINNED_BY_VIDEO: [[usize; 2]; 2] = [[5, 9], [7, 8]];
    const PINNED_BY_CHANNEL: [[usize; 2]; 2] = [[0, 5], [1, 6]];

    #[test]
    fn default_is_by_channel_where_that_is_possible() {
        let rows = ids(100, 20);
        let default = split(&keys(&rows), None, 0).unwrap();
        assert_eq!(default, split(&keys(&rows), CHANNEL, 0).unwrap());
        assert_eq!((default.by, default.groups, default.fallback), (SplitBy::Channel, 20, None));

        let rows = ids(60, 3);
        let few = split(&keys(&rows), None, 0).unwrap();
        assert_eq!((few.by, few.fallback), (SplitBy::Video, Some(Fallback::FewChannels { channels: 3 })));
        assert_eq!(Leakage::of(&keys(&rows), &few.splits).divided_channels, 3);

        let unknown: Vec<SampleKey<'_>> = rows.iter().map(|(video, _)| key(video, None, video)).collect();
        assert_eq!(split(&unknown, None, 0).unwrap().fallback, Some(Fallback::NoChannels));
        assert_eq!(split(&unknown, CHANNEL, 0).unwrap_err(), SplitError::NoChannels);
        assert!(matches!(split(&unknown[..4], None, 0), Err(SplitError::TooSmall { samples: 4, .. })));
    }

    #[test]
    fn channels_and_images_chain_into_one_group() {
        let name = |video_id, channel_name, image| SampleKey {
            channel_name: Some(channel_name),
            ..key(video_id, None, image)
        };
        let samples = [
            key("a", Some("one"), "1"),
            key("b", Some("one"), "2"),
            key("c", Some("two"), "2"),
            SampleKey { channel_name: Some("three"), ..key("d", Some("two"), "3") },
            name("e", "three", "4"),
            name("f", "four", "5"),
            key("g", None, "6"),
            key("h", None, "6"),
            key("i", None, "7"),
        ];
        let members = |by| -> Vec<Vec<usize>> {
            groups::groups(&samples, by).into_iter().map(|group| group.members).collect()
        };
        assert_eq!(members(SplitBy::Channel), [vec![0, 1, 2, 3, 4], vec![5], vec![6, 7], vec![8]]);
        assert_eq!(
            members(SplitBy::Video),
            [vec![0], vec![1, 2], vec![3], vec![4], vec![5], vec![6, 7], vec![8]]
        );
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
        fn split_is_stable_when_rows_are_reordered(
            rows in prop::collection::vec((0_u8..20, 0_u8..30), 25..120), seed in any::<u64>(), shift in 0_usize..120
        ) {
            let texts: Vec<[String; 3]> = rows.iter().enumerate()
                .map(|(i, (channel, image))| [format!("v{i}"), format!("c{channel}"), format!("i{image}")])
                .collect();
            // Channels above 14 are unknown.
            let mut samples: Vec<SampleKey<'_>> = texts.iter().zip(&rows)
                .map(|([video, channel, image], (number, _))| key(video, (*number < 15).then_some(channel), image))
                .collect();
            let shift = shift % samples.len();
            for by in [VIDEO, CHANNEL, None] {
                let before = split(&samples, by, seed);
                samples.rotate_left(shift);
                let after = split(&samples, by, seed);
                samples.rotate_right(shift);
                prop_assert_eq!(before.is_ok(), after.is_ok());
                if let (Ok(before), Ok(mut after)) = (before, after) {
                    after.splits.rotate_right(shift);
                    prop_assert_eq!(before, after);
                }
            }
        }

        #[test]
        fn no_channel_and_no_image_is_divided(
            rows in prop::collection::vec((0_u8..40, 0_u16..600), 50..300), seed in any::<u64>()
        ) {
            let texts: Vec<[String; 3]> = rows.iter().enumerate()
                .map(|(i, (channel, image))| [format!("v{i}"), format!("c{channel}"), format!("i{image}")])
                .collect();
            let samples: Vec<SampleKey<'_>> =
                texts.iter().map(|[video, channel, image]| key(video, Some(channel), image)).collect();
            if let Ok(assignment) = split(&samples, CHANNEL, seed) {
                let leakage = Leakage::of(&samples, &assignment.splits);
                prop_assert_eq!((leakage.divided_channels, leakage.divided_images), (0, 0));
            }
            let by_video = split(&samples, VIDEO, seed).unwrap();
            prop_assert_eq!(Leakage::of(&samples, &by_video.splits).divided_images, 0);
        }

        #[test]
        fn epoch_visits_every_sample_once(seed in any::<u64>(), epoch in any::<u32>(), samples in 0_u32..500) {
            let mut order = epoch_order(seed, epoch, samples);
            order.sort_unstable();
            prop_assert_eq!(order, (0..samples).collect::<Vec<_>>());
        }
    }
}
