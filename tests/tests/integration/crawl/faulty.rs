//! Each fault of a site with its expected outcome, as a table; the outcomes are printed.

use common::ids::SubmissionId;
use tests::{
    cluster::Cluster,
    fake_site::{Channel, FakeSite, Fault, Faults, Host, KEY, Occurrences, RetryAfter, Rule, Wall, World},
};

use super::{crawl, report, start};

/// The requests that a fault affects.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Target {
    Page,
    Api,
    Image,
}

/// The expected outcome of the channel, with a part of its message.
enum Expected {
    /// Complete at the first attempt.
    Complete,
    /// Complete after an attempt that failed with this error.
    Retried(&'static str),
    /// Complete after a snooze for this reason.
    Snoozed(&'static str),
    /// Failed with a message that starts like this.
    Failed(&'static str),
}

use Expected::{Complete, Failed, Retried, Snoozed};

const NO_THUMBNAIL: &str = "unavailable: none of 3 videos has a usable thumbnail; video ";
const ONCE: Occurrences = Occurrences::First(1);

/// Each fault affects one kind of response, always or once.
const TABLE: &[(Target, Fault, Occurrences, Expected)] = &[
    (Target::Page, Fault::TooManyRequests(RetryAfter::Absent), ONCE, Snoozed("the host returned 429")),
    (Target::Page, Fault::TooManyRequests(RetryAfter::Seconds(1)), ONCE, Snoozed("Retry-After: 1 s")),
    (Target::Page, Fault::Consent(Wall::Page), ONCE, Snoozed("consent")),
    (Target::Page, Fault::Captcha(Wall::Redirect), ONCE, Snoozed("captcha")),
    (Target::Page, Fault::Unavailable, ONCE, Retried("503")),
    (Target::Page, Fault::Reset, ONCE, Retried("")),
    (Target::Page, Fault::CutOff, ONCE, Retried("")),
    (Target::Page, Fault::Truncated, ONCE, Retried("")),
    (Target::Page, Fault::Unavailable, Occurrences::All, Failed("discarded: ")),
    (Target::Page, Fault::NotFound, Occurrences::All, Failed("unavailable: ")),
    (Target::Page, Fault::Terminated, Occurrences::All, Failed("unavailable: ")),
    (Target::Page, Fault::Removed, Occurrences::All, Failed("unavailable: ")),
    (Target::Page, Fault::AgeGate, Occurrences::All, Failed("unavailable: ")),
    (Target::Page, Fault::InvalidJson, Occurrences::All, Failed("schema-drift: ")),
    (Target::Page, Fault::BadUtf8, Occurrences::All, Failed("schema-drift: ")),
    (Target::Page, Fault::SchemaDrift, Occurrences::All, Failed("schema-drift: ")),
    (Target::Page, Fault::NoItems, Occurrences::All, Failed("schema-drift: ")),
    (Target::Page, Fault::UnknownCounts, Occurrences::All, Failed("schema-drift: ")),
    (Target::Api, Fault::TooManyRequests(RetryAfter::Absent), ONCE, Snoozed("429")),
    (Target::Api, Fault::Unavailable, ONCE, Retried("503")),
    (Target::Api, Fault::Reset, ONCE, Retried("")),
    (Target::Api, Fault::Truncated, ONCE, Retried("")),
    (Target::Api, Fault::InvalidJson, Occurrences::All, Failed("schema-drift: ")),
    (Target::Api, Fault::SchemaDrift, Occurrences::All, Failed("schema-drift: ")),
    (Target::Api, Fault::TooManyRequests(RetryAfter::Seconds(1)), ONCE, Snoozed("Retry-After: 1 s")),
    (Target::Api, Fault::NoItems, Occurrences::All, Failed("unavailable: ")),
    (Target::Image, Fault::TooManyRequests(RetryAfter::Absent), ONCE, Snoozed("429")),
    (Target::Image, Fault::Reset, ONCE, Retried("")),
    (Target::Image, Fault::CutOff, ONCE, Retried("")),
    (Target::Image, Fault::Slow(std::time::Duration::from_millis(5)), Occurrences::All, Complete),
    (
        Target::Image,
        Fault::Unavailable,
        Occurrences::All,
        Failed("discarded: attempt 2 of 2: 3 of 3 thumbnails"),
    ),
    (Target::Image, Fault::NotFound, Occurrences::All, Failed(NO_THUMBNAIL)),
    (Target::Image, Fault::Truncated, Occurrences::All, Failed(NO_THUMBNAIL)),
    (Target::Image, Fault::NotAnImage, Occurrences::All, Failed(NO_THUMBNAIL)),
    (Target::Image, Fault::AnimatedImage, Occurrences::All, Failed(NO_THUMBNAIL)),
    (Target::Image, Fault::OversizedImage, Occurrences::All, Failed(NO_THUMBNAIL)),
    (Target::Image, Fault::LongImage(40 << 20), Occurrences::All, Failed(NO_THUMBNAIL)),
];

#[tokio::test]
async fn each_fault_has_its_expected_outcome() {
    let world = World { channels: 1, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster =
        start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "2"), ("SUBWATCH_CRAWL_BACKOFF_SECONDS", "1")]).await;
    let mut wrong = Vec::new();
    for (number, (target, fault, occurrences, expected)) in TABLE.iter().enumerate() {
        let channel = &site.channels()[0];
        site.faults().clear();
        site.faults().add(rule(*target, channel, *fault).on(*occurrences));
        let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "3"];
        let more = if *target == Target::Page { &pages[..] } else { &pages[3..] };
        let out = format!("set-{number}");
        let crawled = report(&cluster, &crawl(&cluster, &site, &out, &[channel], more), &[0, 3]).await;
        let outcome = outcome(&cluster, &crawled).await;
        tests::print_line(&format!("{target:?}: {fault:?}, {occurrences:?}: {outcome}"));
        if !matches(expected, &outcome) {
            wrong.push(format!("{target:?}: {fault:?}, {occurrences:?}: {outcome}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "unexpected outcomes");
    cluster.finish().await;
}

#[tokio::test]
async fn wrong_order_is_schema_drift_and_an_endless_list_is_truncated() {
    // Continuations of a channel's page are read only if robots.txt allows them.
    let open = || Rule::at("/robots.txt", Fault::NotFound);
    let world = World { channels: 1, videos_per_channel: 70, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::of([open()])).await;
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "1")]).await;
    let channel = &site.channels()[0];
    let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "60"];
    for (out, fault, order, exit, want) in [
        ("latest", Fault::LatestForPopular, "popular", 3, "not in the requested order Popular"),
        ("loop", Fault::TokenLoop, "newest", 0, "the site's pages repeat after "),
        ("stale", Fault::StalePages, "newest", 0, "the site's pages bring nothing new after "),
    ] {
        site.faults().clear();
        site.faults().add(open());
        site.faults().add(Rule::of_channel(&channel.id, fault));
        let more = [&pages[..], &["--order", order]].concat();
        let crawled = report(&cluster, &crawl(&cluster, &site, out, &[channel], &more), &[exit]).await;
        let item = &crawled["results"][0];
        let message =
            item["error"].as_str().or(item["crawled"]["truncated_reason"].as_str()).unwrap_or_default();
        tests::print_line(&format!("Page: {fault:?}: {message}"));
        assert!(message.contains(want), "{crawled}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn data_api_listing_that_does_not_end_is_truncated() {
    let world = World { channels: 1, videos_per_channel: 120, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "1")]).await;
    let channel = &site.channels()[0];
    let uploads = |fault, occurrences| Rule::at("/youtube/v3/playlistItems", fault).on(occurrences);
    let (loops, stale, refused) = (Fault::TokenLoop, Fault::StalePages, Fault::InvalidPageToken);
    // The channel, its pages of uploads, and the details of 50 uploads a request.
    for (out, fault, occurrences, order, listed, units, want) in [
        (
            "loop-popular",
            loops,
            Occurrences::All,
            "popular",
            50,
            1 + 2 + 1,
            "the site's pages repeat after 50 ",
        ),
        (
            "loop-newest",
            loops,
            Occurrences::All,
            "newest",
            50,
            1 + 2 + 1,
            "the site's pages repeat after 50 ",
        ),
        ("stale", stale, Occurrences::All, "popular", 50, 1 + 4 + 1, "bring nothing new after 50 uploads"),
        ("once", refused, Occurrences::Nth(3), "popular", 120, 1 + 2 + 1 + 3 + 3, ""),
        (
            "always",
            refused,
            Occurrences::All,
            "popular",
            50,
            1 + 4 + 1,
            "refuses its own page tokens after 50 ",
        ),
        ("end", refused, Occurrences::After(2), "newest", 100, 1 + 2 + 2 + 3, "its own page tokens after "),
    ] {
        site.faults().clear();
        site.faults().add(uploads(fault, occurrences));
        let before = site.units_used(KEY);
        let more = ["--order", order, "--videos-per-channel", "120"];
        let crawled = report(&cluster, &crawl(&cluster, &site, out, &[channel], &more), &[0]).await;
        let spent = site.units_used(KEY) - before;
        let item = &crawled["results"][0]["crawled"];
        let reason = item["truncated_reason"].as_str().unwrap_or_default();
        tests::print_line(&format!(
            "Data API: {fault:?}, {out}: {spent} units, {}, {reason}",
            item["videos"]
        ));
        assert!(reason.contains(want) && reason.is_empty() == want.is_empty(), "{out}: {crawled}");
        assert_eq!((&item["videos"], spent), (&listed.into(), units), "{out}: {crawled}");
    }
    cluster.finish().await;
}

