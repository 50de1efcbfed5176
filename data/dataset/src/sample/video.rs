//! Sample channels and videos: their visual features, and the views and subscribers computed from them.

use rand::RngExt;
use serde_json::json;

use super::random::{gaussian, random};
use crate::row::Row;

const VIDEOS_PER_CHANNEL: u32 = 20;
/// The categories of the 2020 project: eating shows, travel, games, politics, beauty.
const CATEGORIES: [&str; 5] = ["먹방", "여행", "게임", "정치", "뷰티"];

pub(super) struct SampleChannel {
    pub(super) number: u32,
    pub(super) category: &'static str,
    pub(super) subscribers: u64,
    /// Base hue of its thumbnails, as a fraction of the colour circle.
    pub(super) hue: f32,
}

impl SampleChannel {
    pub(super) fn draw(seed: u64, number: u32) -> Self {
        let mut random = random(seed, 1, number);
        let subscribers = (10.5 + 1.6 * gaussian(&mut random)).exp().clamp(100.0, 2e7);
        Self {
            number,
            category: CATEGORIES[(number as usize) % CATEGORIES.len()],
            subscribers: subscribers as u64,
            hue: random.random_range(0.0..1.0),
        }
    }
}

/// A video. Its visual features, from `brightness` to `lettering`, are in 0…1.
pub(super) struct SampleVideo {
    pub(super) seed: u64,
    pub(super) number: u32,
    pub(super) id: String,
    pub(super) channel: SampleChannel,
    pub(super) views: u64,
    pub(super) brightness: f32,
    pub(super) warmth: f32,
    pub(super) face: f32,
    pub(super) lettering: f32,
}

impl SampleVideo {
    pub(super) fn draw(seed: u64, number: u32) -> Self {
        let channel = SampleChannel::draw(seed, number / VIDEOS_PER_CHANNEL);
        let mut random = random(seed, 2, number);
        let [brightness, warmth, face, lettering] =
            std::array::from_fn(|_| random.random_range(0.0..1.0_f32));
        let log_ratio = -1.2 + 1.6 * brightness + 0.9 * warmth + 1.0 * face + 0.9 * lettering;
        let views_per_subscriber = (f64::from(log_ratio) + 0.25 * gaussian(&mut random)).exp();
        let views = (views_per_subscriber * channel.subscribers as f64).round() as u64;
        let id = format!("s{seed}-{number:06}");
        Self { seed, number, id, channel, views, brightness, warmth, face, lettering }
    }

    /// Returns its metadata row, with the columns sorted by name.
    pub(super) fn row(&self) -> String {
        let (year, month, day) = (2015 + self.number % 10, 1 + self.number % 12, 1 + self.number % 28);
        let row = Row {
            file_name: format!("thumbnails/{}.jpg", self.id),
            video_id: Some(self.id.clone()),
            title: Some(format!("{} video {}", self.channel.category, self.number)),
            channel_id: Some(format!("UC-sample-{:05}", self.channel.number)),
            channel: Some(format!("Channel {}", self.channel.number)),
            category: Some(self.channel.category.to_owned()),
            subscribers: Some(self.channel.subscribers),
            views: Some(self.views),
            published: Some(format!("{year}-{month:02}-{day:02}T12:00:00Z")),
            crawled_at: Some("2026-01-01T00:00:00Z".to_owned()),
            ..Row::default()
        };
        json!(row).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_columns_are_sorted_by_name() {
        let row = SampleVideo::draw(0, 1).row();
        let rest = row.strip_prefix("{\"category\":\"먹방\",\"channel\":\"Channel 0\",\"channel_id\":\"UC-sample-00000\",\"crawled_at\":\"2026-01-01T00:00:00Z\",\"file_name\":\"thumbnails/s0-000001.jpg\",\"published\":\"2016-02-02T12:00:00Z\",\"subscribers\":");
        let names = ["\"title\":\"먹방 video 1\"", "\"video_id\":\"s0-000001\"", "\"views\":"];
        let offsets = names.map(|name| rest.and_then(|rest| rest.find(name)).expect(&row));
        assert!(offsets.is_sorted(), "{row}");
    }
}
