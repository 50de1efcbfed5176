//! Faults: what the site does wrong, where, and in which turns.
//!
//! Owns the rules and the choice among them. Invariant: the choice depends on the rules and on how many
//! requests each has met, never on time. Each rule counts every request in its place; the first rule whose
//! turn it is decides. Does not own what a fault looks like (`refusals`, `spoil`, `tab`, `images`).

use std::{sync::Mutex, time::Duration};

use super::exchange::Host;

/// What goes wrong with one request. A fault that makes no sense for what is asked does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// 429.
    TooManyRequests(RetryAfter),
    /// 503, without a word on when to return.
    Unavailable,
    /// The page that asks for consent.
    Consent(Wall),
    /// The page that asks for a captcha.
    Captcha(Wall),
    /// 404, as for something that is not there.
    NotFound,
    /// The connection is reset before an answer.
    Reset,
    /// The connection ends after half of the body that was announced.
    CutOff,
    /// Half of the body comes, announced as if it were the whole.
    Truncated,
    /// The body comes in sixteen pieces, with this pause before each.
    Slow(Duration),
    /// After half of the body nothing more comes, and the connection stays open.
    Stalled,
    /// The data is not JSON.
    InvalidJson,
    /// A text in the data is not UTF-8.
    BadUtf8,
    /// What holds an item has another name, and so has the Data API's list of items.
    SchemaDrift,
    /// Lists are empty.
    NoItems,
    /// Counts are written in a way that nobody knows.
    UnknownCounts,
    /// Who asks for Popular is given Latest.
    LatestForPopular,
    /// Every list goes on with itself.
    TokenLoop,
    /// An address leads back to itself.
    AddressLoop,
    /// The channel's account was terminated. As a standing fault of a channel, for the Data API as well.
    Terminated,
    /// The channel was removed. As a standing fault of a channel, for the Data API as well.
    Removed,
    /// The channel is shown only to those who sign in.
    AgeGate,
    /// The Data API has no units left for the key.
    QuotaExceeded,
    /// robots.txt disallows channels.
    ChannelsDisallowed,
    /// robots.txt disallows rankings.
    RankingsDisallowed,
    /// The thumbnail is an animation.
    AnimatedImage,
    /// The thumbnail says it has 60,000 times 60,000 pixels.
    OversizedImage,
    /// So many bytes follow the thumbnail.
    LongImage(usize),
    /// The thumbnail is a page, though it is announced as a JPEG.
    NotAnImage,
}

/// When a client that asked too much may return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// Nothing is said.
    Unsaid,
    /// In so many seconds.
    Seconds(u64),
    /// At the moment that is so far ahead, as an HTTP date.
    Date(Duration),
}

/// How a client is shown a page that it did not ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// Right there, with 200.
    Page,
    /// By a redirect to another site.
    Redirect,
}

/// Which requests a rule is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// All.
    Anywhere,
    /// Those to one kind of host.
    Host(Host),
    /// Those whose path, unescaped, begins so.
    Path(String),
    /// Those for the pages of the channel with this id, however it is named and whether by HTML or `browse`.
    Channel(String),
}

/// Which of the requests in its place a rule decides, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turns {
    /// Every one.
    All,
    /// This one.
    Nth(u64),
    /// The first so many.
    First(u64),
    /// All but the first so many.
    After(u64),
    /// Every so manieth.
    Every(u64),
}

impl Turns {
    fn include(self, count: u64) -> bool {
        match self {
            Self::All => true,
            Self::Nth(turn) => count == turn,
            Self::First(turns) => count <= turns,
            Self::After(turns) => count > turns,
            Self::Every(turns) => turns > 0 && count.is_multiple_of(turns),
        }
    }
}

/// A fault, its place and its turns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where.
    pub place: Place,
    /// When.
    pub turns: Turns,
    /// What.
    pub fault: Fault,
}

