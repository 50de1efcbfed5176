//! Faults: which responses the site corrupts, and how.
//!
//! The choice depends only on the rules and on the number of requests that each has counted, never on time.
//! Every rule counts all requests in its scope; the first rule whose occurrence matches decides. Faults are
//! applied in `refusals`, `corruption`, `tab` and `images`.

use std::{sync::Mutex, time::Duration};

use super::exchange::Host;

/// A fault of one response. A fault that does not apply to the request is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Status 429.
    TooManyRequests(RetryAfter),
    /// Status 503 without `Retry-After`.
    Unavailable,
    /// The consent page.
    Consent(Wall),
    /// The captcha page.
    Captcha(Wall),
    /// Status 404.
    NotFound,
    /// The connection is reset before the response.
    Reset,
    /// The connection closes after half of the announced body.
    CutOff,
    /// Half of the body, with its own content length.
    Truncated,
    /// The body in sixteen chunks, each after this delay.
    Slow(Duration),
    /// Half of the body, then silence on an open connection.
    Stalled,
    /// The data is not JSON.
    InvalidJson,
    /// A text in the data is not UTF-8.
    BadUtf8,
    /// Fields that contain items have other names.
    SchemaDrift,
    /// Lists are empty.
    NoItems,
    /// Counts in an unsupported language.
    UnknownCounts,
    /// The order Popular returns Latest.
    LatestForPopular,
    /// Each continuation token leads to the same page.
    TokenLoop,
    /// Each page has the items of the first and a continuation token that is new.
    StalePages,
    /// The Data API refuses the page token of a request that has one.
    InvalidPageToken,
    /// An address resolves to itself.
    AddressLoop,
    /// The account is terminated. If the rule is permanent, it applies to the Data API as well.
    Terminated,
    /// The channel is removed. If the rule is permanent, it applies to the Data API as well.
    Removed,
    /// The channel requires signing in.
    AgeGate,
    /// The quota of the key is exhausted.
    QuotaExceeded,
    /// robots.txt disallows channels.
    ChannelsDisallowed,
    /// robots.txt disallows rankings.
    RankingsDisallowed,
    /// The thumbnail is an animation.
    AnimatedImage,
    /// The thumbnail declares 60,000 × 60,000 pixels.
    OversizedImage,
    /// This many bytes are appended to the thumbnail.
    LongImage(usize),
    /// The thumbnail is HTML with a JPEG content type.
    NotAnImage,
}

/// The `Retry-After` header of a 429 response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryAfter {
    /// Without the header.
    Absent,
    /// In seconds.
    Seconds(u64),
    /// As an HTTP date this far in the future.
    Date(Duration),
}

/// How a consent or captcha page is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wall {
    /// In place, with status 200.
    Page,
    /// By a redirect to its own host.
    Redirect,
}

/// The requests to which a rule applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All requests.
    Anywhere,
    /// Requests to one host.
    Host(Host),
    /// Requests whose unescaped path has this prefix.
    Path(String),
    /// Requests for pages of the channel with this ID, by HTML or `browse`.
    Channel(String),
}

/// The requests in its scope that a rule affects, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occurrences {
    /// All requests.
    All,
    /// Only the nth.
    Nth(u64),
    /// The first n.
    First(u64),
    /// All after the first n.
    After(u64),
    /// Every nth.
    Every(u64),
}

impl Occurrences {
    fn include(self, count: u64) -> bool {
        match self {
            Self::All => true,
            Self::Nth(n) => count == n,
            Self::First(n) => count <= n,
            Self::After(n) => count > n,
            Self::Every(n) => n > 0 && count.is_multiple_of(n),
        }
    }
}

/// A fault with its scope and occurrences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub scope: Scope,
    pub occurrences: Occurrences,
    pub fault: Fault,
}

impl Rule {
    /// Applies to requests whose path has this prefix.
    #[must_use]
    pub fn at(prefix: &str, fault: Fault) -> Self {
        Self { scope: Scope::Path(prefix.to_owned()), occurrences: Occurrences::All, fault }
    }

    /// Applies to requests for pages of a channel.
    #[must_use]
    pub fn of_channel(id: &str, fault: Fault) -> Self {
        Self { scope: Scope::Channel(id.to_owned()), occurrences: Occurrences::All, fault }
    }

    /// Applies to requests to a host.
    #[must_use]
    pub fn to(host: Host, fault: Fault) -> Self {
        Self { scope: Scope::Host(host), occurrences: Occurrences::All, fault }
    }

    /// Sets the occurrences.
    #[must_use]
    pub fn on(self, occurrences: Occurrences) -> Self {
        Self { occurrences, ..self }
    }

    fn applies_to(&self, host: Host, path: &str, channel: Option<&str>) -> bool {
        match &self.scope {
            Scope::Anywhere => true,
            Scope::Host(scope) => *scope == host,
            Scope::Path(prefix) => path.starts_with(prefix.as_str()),
            Scope::Channel(id) => host == Host::Web && channel == Some(id.as_str()),
        }
    }
}

/// The fault rules of a site, which may change while it serves.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<(Rule, u64)>>,
}

impl Faults {
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates rules in order of precedence.
    #[must_use]
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { rules: Mutex::new(rules.into_iter().map(|rule| (rule, 0)).collect()) }
    }

    /// Appends a rule with a count of zero.
    pub fn add(&self, rule: Rule) {
        self.lock().push((rule, 0));
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Counts a request and returns its fault.
    pub(super) fn choose(&self, host: Host, path: &str, channel: Option<&str>) -> Option<Fault> {
        let mut chosen = None;
        for (rule, count) in self.lock().iter_mut() {
            if rule.applies_to(host, path, channel) {
                *count += 1;
                if chosen.is_none() && rule.occurrences.include(*count) {
                    chosen = Some(rule.fault);
                }
            }
        }
        chosen
    }

    /// Returns whether a channel is permanently terminated or removed.
    pub(super) fn is_removed(&self, id: &str) -> bool {
        self.lock().iter().any(|(rule, _)| {
            rule.occurrences == Occurrences::All
                && matches!(rule.fault, Fault::Terminated | Fault::Removed)
                && rule.scope == Scope::Channel(id.to_owned())
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Rule, u64)>> {
        self.rules.lock().expect("no thread panics while it holds the lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_rule_whose_occurrence_matches_decides() {
        let faults = Faults::of([
            Rule::at("/vi/", Fault::Reset).on(Occurrences::Nth(2)),
            Rule::to(Host::Images, Fault::Unavailable).on(Occurrences::Every(2)),
            Rule::of_channel("UCx", Fault::AgeGate).on(Occurrences::After(1)),
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
    fn only_a_permanent_fault_removes_a_channel() {
        let gone = Rule::of_channel("UCx", Fault::Terminated);
        assert!(Faults::of([gone.clone()]).is_removed("UCx"));
        assert!(!Faults::of([gone.clone()]).is_removed("UCy"));
        assert!(!Faults::of([gone.on(Occurrences::First(1))]).is_removed("UCx"));
    }
}
