//! Groups of samples that a split must not divide.
//!
//! Invariant: groups and their keys depend on the set of samples, not on its order.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use super::key::{SampleKey, SplitBy};

/// Samples that stay together.
pub(super) struct Group<'a> {
    /// The smallest video ID or channel of its samples; decides the group's place in the split.
    pub(super) key: &'a str,
    /// The smallest video ID, which distinguishes groups with equal keys.
    pub(super) first: &'a str,
    /// Indices of its samples, in ascending order.
    pub(super) members: Vec<usize>,
}

/// Groups samples with the same image; by channel, also samples of the same channel. A sample without a channel ID
/// joins all samples that have its channel name.
pub(super) fn groups<'a>(samples: &[SampleKey<'a>], by: SplitBy) -> Vec<Group<'a>> {
    let mut sets = DisjointSets::new(samples.len());
    sets.join_equal(samples.iter().map(|sample| Some(sample.video_id)));
    sets.join_equal(samples.iter().map(|sample| Some(sample.sha256)));
    if by == SplitBy::Channel {
        sets.join_equal(samples.iter().map(SampleKey::channel));
        join_by_name(&mut sets, samples);
    }
    let key = |sample: &SampleKey<'a>| match by {
        SplitBy::Video => sample.video_id,
        SplitBy::Channel => sample.channel().unwrap_or(sample.video_id),
    };
    let mut groups = BTreeMap::<usize, Group<'a>>::new();
    for (index, sample) in samples.iter().enumerate() {
        let new = || Group { key: key(sample), first: sample.video_id, members: Vec::new() };
        let group = groups.entry(sets.root(index)).or_insert_with(new);
        group.key = group.key.min(key(sample));
        group.first = group.first.min(sample.video_id);
        group.members.push(index);
    }
    groups.into_values().collect()
}

/// Joins each sample that has a channel name and no ID with all samples of that name, whatever their IDs.
fn join_by_name(sets: &mut DisjointSets, samples: &[SampleKey<'_>]) {
    let mut without_id = HashMap::<&str, usize>::new();
    for (index, sample) in samples.iter().enumerate() {
        if let (None, Some(name)) = (sample.channel_id, sample.channel_name) {
            without_id.entry(name).or_insert(index);
        }
    }
    for (index, sample) in samples.iter().enumerate() {
        if let Some(&other) = sample.channel_name.and_then(|name| without_id.get(name)) {
            sets.join(index, other);
        }
    }
}

/// Union-find with path halving.
struct DisjointSets {
    parents: Vec<usize>,
}

impl DisjointSets {
    fn new(count: usize) -> Self {
        Self { parents: (0..count).collect() }
    }

    fn root(&mut self, mut index: usize) -> usize {
        while self.parents[index] != index {
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
    }

    /// Joins the indices that have the same value.
    fn join_equal<T: Eq + Hash>(&mut self, values: impl Iterator<Item = Option<T>>) {
        let mut first = HashMap::new();
        for (index, value) in values.enumerate() {
            if let Some(value) = value {
                let other = *first.entry(value).or_insert(index);
                self.join(index, other);
            }
        }
    }
}
