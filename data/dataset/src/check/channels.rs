//! The channels of a dataset and the categories they stand in.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    counts::differ_by_power_of_ten,
    warnings::{Reason, Warnings},
};
use crate::manifest::ManifestItem;

/// Different numbers of subscribers that are remembered of one channel.
const MOST_COUNTS: usize = 16;

/// A category.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Category {
    /// Its name.
    pub category: String,
    /// Channels with at least one usable row in it.
    pub channels: u64,
    /// Usable rows.
    pub rows: u64,
}

/// What usable rows say of channels.
#[derive(Default)]
pub(super) struct Channels {
    channels: HashMap<Box<str>, ChannelSummary>,
    /// Their names are held once, and known by their place.
    categories: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
    /// Rows of each category, channel or none.
    rows: Vec<u64>,
    without_category: u64,
}

#[derive(Default)]
struct ChannelSummary {
    rows: u64,
    /// Rows by category.
    categories: Vec<(u32, u64)>,
    /// Different numbers of subscribers, in the order in which they came.
    subscribers: Vec<u64>,
}

impl Channels {
    pub(super) fn add(&mut self, item: &ManifestItem, category: Option<&str>) {
        let category = category.map(|category| self.place(category));
        match category {
            Some(category) => self.rows[category as usize] += 1,
            None => self.without_category += 1,
        }
        let Some(id) = &item.channel_id else { return };
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
            && channel.subscribers.len() < MOST_COUNTS
            && !channel.subscribers.contains(&subscribers)
        {
            channel.subscribers.push(subscribers);
        }
    }

    fn place(&mut self, category: &str) -> u32 {
        if let Some(place) = self.places.get(category) {
            return *place;
        }
        let place = self.categories.len() as u32;
        self.categories.push(category.into());
        self.places.insert(category.into(), place);
        self.rows.push(0);
        place
    }

    pub(super) fn len(&self) -> u64 {
        self.channels.len() as u64
    }

    pub(super) fn without_category(&self) -> u64 {
        self.without_category
    }

    /// The category with most rows first.
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

    /// Looks for channels whose rows contradict one another.
    pub(super) fn suspect(&self, warnings: &mut Warnings) {
        let in_order: BTreeMap<&str, &ChannelSummary> =
            self.channels.iter().map(|(id, channel)| (&**id, channel)).collect();
        for (id, channel) in in_order {
            if channel.categories.len() > 1 {
                let of = |(place, rows): &(u32, u64)| format!("{rows} {}", self.categories[*place as usize]);
                let value = channel.categories.iter().map(of).collect::<Vec<_>>().join(", ");
                warnings.add_by_weight(Reason::ChannelInCategories, channel.rows as f64, id, value);
            }
            channel.suspect_subscribers(id, warnings);
        }
    }
}

impl ChannelSummary {
    fn suspect_subscribers(&self, id: &str, warnings: &mut Warnings) {
        let (Some(least), Some(most)) = (self.subscribers.iter().min(), self.subscribers.iter().max()) else {
            return;
        };
        if least == most {
            return;
        }
        let ratio = *most as f64 / (*least).max(1) as f64;
        let value = format!("{least} to {most} subscribers in {} rows", self.rows);
        warnings.add_by_weight(Reason::SubscribersDiffer, ratio, id, value);
        let mut pairs = self.subscribers.iter().enumerate().flat_map(|(at, one)| {
            self.subscribers[at + 1..].iter().map(move |other| (*one.min(other), *one.max(other)))
        });
        if let Some((small, large)) = pairs.find(|(one, other)| differ_by_power_of_ten(*one, *other)) {
            let value = format!("{small} and {large} subscribers");
            warnings.add_by_weight(Reason::SubscribersDifferByPowerOfTen, ratio, id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_counted_by_category_and_contradictions_named() {
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
        channels.suspect(&mut warnings);
        let found: Vec<(Reason, Vec<(String, String)>)> = warnings
            .into_list()
            .into_iter()
            .map(|s| (s.reason, s.examples.into_iter().map(|e| (e.item, e.value)).collect()))
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