fn rule(target: Target, channel: &Channel, fault: Fault) -> Rule {
    match target {
        Target::Page => Rule::of_channel(&channel.id, fault),
        Target::Api => Rule::to(Host::Api, fault),
        Target::Image => Rule::to(Host::Images, fault),
    }
}

/// Describes the outcome of the only channel in a line.
async fn outcome(cluster: &Cluster, crawled: &serde_json::Value) -> String {
    let item = &crawled["results"][0];
    if let Some(error) = item["error"].as_str() {
        return format!("failed, {error}");
    }
    let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    let mark = statuses.values().next().unwrap();
    let mut outcome = format!("{} rows", item["crawled"]["thumbnails"]);
    if let Some(attempt) = mark.history.first() {
        outcome += &format!(", retried after {}", attempt.error);
    }
    if let Some(snooze) = cluster.submission(id).await.snoozed {
        outcome += &format!(", snoozed: {}", snooze.reason);
    }
    outcome
}

fn matches(expected: &Expected, outcome: &str) -> bool {
    let has = |start: &str, text: &str| outcome.starts_with(start) && outcome.contains(text);
    match expected {
        Complete => outcome == "3 rows",
        Retried(text) => has("3 rows, retried after ", text),
        Snoozed(text) => has("3 rows, snoozed: ", text),
        Failed(text) => outcome.starts_with(&format!("failed, {text}")),
    }
}
