//! Findings of a dataset check: problems (unusable items), and warnings (suspicious items) by reason.
//!
//! Owns the reasons for warnings, and the choice of examples. Invariant: memory does not grow with the number
//! of warnings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::options::MAX_LISTED;

/// Views per subscriber above which a row is suspicious.
///
/// A fixed threshold, since a quantile would flag rows of every dataset. Of 3,200 real thumbnails of 2018 two
/// are above it, of channels with one and two subscribers; the median is 2.8, the 99th percentile 2,550. A
/// higher value means a new channel, or a count that was parsed incorrectly.
pub(super) const MAX_VIEWS_PER_SUBSCRIBER: u64 = 10_000;

/// An unusable row or image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItemProblem {
    pub item: String,
    pub reason: String,
}

/// Why an item or channel is suspicious.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    SubscribersMissing,
    SubscribersZero,
    ViewsMissing,
    ViewsZero,
    /// More than 10,000 views per subscriber.
    ViewsBeyondSubscribers,
    /// Rows of a channel have different subscriber counts.
    SubscribersDiffer,
    /// Two subscriber counts of a channel have a power of ten as their ratio, as when 1.7억 is parsed as 17억.
    SubscribersDifferByPowerOfTen,
    /// Rows of a channel have different categories.
    ChannelInCategories,
    PublishedAfterCrawled,
    PublishedInFuture,
    CrawledInFuture,
    CrawledAtMissing,
    /// A date has an unsupported format.
    DateUnreadable,
    /// The SHA-256 of the file differs from its row.
    FileChanged,
    /// YouTube's grey placeholder for a missing thumbnail.
    Placeholder,
}

impl Reason {
    /// Returns the text of the report.
    #[must_use]
    pub fn description(self) -> String {
        let text = match self {
            Self::SubscribersMissing => "missing subscribers",
            Self::SubscribersZero => "zero subscribers",
            Self::ViewsMissing => "missing views",
            Self::ViewsZero => "zero views",
            Self::ViewsBeyondSubscribers => {
                return format!("over {MAX_VIEWS_PER_SUBSCRIBER} views per subscriber");
            }
            Self::SubscribersDiffer => "subscriber counts that differ within a channel",
            Self::SubscribersDifferByPowerOfTen => {
                "subscriber counts that differ by a power of ten within a channel"
            }
            Self::ChannelInCategories => "channel in more than one category",
            Self::PublishedAfterCrawled => "published after crawled_at",
            Self::PublishedInFuture => "published in the future",
            Self::CrawledInFuture => "crawled in the future",
            Self::CrawledAtMissing => "missing crawled_at",
            Self::DateUnreadable => "unsupported date format",
            Self::FileChanged => "SHA-256 of the file differs from its row",
            Self::Placeholder => "grey placeholder for a missing thumbnail",
        };
        text.to_owned()
    }
}

/// All suspicious items, or channels, for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Warning {
    pub reason: Reason,
    pub description: String,
    /// Number of items or channels.
    pub count: u64,
    /// At most 20: the worst if they can be ranked, else the first.
    pub examples: Vec<Example>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Example {
    /// Item name or channel ID.
    pub item: String,
    /// The suspicious values; may be empty.
    pub value: String,
}

#[derive(Default)]
pub(super) struct Warnings(BTreeMap<Reason, RankedExamples>);

#[derive(Default)]
struct RankedExamples {
    count: u64,
    /// With their weights, in descending order; equal weights in the order in which they were added.
    examples: Vec<(f64, Example)>,
}

impl Warnings {
    pub(super) fn add(&mut self, reason: Reason, item: &str, value: impl Into<String>) {
        self.add_by_weight(reason, 0.0, item, value);
    }

    /// Adds a warning. The examples with the greatest weights are kept.
    pub(super) fn add_by_weight(
        &mut self,
        reason: Reason,
        weight: f64,
        item: &str,
        value: impl Into<String>,
    ) {
        let ranked = self.0.entry(reason).or_default();
        ranked.count += 1;
        let rank = ranked.examples.partition_point(|(other, _)| *other >= weight);
        if rank < MAX_LISTED {
            ranked.examples.insert(rank, (weight, Example { item: item.to_owned(), value: value.into() }));
            ranked.examples.truncate(MAX_LISTED);
        }
    }

    /// Removes a warning that was added for all `items`: a column that no row has is not in use.
    pub(super) fn retract(&mut self, reason: Reason, items: usize) {
        if self.0.get(&reason).is_some_and(|ranked| ranked.count == items as u64) {
            self.0.remove(&reason);
        }
    }

    pub(super) fn into_list(self) -> Vec<Warning> {
        let warning = |(reason, ranked): (Reason, RankedExamples)| Warning {
            reason,
            description: reason.description(),
            count: ranked.count,
            examples: ranked.examples.into_iter().map(|(_, example)| example).collect(),
        };
        self.0.into_iter().map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_with_the_greatest_weights_are_kept() {
        let mut warnings = Warnings::default();
        for number in 0..100_u32 {
            warnings.add(Reason::ViewsZero, &format!("{number}.jpg"), "0 views");
            let weight = f64::from(number % 50);
            warnings.add_by_weight(Reason::ViewsBeyondSubscribers, weight, &format!("{number}.jpg"), "x");
        }
        let list = warnings.into_list();
        let items = |index: usize| {
            list[index].examples.iter().map(|example| example.item.clone()).collect::<Vec<_>>()
        };
        assert_eq!((list[0].reason, list[0].count), (Reason::ViewsZero, 100));
        assert_eq!(items(0), (0..20).map(|n| format!("{n}.jpg")).collect::<Vec<_>>());
        assert_eq!(list[1].description, "over 10000 views per subscriber");
        assert_eq!(items(1)[..4], ["49.jpg", "99.jpg", "48.jpg", "98.jpg"]);
        assert_eq!(items(1).len(), 20);
    }
}
