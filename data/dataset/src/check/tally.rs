//! Counting of occurrences by text.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

/// A value and the number of items that have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Occurrences {
    pub value: String,
    pub items: u64,
}

#[derive(Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn add(&mut self, text: &str) {
        match self.0.get_mut(text) {
            Some(items) => *items += 1,
            None => {
                self.0.insert(text.to_owned(), 1);
            }
        }
    }

    /// Returns the counts, the most frequent first.
    pub(super) fn into_counts(self) -> Vec<Occurrences> {
        let mut counts: Vec<Occurrences> =
            self.0.into_iter().map(|(value, items)| Occurrences { value, items }).collect();
        counts.sort_by_key(|count| Reverse(count.items));
        counts
    }
}
