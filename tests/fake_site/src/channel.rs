//! Generates channels and videos from the seed.
//!
//! Views per subscriber depend on visible features of the thumbnail, so that a model can learn from a crawled
//! dataset. Formatting is in `items` and `resources`.

use dataset::sample::{gaussian, random};
use rand::RngExt;

use super::{
    naming,
    picture::Appearance,
    world::{NOW, World},
};

const DAY: u64 = 86_400;

/// Categories, as in the addresses of ranking pages.
pub const CATEGORIES: [&str; 5] = ["mukbang", "travel", "games", "politics", "beauty"];

/// Alternative Korean names of [`CATEGORIES`].
pub const KOREAN_CATEGORIES: [&str; 5] = ["먹방", "여행", "게임", "정치", "뷰티"];

/// Layout of the videos in a tab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemLayout {
    /// `videoRenderer`, with exact views.
    VideoRenderer,
    /// `lockupViewModel`, with abbreviated views.
    LockupViewModel,
}

/// Layout of the order chips.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChipLayout {
    /// `feedFilterChipBarRenderer`.
    FilterBar,
    /// A flat `chipBarViewModel`.
    ChipBar,
    /// A `chipBarViewModel` whose first chip opens a sheet with the orders; the others are filters.
    Sheet,
}

/// Layout of the continuation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContinuationLayout {
    /// `continuationItemRenderer` with the command at its endpoint.
    Endpoint,
    /// The same, with the command in a `commandExecutorCommand`.
    Executor,
    /// `continuationItemViewModel`.
    ViewModel,
}

/// Layout of the page header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderLayout {
    /// `pageHeaderRenderer`.
    Page,
    /// `c4TabbedHeaderRenderer`, the older one.
    Tabbed,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Channel {
    /// Index in the world.
    pub number: u32,
    /// `UC` and 22 more characters.
    pub id: String,
    /// With `@`; not always ASCII.
    pub handle: String,
    /// Its name in `/user/` and `/c/` addresses.
    pub legacy_name: String,
    pub title: String,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// Exact count, which pages do not show.
    pub subscribers: u64,
    pub hides_subscribers: bool,
    /// In seconds since 1970.
    pub published: u64,
    pub items: ItemLayout,
    pub chips: ChipLayout,
    pub continuation: ContinuationLayout,
    pub header: HeaderLayout,
    /// Newest first.
    pub videos: Vec<Video>,
}

/// The kind of a video.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ordinary public video.
    Plain,
    /// Not started, without views.
    Premiere,
    /// A live stream; the tab shows its current viewers.
    Live,
    /// For members; the tab does not show its views.
    MembersOnly,
}

/// The image host's response for a missing variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MissingResponse {
    /// The placeholder with status 404.
    NotFound,
    /// The placeholder with status 200.
    Ok,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Video {
    /// Eleven characters.
    pub id: String,
    /// May be empty or contain any text.
    pub title: String,
    /// In seconds since 1970.
    pub published: u64,
    /// In seconds.
    pub length: u64,
    /// Exact count.
    pub views: u64,
    pub kind: Kind,
    /// Whether the Data API omits the count.
    pub hides_views: bool,
    pub has_maxres: bool,
    pub has_sd: bool,
    /// Response for a missing variant.
    pub missing: MissingResponse,
    pub(super) look: Appearance,
}

impl Video {
    /// Returns the views that the tab shows and sorts by, if any.
    #[must_use]
    pub fn views_shown(&self) -> Option<u64> {
        (self.kind == Kind::Plain).then_some(self.views)
    }
}

impl Channel {
    /// Returns the playlist ID of its uploads.
    #[must_use]
    pub fn uploads(&self) -> String {
        format!("UU{}", &self.id[2..])
    }
}

pub(super) fn draw_channel(world: &World, number: u32) -> Channel {
    let mut random = random(world.seed, 1, number);
    let at = number as usize;
    let title = naming::channel_title(&mut random, number);
    // Every fifth handle is not ASCII, so that addresses need escaping.
    let handle = if at % 5 == 4 { format!("@먹방{number}채널") } else { naming::handle(&title, number) };
    let subscribers = (10.5 + 1.6 * gaussian(&mut random)).exp().clamp(100.0, 2e7) as u64;
    let gap = random.random_range(DAY / 2..12 * DAY);
    let hue = random.random_range(0.0..1.0);
    let layouts = Layouts::of(number);
    let mut channel = Channel {
        number,
        id: naming::channel_id(&mut random),
        legacy_name: format!("{}tv", naming::handle(&title, number).trim_start_matches('@').to_lowercase()),
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
        add_odd_videos(&mut channel);
    }
    channel
}

struct Layouts {
    items: ItemLayout,
    chips: ChipLayout,
    continuation: ContinuationLayout,
}

impl Layouts {
    /// Six consecutive channels cover every layout, and eighteen every combination.
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
    let look = Appearance::draw(&mut random, hue);
    let views_per_subscriber = (look.log_views_per_subscriber() + 0.25 * gaussian(&mut random)).exp();
    let has_sd = !random.random_bool(0.04);
    Video {
        id: naming::video_id(&mut random),
        title: naming::video_title(&mut random, channel.category, number),
        published: NOW - u64::from(at) * gap - random.random_range(1..gap),
        length: random.random_range(20..5_000),
        views: (views_per_subscriber * channel.subscribers as f64).round() as u64,
        kind: Kind::Plain,
        hides_views: number % 17 == 5,
        has_maxres: has_sd && !random.random_bool(0.08),
        has_sd,
        missing: if random.random_bool(0.25) { MissingResponse::Ok } else { MissingResponse::NotFound },
        look,
    }
}

/// Makes some videos of a channel unusual, depending on its number.
fn add_odd_videos(channel: &mut Channel) {
    let number = channel.number;
    let Some(last) = channel.videos.len().checked_sub(1).filter(|&last| last >= 4) else { return };
    channel.videos[0].kind = [Kind::Premiere, Kind::MembersOnly, Kind::Live][(number / 2 % 3) as usize];
    match number % 4 {
        1 => channel.videos[last].views = 0,
        2 => channel.videos[last].views = 1,
        // A repeated upload.
        3 => channel.videos[2].look = channel.videos[1].look,
        _ => channel.videos[3].title.clear(),
    }
}
