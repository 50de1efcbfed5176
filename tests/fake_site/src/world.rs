//! The settings that everything on the site follows from.
//!
//! Owns the settings and the orders of a tab. Does not own what is drawn from them (`content`).

use std::time::Duration;

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
