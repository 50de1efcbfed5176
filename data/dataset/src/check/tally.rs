//! How often something occurs.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

/// How often something occurs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Occurrences {
    /// What.
    pub what: String,
    /// How often.
    pub items: u64,
}

/// How often each text occurred.
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

    /// The most frequent first.
    pub(super) fn into_counts(self) -> Vec<Occurrences> {
        let mut counts: Vec<Occurrences> =
            self.0.into_iter().map(|(what, items)| Occurrences { what, items }).collect();
        counts.sort_by_key(|count| Reverse(count.items));
        counts
    }
}
