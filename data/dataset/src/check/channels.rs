//! Channels and categories of a dataset, and warnings about channels with contradictory rows.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    counts::differ_by_power_of_ten,
    warnings::{Reason, Warnings},
};
use crate::manifest::ManifestItem;

/// Maximum distinct subscriber counts kept per channel.
const MAX_COUNTS: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Category {
    pub category: String,
    /// Channels with at least one usable row in the category.
    pub channels: u64,
    /// Usable rows in the category.
    pub rows: u64,
}

/// Statistics of usable rows by channel and category.
#[derive(Default)]
pub(super) struct Channels {
    channels: HashMap<Box<str>, ChannelSummary>,
    /// Category names; elsewhere a category is an index into this list.
    categories: Vec<Box<str>>,
    indices: HashMap<Box<str>, u32>,
    /// Rows of each category, with or without a channel.
    rows: Vec<u64>,
    without_category: u64,
}

#[derive(Default)]
struct ChannelSummary {
    rows: u64,
    /// Rows by category.
    categories: Vec<(u32, u64)>,
    /// Distinct subscriber counts, in the order of rows.
    subscribers: Vec<u64>,
}

impl Channels {
    pub(super) fn add(&mut self, item: &ManifestItem, category: Option<&str>) {
        let category = category.map(|category| self.index(category));
        match category {
            Some(category) => self.rows[category as usize] += 1,
            None => self.without_category += 1,
        }
        let Some(id) = item.channel_id.as_ref().or(item.channel.as_ref()) else { return };
        if !self.channels.contains_key(id.as_str()) {
            self.channels.insert(id.as_str().into(), ChannelSummary::default());
        }
        let Some(channel) = self.channels.get_mut(id.as_str()) else { return };
        channel.rows += 1;
        if let Some(category) = category {
            match channel.categories.iter_mut().find(|(other, _)| *other == category) {
                Some((_, rows)) => *rows += 1,
                None => channel.categories.push((category, 1)),
            }
        }
        if let Some(subscribers) = item.subscribers
            && channel.subscribers.len() < MAX_COUNTS
            && !channel.subscribers.contains(&subscribers)
        {
            channel.subscribers.push(subscribers);
        }
    }

    fn index(&mut self, category: &str) -> u32 {
        if let Some(index) = self.indices.get(category) {
            return *index;
        }
        let index = self.categories.len() as u32;
        self.categories.push(category.into());
        self.indices.insert(category.into(), index);
        self.rows.push(0);
        index
    }

    pub(super) fn len(&self) -> u64 {
        self.channels.len() as u64
    }

    pub(super) fn without_category(&self) -> u64 {
        self.without_category
    }

    /// Returns the categories, sorted by rows in descending order.
    pub(super) fn categories(&self) -> Vec<Category> {
        let mut channels = vec![0; self.categories.len()];
        for (category, _) in self.channels.values().flat_map(|channel| &channel.categories) {
            channels[*category as usize] += 1;
        }
        let names = self.categories.iter().map(ToString::to_string);
        let counts = channels.into_iter().zip(&self.rows);
        let mut categories: Vec<Category> = names
            .zip(counts)
            .map(|(category, (channels, rows))| Category { category, channels, rows: *rows })
            .collect();
        categories.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.category.cmp(&b.category)));
        categories
    }

    /// Warns about channels whose rows contradict each other.
    pub(super) fn check(&self, warnings: &mut Warnings) {
        let sorted: BTreeMap<&str, &ChannelSummary> =
            self.channels.iter().map(|(id, channel)| (&**id, channel)).collect();
        for (id, channel) in sorted {
            if channel.categories.len() > 1 {
                let text =
                    |(index, rows): &(u32, u64)| format!("{rows} {}", self.categories[*index as usize]);
                let value = channel.categories.iter().map(text).collect::<Vec<_>>().join(", ");
                warnings.add_by_weight(Reason::ChannelInCategories, channel.rows as f64, id, value);
            }
            channel.check_subscribers(id, warnings);
        }
    }
}

impl ChannelSummary {
    fn check_subscribers(&self, id: &str, warnings: &mut Warnings) {
        let (Some(min), Some(max)) = (self.subscribers.iter().min(), self.subscribers.iter().max()) else {
            return;
        };
        if min == max {
            return;
        }
        let ratio = *max as f64 / (*min).max(1) as f64;
        let value = format!("{min} to {max} subscribers in {} rows", self.rows);
        warnings.add_by_weight(Reason::SubscribersDiffer, ratio, id, value);
        let mut pairs = self.subscribers.iter().enumerate().flat_map(|(index, one)| {
            self.subscribers[index + 1..].iter().map(move |other| (*one.min(other), *one.max(other)))
        });
        if let Some((small, large)) = pairs.find(|(small, large)| differ_by_power_of_ten(*small, *large)) {
            let value = format!("{small} and {large} subscribers");
            warnings.add_by_weight(Reason::SubscribersDifferByPowerOfTen, ratio, id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_channels_are_reported() {
        let mut channels = Channels::default();
        for (channel, category, subscribers) in [
            (Some("UC1"), Some("Fitness"), Some(1_090_000)),
            (Some("UC1"), Some("Fitness"), Some(10_900_000)),
            (Some("UC1"), Some("Food"), Some(1_090_000)),
            (Some("UC2"), Some("Food"), Some(7)),
            (Some("UC2"), None, Some(8)),
            (Some("UC3"), Some("Food"), None),
            (None, Some("Food"), Some(9)),
        ] {
            let item = ManifestItem {
                channel_id: channel.map(str::to_owned),
                subscribers,
                ..ManifestItem::named("x.jpg")
            };
            channels.add(&item, category);
        }
        assert_eq!((channels.len(), channels.without_category()), (3, 1));
        let category =
            |category: &str, channels, rows| Category { category: category.to_owned(), channels, rows };
        assert_eq!(channels.categories(), [category("Food", 3, 4), category("Fitness", 1, 2)]);
        let mut warnings = Warnings::default();
        channels.check(&mut warnings);
        let found: Vec<(Reason, Vec<(String, String)>)> = warnings
            .into_list()
            .into_iter()
            .map(|warning| {
                (warning.reason, warning.examples.into_iter().map(|e| (e.item, e.value)).collect())
            })
            .collect();
        let example = |item: &str, value: &str| (item.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [
                (
                    Reason::SubscribersDiffer,
                    vec![
                        example("UC1", "1090000 to 10900000 subscribers in 3 rows"),
                        example("UC2", "7 to 8 subscribers in 2 rows"),
                    ]
                ),
                (
                    Reason::SubscribersDifferByPowerOfTen,
                    vec![example("UC1", "1090000 and 10900000 subscribers")]
                ),
                (Reason::ChannelInCategories, vec![example("UC1", "2 Fitness, 1 Food")]),
            ]
        );
    }
}
