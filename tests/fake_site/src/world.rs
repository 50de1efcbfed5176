//! The settings from which a site is generated, and the orders of a Videos tab.

use std::time::Duration;

/// The site's fixed current time, 2026-06-01T00:00:00Z, in seconds since 1970. Ages such as `13 days ago` are
/// relative to it, so that responses do not depend on the day.
pub const NOW: u64 = 1_780_272_000;
/// The default Data API key.
pub const KEY: &str = "site-key";

/// How a page spells the variable that holds its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialData {
    /// `var ytInitialData = {…};`, with `</script>` after it.
    Var,
    /// `window["ytInitialData"] = {…};`, followed by more statements, as in pages before 2020.
    Window,
}

/// How a page writes `<`, `>` and `&` inside its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AngleBrackets {
    /// As `\u003c`, which browsers need.
    Escaped,
    /// Unescaped, so that a title can contain `};</script>`, which breaks readers that do not match braces.
    Unescaped,
}

/// The settings of a site.
#[derive(Clone, Debug)]
pub struct World {
    /// Seed of all content.
    pub seed: u64,
    /// Number of channels.
    pub channels: u32,
    /// Number of videos per channel, including odd ones.
    pub videos_per_channel: u32,
    /// Whether there are premieres, live streams, members-only and untitled videos, and repeated uploads.
    pub odd_videos: bool,
    /// How pages spell the variable.
    pub initial_data: InitialData,
    /// How pages write angle brackets inside it.
    pub angles: AngleBrackets,
    /// Valid Data API keys.
    pub keys: Vec<String>,
    /// Data API units per key.
    pub units: u64,
    /// Delay of each response. Without it, requests hardly ever overlap.
    pub latency: Duration,
    /// Delay until the script of the ranking page fills the table.
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
            angles: AngleBrackets::Escaped,
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
    /// Most viewed first; videos without visible views last.
    Popular,
    /// Oldest first.
    Oldest,
}

impl Order {
    /// All of them, in the order of their chips.
    pub const ALL: [Self; 3] = [Self::Latest, Self::Popular, Self::Oldest];

    /// Returns the text of its chip.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Latest => "Latest",
            Self::Popular => "Popular",
            Self::Oldest => "Oldest",
        }
    }
}
