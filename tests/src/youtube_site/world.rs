//! The world behind the site: which channels and videos there are, and how to find one.
//!
//! Owns the settings of a world and the lookup of what is in it. Invariant: two worlds with the same settings
//! are the same, in every process.

use std::{cmp::Reverse, collections::HashMap, time::Duration};

use super::channel::{Channel, Video, draw_channel};

/// The moment at which the world stands still: 2026-06-01T00:00:00Z, in seconds since 1970. Ages such as
/// `13 days ago` are counted from here, so that an answer does not depend on the day it is given.
pub const NOW: u64 = 1_780_272_000;
/// The key of the Data API that a world takes unless it is told others.
pub const KEY: &str = "site-key";

/// How a page spells the variable that holds its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialData {
    /// `var ytInitialData = {…};`, with `</script>` after it.
    Var,
    /// `window["ytInitialData"] = {…};`, with more statements after it, as pages had it before 2020.
    Window,
}

/// What a page does with `<`, `>` and `&` inside its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Angles {
    /// They are written as `\u003c`, as a page must that is read by browsers.
    Escaped,
    /// They stand as they are, so that a title can hold `};</script>`: only who matches braces reads it.
    Bare,
}

/// What a world is made from.
#[derive(Clone, Debug)]
pub struct World {
    /// Everything follows from it.
    pub seed: u64,
    /// How many channels.
    pub channels: u32,
    /// How many videos each has, odd ones included.
    pub videos_per_channel: u32,
    /// Whether there are premieres, live streams, members-only videos, untitled ones and uploads repeated.
    pub odd_videos: bool,
    /// How pages spell the variable.
    pub initial_data: InitialData,
    /// How pages write angle brackets inside it.
    pub angles: Angles,
    /// Keys that the Data API takes.
    pub keys: Vec<String>,
    /// Units a key has.
    pub units: u64,
    /// How long the site thinks about each request. Without it, requests hardly ever overlap.
    pub latency: Duration,
    /// How long after loading the ranking page its script fills the table.
    pub script_delay: Duration,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            channels: 12,
            videos_per_channel: 40,
            odd_videos: true,
            initial_data: InitialData::Var,
            angles: Angles::Escaped,
            keys: vec![KEY.to_owned()],
            units: 10_000,
            latency: Duration::ZERO,
            script_delay: Duration::from_millis(300),
        }
    }
}

/// The order of a Videos tab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Newest first.
    Latest,
    /// Most viewed first; what has no views yet is last.
    Popular,
    /// Oldest first.
    Oldest,
}

impl Order {
    /// All of them, in the order of their chips.
    pub const ALL: [Self; 3] = [Self::Latest, Self::Popular, Self::Oldest];

    /// What its chip says.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Latest => "Latest",
            Self::Popular => "Popular",
            Self::Oldest => "Oldest",
        }
    }
}

/// The channels of a world and the ways to one.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) channels: Vec<Channel>,
    names: HashMap<String, usize>,
    videos: HashMap<String, (usize, usize)>,
}

impl Content {
    pub(super) fn of(world: &World) -> Self {
        let channels: Vec<Channel> = (0..world.channels).map(|number| draw_channel(world, number)).collect();
        let mut names = HashMap::new();
        let mut videos = HashMap::new();
        for (at, channel) in channels.iter().enumerate() {
            names.insert(channel.id.clone(), at);
            names.insert(channel.handle.to_lowercase(), at);
            names.insert(channel.legacy_name.clone(), at);
            for (number, video) in channel.videos.iter().enumerate() {
                videos.insert(video.id.clone(), (at, number));
            }
        }
        Self { channels, names, videos }
    }

    /// Finds a channel by `UC…`, by `@handle` in any case, or by its name of old.
    pub(super) fn channel(&self, name: &str) -> Option<&Channel> {
        let at = self.names.get(name).or_else(|| self.names.get(&name.to_lowercase()))?;
        self.channels.get(*at)
    }

    pub(super) fn video(&self, id: &str) -> Option<(&Channel, &Video)> {
        let (channel, video) = self.videos.get(id)?;
        let channel = &self.channels[*channel];
        Some((channel, &channel.videos[*video]))
    }
}

impl Channel {
    /// Its videos as the tab lists them in this order.
    #[must_use]
    pub fn listed(&self, order: Order) -> Vec<&Video> {
        let mut videos: Vec<&Video> = self.videos.iter().collect();
        match order {
            Order::Latest => {}
            Order::Oldest => videos.reverse(),
            Order::Popular => videos.sort_by_key(|video| Reverse(video.views_shown())),
        }
        videos
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::youtube_site::channel::Kind;

    #[test]
    fn the_same_settings_give_the_same_world_and_another_seed_another() {
        let world = |seed| Content::of(&World { seed, channels: 5, ..World::default() });
        assert_eq!(world(3).channels, world(3).channels);
        let (here, there) = (world(3), world(4));
        assert!(here.channels.iter().all(|channel| there.channel(&channel.id).is_none()));
    }

    #[test]
    fn ids_have_the_real_alphabet_and_length_and_lead_back() {
        let content = Content::of(&World::default());
        let alphabet = |id: &str| id.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
        for channel in &content.channels {
            assert!(channel.id.starts_with("UC") && channel.id.len() == 24 && alphabet(&channel.id));
            assert_eq!(content.channel(&channel.id), Some(channel));
            assert_eq!(content.channel(&channel.handle.to_uppercase()), Some(channel));
            assert_eq!(channel.videos.len(), 40);
            for video in &channel.videos {
                assert!(video.id.len() == 11 && alphabet(&video.id));
                assert_eq!(content.video(&video.id), Some((channel, video)));
            }
        }
        assert_eq!(content.videos.len(), 480);
    }

    #[test]
    fn orders_are_what_they_say_and_hold_every_video() {
        let content = Content::of(&World::default());
        for channel in &content.channels {
            let published = |order| channel.listed(order).iter().map(|v| v.published).collect::<Vec<_>>();
            assert!(published(Order::Latest).is_sorted_by(|a, b| a > b));
            assert!(published(Order::Oldest).is_sorted_by(|a, b| a < b));
            let views: Vec<_> = channel.listed(Order::Popular).iter().map(|v| v.views_shown()).collect();
            assert!(views.is_sorted_by(|a, b| a >= b));
            assert_eq!(views.len(), channel.videos.len());
        }
        let odd = |kind| content.channels.iter().flat_map(|c| &c.videos).filter(|v| v.kind == kind).count();
        assert!(odd(Kind::Premiere) > 0 && odd(Kind::MembersOnly) > 0 && odd(Kind::Live) > 0);
        let plain = Content::of(&World { odd_videos: false, ..World::default() });
        assert!(plain.channels.iter().flat_map(|c| &c.videos).all(|v| v.kind == Kind::Plain));
    }
}
