//! Channels and videos: what is true of them, drawn from the seed.
//!
//! Owns the drawing of facts. Views per subscriber rise with what can be seen in the picture, so that a
//! dataset read from here has something to learn. Does not own how facts are told (`items`, `data_api`).

use dataset::sample::{gaussian, random};
use rand::RngExt;

use super::{
    picture::Look,
    words,
    world::{NOW, World},
};

const DAY: u64 = 86_400;

/// A subject of the ranking page, as its address spells it.
pub const CATEGORIES: [&str; 5] = ["mukbang", "travel", "games", "politics", "beauty"];

/// The same in Korean, which addresses may say instead.
pub const KOREAN_CATEGORIES: [&str; 5] = ["먹방", "여행", "게임", "정치", "뷰티"];

/// How a channel's tab lists its videos.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemLayout {
    /// `videoRenderer`, with exact views.
    VideoRenderer,
    /// `lockupViewModel`, with abbreviated views.
    LockupViewModel,
}

/// Where a channel's tab holds the choice of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChipLayout {
    /// `feedFilterChipBarRenderer`.
    FilterBar,
    /// A flat `chipBarViewModel`.
    ChipBar,
    /// A `chipBarViewModel` whose first chip opens a sheet with the orders; the others are something else.
    Sheet,
}

/// Where a list says how it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContinuationLayout {
    /// `continuationItemRenderer` with the command at its endpoint.
    Endpoint,
    /// The same with the command among several of a `commandExecutorCommand`.
    Executor,
    /// `continuationItemViewModel`.
    ViewModel,
}

/// What heads a channel's page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderLayout {
    /// `pageHeaderRenderer`.
    Page,
    /// `c4TabbedHeaderRenderer`, the older one.
    Tabbed,
}

/// A channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Channel {
    /// Its place in the world.
    pub number: u32,
    /// `UC` and 22 more characters.
    pub id: String,
    /// With its `@`; not always ASCII.
    pub handle: String,
    /// What `/user/` and `/c/` addresses call it.
    pub legacy_name: String,
    /// Its title.
    pub title: String,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// The exact count, which no page tells.
    pub subscribers: u64,
    /// Whether it hides the count.
    pub hides_subscribers: bool,
    /// When it began, in seconds since 1970.
    pub published: u64,
    /// How its items are told.
    pub items: ItemLayout,
    /// How its orders are told.
    pub chips: ChipLayout,
    /// How its list goes on.
    pub continuation: ContinuationLayout,
    /// What heads its page.
    pub header: HeaderLayout,
    /// Newest first.
    pub videos: Vec<Video>,
}

/// What a video is besides a recording that everybody may watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing else.
    Plain,
    /// It has not begun, and has no views.
    Premiere,
    /// It goes on now, and the tab says how many watch.
    Live,
    /// The tab does not say its views.
    MembersOnly,
}

/// What the image host does where a variant was never made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The placeholder, with 404.
    NotFound,
    /// The placeholder, with 200.
    AsIfThere,
}

/// A video.
#[derive(Clone, PartialEq, Debug)]
pub struct Video {
    /// Eleven characters.
    pub id: String,
    /// May be empty, and may hold anything.
    pub title: String,
    /// In seconds since 1970.
    pub published: u64,
    /// In seconds.
    pub length: u64,
    /// The exact count.
    pub views: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether the Data API leaves the count out.
    pub hides_views: bool,
    /// Whether there is a maxresdefault.
    pub has_maxres: bool,
    /// Whether there is an sddefault.
    pub has_sd: bool,
    /// What is answered for one that is not there.
    pub missing: Missing,
    pub(super) look: Look,
}

impl Video {
    /// The views that the tab tells or orders by; none of a video whose views it does not tell.
    #[must_use]
    pub fn views_shown(&self) -> Option<u64> {
        (self.kind == Kind::Plain).then_some(self.views)
    }
}

impl Channel {
    /// Its list of uploads in the Data API.
    #[must_use]
    pub fn uploads(&self) -> String {
        format!("UU{}", &self.id[2..])
    }
}

