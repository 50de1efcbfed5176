//! What is found: problems, which cannot be used, and suspicions, by reason, with examples.
//!
//! Owns the reasons of suspicions and which examples are kept. Invariant: memory does not grow with what is suspected.

use std::collections::BTreeMap;

use serde::Serialize;

use super::options::LISTED;

/// Views a subscriber beyond which a row looks odd.
///
/// A fixed bound, not a quantile, which would suspect some rows of every dataset. Of 3,200 real thumbnails of 2018
/// two are over it, by channels of one and of two subscribers; the median is 2.8 and the 99th percentile 2,550.
/// What is over it is either a channel that had hardly begun or a count that was read wrongly.
pub(super) const MANY_VIEWS: u64 = 10_000;

/// Something that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItemProblem {
    /// The row or the image.
    pub item: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why something looks odd.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A row says nothing of subscribers.
    SubscribersMissing,
    /// A channel without subscribers.
    SubscribersZero,
    /// A row says nothing of views.
    ViewsMissing,
    /// A video that nobody saw.
    ViewsZero,
    /// More views than an audience explains.
    ViewsBeyondSubscribers,
    /// One channel has different numbers of subscribers.
    SubscribersDiffer,
    /// They have the same digits and differ by a power of ten, as when 1.7억 is read as 17억.
    SubscribersDifferByPowerOfTen,
    /// One channel stands in several categories.
    ChannelInCategories,
    /// A video is younger than its row.
    PublishedAfterCrawled,
    /// A video is not published yet.
    PublishedInFuture,
    /// A row is not crawled yet.
    CrawledInFuture,
    /// A row does not say when its counts were true.
    CrawledAtMissing,
    /// A date in a form that is not known.
    DateUnreadable,
    /// The file has another SHA-256 than its row says.
    FileChanged,
    /// The grey picture that stands for a missing thumbnail.
    Placeholder,
}

impl Reason {
    /// Returns what it means, in the words of a table.
    #[must_use]
    pub fn means(self) -> String {
        let words = match self {
            Self::SubscribersMissing => "subscribers are missing",
            Self::SubscribersZero => "subscribers are zero",
            Self::ViewsMissing => "views are missing",
            Self::ViewsZero => "views are zero",
            Self::ViewsBeyondSubscribers => return format!("over {MANY_VIEWS} views a subscriber"),
            Self::SubscribersDiffer => "channels whose rows have different subscribers",
            Self::SubscribersDifferByPowerOfTen => "channels whose subscribers differ by a power of ten",
            Self::ChannelInCategories => "channels in more than one category",
            Self::PublishedAfterCrawled => "published after they were crawled",
            Self::PublishedInFuture => "published in the future",
            Self::CrawledInFuture => "crawled in the future",
            Self::CrawledAtMissing => "crawled_at is missing",
            Self::DateUnreadable => "dates in a form that is not known",
            Self::FileChanged => "files with another SHA-256 than their row says",
            Self::Placeholder => "grey pictures that stand for a missing thumbnail",
        };
        words.to_owned()
    }
}

/// Everything that looks odd for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Suspicion {
    /// The reason.
    pub reason: Reason,
    /// The reason in words.
    pub means: String,
    /// How many items, or channels, it is about.
    pub found: u64,
    /// The worst of them, or else the first; at most 20.
    pub examples: Vec<Example>,
}

/// One of what looks odd.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Example {
    /// The item, or the channel.
    pub item: String,
    /// What it says.
    pub value: String,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Suspicions(BTreeMap<Reason, Found>);

#[derive(Default)]
struct Found {
    count: u64,
    /// The worst first; of equals, the first that came.
    examples: Vec<(f64, Example)>,
}

impl Suspicions {
    /// Notes one more.
    pub(super) fn add(&mut self, reason: Reason, item: &str, value: impl Into<String>) {
        self.add_by_weight(reason, 0.0, item, value);
    }

    /// Notes one more, which is the more worth showing the more it weighs.
    pub(super) fn add_by_weight(
        &mut self,
        reason: Reason,
        weight: f64,
        item: &str,
        value: impl Into<String>,
    ) {
        let found = self.0.entry(reason).or_default();
        found.count += 1;
        let at = found.examples.partition_point(|(other, _)| *other >= weight);
        if at < LISTED {
            found.examples.insert(at, (weight, Example { item: item.to_owned(), value: value.into() }));
            found.examples.truncate(LISTED);
        }
    }

    /// Takes back what was said of all of so many items: what none has, nobody misses.
    pub(super) fn forgive(&mut self, reason: Reason, items: usize) {
        if self.0.get(&reason).is_some_and(|found| found.count == items as u64) {
            self.0.remove(&reason);
        }
    }

    pub(super) fn into_list(self) -> Vec<Suspicion> {
        let suspicion = |(reason, found): (Reason, Found)| Suspicion {
            reason,
            means: reason.means(),
            found: found.count,
            examples: found.examples.into_iter().map(|(_, example)| example).collect(),
        };
        self.0.into_iter().map(suspicion).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_kept_and_of_equals_the_first() {
        let mut suspicions = Suspicions::default();
        for number in 0..100_u32 {
            suspicions.add(Reason::ViewsZero, &format!("{number}.jpg"), "0 views");
            let weight = f64::from(number % 50);
            suspicions.add_by_weight(Reason::ViewsBeyondSubscribers, weight, &format!("{number}.jpg"), "x");
        }
        let list = suspicions.into_list();
        let items = |at: usize| list[at].examples.iter().map(|e| e.item.clone()).collect::<Vec<_>>();
        assert_eq!((list[0].reason, list[0].found), (Reason::ViewsZero, 100));
        assert_eq!(items(0), (0..20).map(|n| format!("{n}.jpg")).collect::<Vec<_>>());
        assert_eq!(list[1].means, "over 10000 views a subscriber");
        assert_eq!(items(1)[..4], ["49.jpg", "99.jpg", "48.jpg", "98.jpg"]);
        assert_eq!(items(1).len(), 20);
    }
}
