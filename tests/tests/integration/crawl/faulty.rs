//! Every answer that a site can spoil, and what becomes of it: a table, which is printed as well.

use common::ids::SubmissionId;
use tests::{
    cluster::Cluster,
    fake_site::{Channel, FakeSite, Fault, Faults, Host, RetryAfter, Rule, Turns, Wall, World},
};

use super::{crawl, report, start};

/// Where a fault is put.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Of {
    Page,
    Api,
    Image,
}

/// What must be said of the channel then; texts begin so, or stand in what is said.
enum Want {
    /// Everything is there, at the first attempt.
    Whole,
    /// Everything is there, after an attempt that failed for this.
    Retried(&'static str),
    /// Everything is there, after a rest for this.
    Rested(&'static str),
    /// The channel failed.
    Failed(&'static str),
}

use Want::{Failed, Rested, Retried, Whole};

const NO_THUMBNAIL: &str = "unavailable: none of 3 videos has a usable thumbnail; video ";
const ONCE: Turns = Turns::First(1);

/// Each answer is spoiled in one way: for good, or once.
const TABLE: &[(Of, Fault, Turns, Want)] = &[
    (Of::Page, Fault::TooManyRequests(RetryAfter::Unsaid), ONCE, Rested("the host returned 429")),
    (Of::Page, Fault::TooManyRequests(RetryAfter::Seconds(1)), ONCE, Rested("Retry-After: 1 s")),
    (Of::Page, Fault::Consent(Wall::Page), ONCE, Rested("consent")),
    (Of::Page, Fault::Captcha(Wall::Redirect), ONCE, Rested("captcha")),
    (Of::Page, Fault::Unavailable, ONCE, Retried("503")),
    (Of::Page, Fault::Reset, ONCE, Retried("")),
    (Of::Page, Fault::CutOff, ONCE, Retried("")),
    (Of::Page, Fault::Truncated, ONCE, Retried("")),
    (Of::Page, Fault::Unavailable, Turns::All, Failed("discarded: ")),
    (Of::Page, Fault::NotFound, Turns::All, Failed("unavailable: ")),
    (Of::Page, Fault::Terminated, Turns::All, Failed("unavailable: ")),
    (Of::Page, Fault::Removed, Turns::All, Failed("unavailable: ")),
    (Of::Page, Fault::AgeGate, Turns::All, Failed("unavailable: ")),
    (Of::Page, Fault::InvalidJson, Turns::All, Failed("schema-drift: ")),
    (Of::Page, Fault::BadUtf8, Turns::All, Failed("schema-drift: ")),
    (Of::Page, Fault::SchemaDrift, Turns::All, Failed("schema-drift: ")),
    (Of::Page, Fault::NoItems, Turns::All, Failed("schema-drift: ")),
    (Of::Page, Fault::UnknownCounts, Turns::All, Failed("schema-drift: ")),
    (Of::Api, Fault::TooManyRequests(RetryAfter::Unsaid), ONCE, Rested("429")),
    (Of::Api, Fault::Unavailable, ONCE, Retried("503")),
    (Of::Api, Fault::Reset, ONCE, Retried("")),
    (Of::Api, Fault::Truncated, ONCE, Retried("")),
    (Of::Api, Fault::InvalidJson, Turns::All, Failed("schema-drift: ")),
    (Of::Api, Fault::SchemaDrift, Turns::All, Failed("schema-drift: ")),
    (Of::Api, Fault::TooManyRequests(RetryAfter::Seconds(1)), ONCE, Rested("Retry-After: 1 s")),
    (Of::Api, Fault::NoItems, Turns::All, Failed("unavailable: ")),
    (Of::Image, Fault::TooManyRequests(RetryAfter::Unsaid), ONCE, Rested("429")),
    (Of::Image, Fault::Reset, ONCE, Retried("")),
    (Of::Image, Fault::CutOff, ONCE, Retried("")),
    (Of::Image, Fault::Slow(std::time::Duration::from_millis(5)), Turns::All, Whole),
    (Of::Image, Fault::Unavailable, Turns::All, Failed("discarded: attempt 2 of 2: 3 of 3 thumbnails")),
    (Of::Image, Fault::NotFound, Turns::All, Failed(NO_THUMBNAIL)),
    (Of::Image, Fault::Truncated, Turns::All, Failed(NO_THUMBNAIL)),
    (Of::Image, Fault::NotAnImage, Turns::All, Failed(NO_THUMBNAIL)),
    (Of::Image, Fault::AnimatedImage, Turns::All, Failed(NO_THUMBNAIL)),
    (Of::Image, Fault::OversizedImage, Turns::All, Failed(NO_THUMBNAIL)),
    (Of::Image, Fault::LongImage(40 << 20), Turns::All, Failed(NO_THUMBNAIL)),
];

#[tokio::test]
async fn every_spoiled_answer_becomes_what_it_should() {
    let world = World { channels: 1, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster =
        start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "2"), ("SUBWATCH_CRAWL_BACKOFF_SECONDS", "1")]).await;
    let mut wrong = Vec::new();
    for (number, (of, fault, turns, want)) in TABLE.iter().enumerate() {
        let channel = &site.channels()[0];
        site.faults().clear();
        site.faults().add(rule(*of, channel, *fault).in_turns(*turns));
        let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "3"];
        let more = if *of == Of::Page { &pages[..] } else { &pages[3..] };
        let out = format!("set-{number}");
        let crawled = report(&cluster, &crawl(&cluster, &site, &out, &[channel], more), &[0, 3]).await;
        let said = said(&cluster, &crawled).await;
        tests::say(&format!("{of:?}: {fault:?}, {turns:?}: {said}"));
        if !fits(want, &said) {
            wrong.push(format!("{of:?}: {fault:?}, {turns:?}: {said}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "these came out otherwise");
    cluster.finish().await;
}

#[tokio::test]
async fn an_order_that_is_not_kept_is_drift_and_a_list_without_end_is_cut_short() {
    // What follows a channel's page is read only where robots may.
    let open = || Rule::at("/robots.txt", Fault::NotFound);
    let world = World { channels: 1, videos_per_channel: 70, odd_videos: false, ..World::default() };
    let site = FakeSite::start(world, Faults::of([open()])).await;
    let cluster = start(1, &[("SUBWATCH_CRAWL_ATTEMPTS", "1")]).await;
    let channel = &site.channels()[0];
    let pages = ["--source", "page", "--read-pages", "--videos-per-channel", "60"];
    for (out, fault, order, exit, want) in [
        ("latest", Fault::LatestForPopular, "popular", 3, "not in the requested order Popular"),
        ("loop", Fault::TokenLoop, "newest", 0, "the site's continuations repeat after "),
    ] {
        site.faults().clear();
        site.faults().add(open());
        site.faults().add(Rule::of_channel(&channel.id, fault));
        let more = [&pages[..], &["--order", order]].concat();
        let crawled = report(&cluster, &crawl(&cluster, &site, out, &[channel], &more), &[exit]).await;
        let item = &crawled["results"][0];
        let said =
            item["error"].as_str().or(item["crawled"]["truncated_reason"].as_str()).unwrap_or_default();
        tests::say(&format!("Page: {fault:?}: {said}"));
        assert!(said.contains(want), "{crawled}");
    }
    cluster.finish().await;
}

fn rule(of: Of, channel: &Channel, fault: Fault) -> Rule {
    match of {
        Of::Page => Rule::of_channel(&channel.id, fault),
        Of::Api => Rule::to(Host::Api, fault),
        Of::Image => Rule::to(Host::Images, fault),
    }
}

/// What became of the only channel, in a line.
async fn said(cluster: &Cluster, crawled: &serde_json::Value) -> String {
    let item = &crawled["results"][0];
    if let Some(error) = item["error"].as_str() {
        return format!("failed, {error}");
    }
    let id: SubmissionId = crawled["submission"].as_str().unwrap().parse().unwrap();
    let marks = cluster.store.job_statuses(id).await.unwrap();
    let mark = marks.values().next().unwrap();
    let mut said = format!("{} rows", item["crawled"]["thumbnails"]);
    if let Some(attempt) = mark.history.first() {
        said += &format!(", retried after {}", attempt.error);
    }
    if let Some(pause) = cluster.submission(id).await.snoozed {
        said += &format!(", rested for {}", pause.reason);
    }
    said
}

fn fits(want: &Want, said: &str) -> bool {
    let between = |start: &str, words: &str| said.starts_with(start) && said.contains(words);
    match want {
        Whole => said == "3 rows",
        Retried(words) => between("3 rows, retried after ", words),
        Rested(words) => between("3 rows, rested for ", words),
        Failed(words) => said.starts_with(&format!("failed, {words}")),
    }
}