pub(super) fn draw_channel(world: &World, number: u32) -> Channel {
    let mut random = random(world.seed, 1, number);
    let at = number as usize;
    let title = words::channel_title(&mut random, number);
    // Every fifth handle is not ASCII, so that addresses have to be escaped.
    let handle = if at % 5 == 4 { format!("@먹방{number}채널") } else { words::handle(&title, number) };
    let subscribers = (10.5 + 1.6 * gaussian(&mut random)).exp().clamp(100.0, 2e7) as u64;
    let gap = random.random_range(DAY / 2..12 * DAY);
    let hue = random.random_range(0.0..1.0);
    let layouts = Layouts::of(number);
    let mut channel = Channel {
        number,
        id: words::channel_id(&mut random),
        legacy_name: format!("{}tv", words::handle(&title, number).trim_start_matches('@').to_lowercase()),
        handle,
        title,
        category: CATEGORIES[at % CATEGORIES.len()],
        subscribers,
        hides_subscribers: at % 7 == 6,
        published: NOW - gap * u64::from(world.videos_per_channel + 3),
        items: layouts.items,
        chips: layouts.chips,
        continuation: layouts.continuation,
        header: if at % 6 == 5 { HeaderLayout::Tabbed } else { HeaderLayout::Page },
        videos: Vec::new(),
    };
    channel.videos =
        (0..world.videos_per_channel).map(|at| draw_video(world, &channel, at, gap, hue)).collect();
    if world.odd_videos {
        make_odd(&mut channel);
    }
    channel
}

struct Layouts {
    items: ItemLayout,
    chips: ChipLayout,
    continuation: ContinuationLayout,
}

impl Layouts {
    /// Six channels in a row have every layout, and eighteen every combination.
    fn of(number: u32) -> Self {
        let items = [ItemLayout::LockupViewModel, ItemLayout::VideoRenderer];
        let chips = [ChipLayout::FilterBar, ChipLayout::ChipBar, ChipLayout::Sheet];
        let continuations =
            [ContinuationLayout::Endpoint, ContinuationLayout::Executor, ContinuationLayout::ViewModel];
        let at = number as usize;
        Self { items: items[at % 2], chips: chips[at % 3], continuation: continuations[(at + at / 6) % 3] }
    }
}

fn draw_video(world: &World, channel: &Channel, at: u32, gap: u64, hue: f32) -> Video {
    let number = channel.number * world.videos_per_channel + at;
    let mut random = random(world.seed, 2, number);
    let look = Look::draw(&mut random, hue);
    let views_per_subscriber = (look.law() + 0.25 * gaussian(&mut random)).exp();
    let has_sd = !random.random_bool(0.04);
    Video {
        id: words::video_id(&mut random),
        title: words::video_title(&mut random, channel.category, number),
        published: NOW - u64::from(at) * gap - random.random_range(1..gap),
        length: random.random_range(20..5_000),
        views: (views_per_subscriber * channel.subscribers as f64).round() as u64,
        kind: Kind::Plain,
        hides_views: number % 17 == 5,
        has_maxres: has_sd && !random.random_bool(0.08),
        has_sd,
        missing: if random.random_bool(0.25) { Missing::AsIfThere } else { Missing::NotFound },
        look,
    }
}

/// Gives some videos of a channel what most do not have; which ones depends on the channel's number.
fn make_odd(channel: &mut Channel) {
    let number = channel.number;
    let Some(last) = channel.videos.len().checked_sub(1).filter(|&last| last >= 4) else { return };
    channel.videos[0].kind = [Kind::Premiere, Kind::MembersOnly, Kind::Live][(number / 2 % 3) as usize];
    match number % 4 {
        1 => channel.videos[last].views = 0,
        2 => channel.videos[last].views = 1,
        // The same picture, uploaded again.
        3 => channel.videos[2].look = channel.videos[1].look,
        _ => channel.videos[3].title.clear(),
    }
}