impl Rule {
    /// Every request whose path begins so.
    #[must_use]
    pub fn at(prefix: &str, fault: Fault) -> Self {
        Self { place: Place::Path(prefix.to_owned()), turns: Turns::All, fault }
    }

    /// Every request for the pages of a channel.
    #[must_use]
    pub fn of_channel(id: &str, fault: Fault) -> Self {
        Self { place: Place::Channel(id.to_owned()), turns: Turns::All, fault }
    }

    /// Every request to a kind of host.
    #[must_use]
    pub fn to(host: Host, fault: Fault) -> Self {
        Self { place: Place::Host(host), turns: Turns::All, fault }
    }

    /// The same in other turns.
    #[must_use]
    pub fn in_turns(self, turns: Turns) -> Self {
        Self { turns, ..self }
    }

    fn is_about(&self, host: Host, path: &str, channel: Option<&str>) -> bool {
        match &self.place {
            Place::Anywhere => true,
            Place::Host(place) => *place == host,
            Place::Path(prefix) => path.starts_with(prefix.as_str()),
            Place::Channel(id) => host == Host::Web && channel == Some(id.as_str()),
        }
    }
}

/// The rules of a site; they may change while it serves.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(Rule, u64)>>,
}

impl Faults {
    /// A site without faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These rules, the first before the others.
    #[must_use]
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: Mutex::new(rules.into_iter().map(|rule| (rule, 0)).collect()) }
    }

    /// Adds a rule behind the others; it has met no request yet.
    pub fn add(&self, rule: Rule) {
        self.lock().push((rule, 0));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Counts a request and decides about it.
    pub(super) fn choose(&self, host: Host, path: &str, channel: Option<&str>) -> Option<Fault> {
        let mut chosen = None;
        for (rule, count) in self.lock().iter_mut() {
            if rule.is_about(host, path, channel) {
                *count += 1;
                if chosen.is_none() && rule.turns.include(*count) {
                    chosen = Some(rule.fault);
                }
            }
        }
        chosen
    }

    /// Whether a channel is gone for good, whoever asks.
    pub(super) fn is_gone(&self, id: &str) -> bool {
        self.lock().iter().any(|(rule, _)| {
            rule.turns == Turns::All
                && matches!(rule.fault, Fault::Terminated | Fault::Removed)
                && rule.place == Place::Channel(id.to_owned())
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Rule, u64)>> {
        self.rules.lock().expect("no thread panics while it holds the rules")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_counts_the_requests_in_its_place_and_the_first_whose_turn_it_is_decides() {
        let faults = Faults::of([
            Rule::at("/vi/", Fault::Reset).in_turns(Turns::Nth(2)),
            Rule::to(Host::Images, Fault::Unavailable).in_turns(Turns::Every(2)),
            Rule::of_channel("UCx", Fault::AgeGate).in_turns(Turns::After(1)),
        ]);
        let image = || faults.choose(Host::Images, "/vi/a/maxresdefault.jpg", None);
        assert_eq!([image(), image(), image()], [None, Some(Fault::Reset), None]);
        assert_eq!(image(), Some(Fault::Unavailable));
        let page = |channel| faults.choose(Host::Web, "/@x/videos", Some(channel));
        assert_eq!([page("UCx"), page("UCy"), page("UCx")], [None, None, Some(Fault::AgeGate)]);
        assert_eq!(faults.choose(Host::Api, "/youtube/v3/channels", Some("UCx")), None);
        faults.clear();
        assert_eq!(page("UCx"), None);
    }

    #[test]
    fn only_a_standing_fault_makes_a_channel_go() {
        let gone = Rule::of_channel("UCx", Fault::Terminated);
        assert!(Faults::of([gone.clone()]).is_gone("UCx"));
        assert!(!Faults::of([gone.clone()]).is_gone("UCy"));
        assert!(!Faults::of([gone.in_turns(Turns::First(1))]).is_gone("UCx"));
    }
}
