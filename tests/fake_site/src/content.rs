//! All channels and videos of a world, with lookup.
//!
//! Invariant: equal settings give equal content, in every process.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    channel::{Channel, Video, draw_channel},
    world::{Order, World},
};

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

    /// Finds a channel by ID, by `@handle` in any case, or by its legacy name.
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
    /// Returns its videos as the tab lists them in this order.
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
    use crate::channel::Kind;

    #[test]
    fn world_is_a_function_of_its_settings() {
        let world = |seed| Content::of(&World { seed, channels: 5, ..World::default() });
        assert_eq!(world(3).channels, world(3).channels);
        let (here, there) = (world(3), world(4));
        assert!(here.channels.iter().all(|channel| there.channel(&channel.id).is_none()));
    }

    #[test]
    fn ids_have_the_real_format_and_are_found() {
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
    fn orders_are_sorted_and_complete() {
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
