//! Rankings, read with a real browser, and what is crawled by them.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tests::{
    cluster::{Cluster, eventually},
    fake_site::{CATEGORIES, Channel, FakeSite, Fault, Faults, Host, KOREAN_CATEGORIES, Rule, World},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{crawl, report, rows, start};

/// Settings that fit the site's table, and make it say when it is complete.
const FITTING: [(&str, &str); 3] = [
    ("SUBWATCH_RANKING_ROWS", "table#ranking tbody tr.channel"),
    ("SUBWATCH_RANKING_LINK", "td.name > a[href]"),
    ("SUBWATCH_RANKING_READY", "body[data-ready=\"true\"]"),
];

/// Who may do nothing.
const NOBODY: u32 = 65_534;

/// Ids of the channels of a category, as the site ranks them.
fn ranked<'a>(site: &'a FakeSite, category: &str, top: usize) -> Vec<&'a str> {
    let mut channels: Vec<&Channel> =
        site.channels().iter().filter(|channel| channel.category == category).collect();
    channels.sort_by_key(|channel| Reverse(channel.subscribers));
    channels.into_iter().take(top).map(|channel| channel.id.as_str()).collect()
}

fn address(site: &FakeSite) -> String {
    format!("{}ranking/{{category}}", site.base())
}

/// The channels of a dataset with the category that their rows bear.
fn categories(dataset: &Path) -> BTreeMap<String, String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows(dataset).values().map(|row| (text(row, "channel_id"), text(row, "category"))).collect()
}

/// Runs `crawl ranking` in a folder for temporary files of its own, and returns how it ended and what it said.
async fn read(
    cluster: &Cluster,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let folder = temporary(cluster);
    let folder = folder.to_str().unwrap();
    let all = [&["crawl", "ranking", "--read-pages"], arguments].concat();
    let output = cluster.cli_with(&all, &[settings, &[("TMPDIR", folder)]].concat()).await;
    nothing_is_left(folder).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn temporary(cluster: &Cluster) -> PathBuf {
    let folder = cluster.folder().join("temporary");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits for the end of a browser with its files below `folder`; what looks after its crashes ends last.
async fn nothing_is_left(folder: &str) {
    eventually("browser and files are gone", || async {
        browsers(folder).is_empty() && std::fs::read_dir(folder).unwrap().count() == 0
    })
    .await;
}

/// The command lines of all processes that name `folder`, as a browser names its profile.
fn browsers(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[tokio::test]
async fn the_channels_that_rank_first_in_two_categories_are_crawled() {
    // The table is empty when the page has loaded, and for a good while after.
    let world = World {
        channels: 15,
        videos_per_channel: 6,
        script_delay: Duration::from_millis(1500),
        ..World::default()
    };
    let site = FakeSite::start(world, Faults::none()).await;
    let contact = ("SUBWATCH_CRAWL_CONTACT", "https://example.org/crawler");
    let cluster = start(2, &[&FITTING[..], &[contact]].concat()).await;
    let address = address(&site);
    let more = ["--ranking", &address, "--read-pages", "--top", "2", "--videos-per-channel", "3"];
    let more = [&more[..], &["--category", "games", "--category", "politics"]].concat();
    let arguments = crawl(&cluster, &site, "set", &[], &more);
    let crawled = report(&cluster, &arguments, &[0]).await;

    let (games, politics) = (ranked(&site, "games", 2), ranked(&site, "politics", 2));
    let items: Vec<&str> =
        crawled["results"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(items, [&games[..], &politics].concat(), "in the order of the rankings");
    let expected = games.iter().map(|id| (*id, "games")).chain(politics.iter().map(|id| (*id, "politics")));
    let expected: BTreeMap<String, String> =
        expected.map(|(id, category)| (id.to_owned(), category.to_owned())).collect();
    assert_eq!(categories(&cluster.folder().join("set")), expected);

    let asked = site.requests().of(Host::Ranking);
    let agent = format!("subwatch/{} (+https://example.org/crawler)", env!("CARGO_PKG_VERSION"));
    let pages: Vec<(&str, &str)> =
        asked.0.iter().map(|one| (one.path.as_str(), one.agent.as_str())).collect();
    assert_eq!(pages, [("/ranking/games", agent.as_str()), ("/ranking/politics", &agent)]);
    assert_eq!(site.requests().to("/robots.txt").count(), 1);
    tests::say(&format!("{} thumbnails of {} channels by two rankings", crawled["thumbnails"], items.len()));
    cluster.finish().await;
}

#[tokio::test]
async fn a_ranking_is_printed_as_a_list_that_a_crawl_takes() {
    let site =
        FakeSite::start(World { channels: 15, videos_per_channel: 5, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &[]).await;
    let address = address(&site);
    let (games, travel) = (ranked(&site, "games", 2), ranked(&site, "travel", 2));

    // As it is, without a selector: the site's is a plain table.
    let asked = ["--ranking", &address, "--category", "games", "--category", "travel", "--top", "2"];
    let (code, csv, said) = read(&cluster, &asked, &[]).await;
    let line = |category: &str, rank: usize, id: &str| format!("{category},{rank},{id}\n");
    let lines = [
        "category,rank,channel\n".to_owned(),
        line("games", 1, games[0]),
        line("games", 2, games[1]),
        line("travel", 1, travel[0]),
        line("travel", 2, travel[1]),
    ];
    assert_eq!((code, csv.as_str()), (Some(0), lines.concat().as_str()), "{said}");
    assert!(said.contains("\nranking games: 2 channels\nranking travel: 2 channels\n"), "{said}");

    let file = cluster.folder().join("list.csv");
    std::fs::write(&file, &csv).unwrap();
    let list = ["--channels", file.to_str().unwrap(), "--videos-per-channel", "2"];
    report(&cluster, &crawl(&cluster, &site, "listed", &[], &list), &[0]).await;
    let expected = games.iter().map(|id| (*id, "games")).chain(travel.iter().map(|id| (*id, "travel")));
    let expected: BTreeMap<String, String> =
        expected.map(|(id, category)| (id.to_owned(), category.to_owned())).collect();
    assert_eq!(categories(&cluster.folder().join("listed")), expected);

    // A ranking may be shorter than what is asked for, and a channel is of the first that names it.
    let twice = ["--ranking", &address, "--category", "games", "--category", "게임", "-o", "json"];
    let (code, json, said) = read(&cluster, &twice, &FITTING).await;
    let all = ranked(&site, "games", 20);
    let first: Vec<Value> = serde_json::from_str(&json).unwrap();
    let channels: Vec<&str> = first.iter().map(|one| one["channel"].as_str().unwrap()).collect();
    assert_eq!((code, channels), (Some(0), all.clone()), "{said}");
    assert!(said.contains("ranking games: 3 channels of 20 requested\n"), "{said}");
    assert!(said.contains(&format!("; {} is already in games", all[2])), "{said}");
    cluster.finish().await;
}

#[tokio::test]
async fn the_crawl_of_2020_takes_its_categories_from_a_ranking() {
    let site =
        FakeSite::start(World { channels: 15, videos_per_channel: 5, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &FITTING).await;
    let address = address(&site);
    let preset = ["--preset", "sub-watch-2020", "--top", "1", "--videos-per-channel", "2", "--read-pages"];
    let arguments = crawl(&cluster, &site, "set", &[], &[&preset[..], &["--ranking", &address]].concat());
    report(&cluster, &arguments, &[0]).await;
    let first = |category| (ranked(&site, category, 1)[0].to_owned(), category);
    let spelt: BTreeMap<&str, &str> = CATEGORIES.into_iter().zip(KOREAN_CATEGORIES).collect();
    let expected: BTreeMap<String, String> =
        spelt.iter().map(|(category, korean)| (first(category).0, (*korean).to_owned())).collect();
    assert_eq!(categories(&cluster.folder().join("set")), expected);
    let path = "/ranking/%EB%A8%B9%EB%B0%A9";
    assert!(site.requests().of(Host::Ranking).0.iter().any(|request| request.target == path));

    let without = ["crawl", "--out", "x", "--preset", "sub-watch-2020"];
    let output = cluster.cli(&without).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the one of 2020 no longer exists: give another with --ranking"), "{said}");
    cluster.finish().await;
}

#[tokio::test]
async fn a_ranking_that_is_not_understood_fails_with_what_was_there() {
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::none()).await;
    let cluster = start(0, &FITTING).await;
    let address = address(&site);
    let games = ["--ranking", &address, "--category", "games"];
    let check =
        async |what: &str, arguments: &[&str], settings: &[(&str, &str)], exit: i32, want: &[&str]| {
            let (code, printed, said) = read(&cluster, arguments, settings).await;
            assert_eq!((code, printed.as_str()), (Some(exit), ""), "{what}: {said}");
            for want in want {
                assert!(said.contains(want), "{what}: “{want}” is not in: {said}");
            }
        };
    let place = format!("could not read the ranking of games at {}ranking/games: ", site.base());
    let drift = format!("{place}schema-drift: ");
    let there = "page “Top channels: games”, ";

    site.faults().add(Rule::at("/ranking/", Fault::SchemaDrift));
    let no_rows = "SUBWATCH_RANKING_ROWS='table#ranking tbody tr.channel' matches nothing: ";
    check("another table", &games, &[], 1, &[&drift, no_rows, there, " bytes\n"]).await;
    site.faults().clear();
    site.faults().add(Rule::at("/ranking/", Fault::NoItems));
    check("no rows", &games, &[], 1, &[&drift, no_rows, there]).await;
    let patience = ("SUBWATCH_RANKING_WAIT_SECONDS", "2");
    let never = "matches nothing within 2 s: ";
    check(
        "no rows, and nothing that says it is complete",
        &games,
        &[("SUBWATCH_RANKING_READY", ""), patience],
        1,
        &[&drift, "SUBWATCH_RANKING_ROWS='", never, there],
    )
    .await;
    site.faults().clear();

    let unready = [("SUBWATCH_RANKING_READY", "#complete"), patience];
    check("never complete", &games, &unready, 1, &[&drift, "SUBWATCH_RANKING_READY='#complete' ", never])
        .await;
    let no_link = [("SUBWATCH_RANKING_LINK", "td.rank > a")];
    let in_row = "='td.rank > a' matches nothing in row 1 of 3 of 'table#ranking";
    check("no link", &games, &no_link, 1, &[&drift, in_row, there]).await;
    let no_channel = [("SUBWATCH_RANKING_LINK", "td.rank")];
    check("no channel", &games, &no_channel, 1, &[&drift, "matches no channel (“” is not a video ID"]).await;
    let no_selector = [("SUBWATCH_RANKING_ROWS", "tr[")];
    let must_be = "SUBWATCH_RANKING_ROWS is 'tr[': it must be a CSS selector";
    check("no selector", &games, &no_selector, 64, &[must_be]).await;

    let unknown = ["--ranking", &address, "--category", "unknown"];
    let not_found = "/ranking/unknown: HTTP 404: page “";
    check("not found", &unknown, &[], 1, &[not_found]).await;
    let silent = [("SUBWATCH_RANKING_WEBDRIVER", "http://127.0.0.1:1")];
    check(
        "no driver",
        &games,
        &silent,
        1,
        &["could not open a browser: the WebDriver at http://127.0.0.1:1/ is unreachable"],
    )
    .await;
    let no_path = [("PATH", "/nowhere")];
    let install = "chromedriver is not on the PATH: install it (on Debian, `apt-get install chromium";
    check("no chromedriver", &games, &no_path, 1, &[install, "SUBWATCH_RANKING_WEBDRIVER"]).await;
    cluster.finish().await;
}

#[tokio::test]
async fn a_ranking_is_read_only_where_that_is_asked_for_and_robots_allow_it() {
    let disallowed = Rule::at("/robots.txt", Fault::RankingsDisallowed);
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::of([disallowed])).await;
    let cluster = start(0, &FITTING).await;
    let address = address(&site);
    let games = ["--ranking", &address, "--category", "games"];
    let unasked = cluster.cli(&[&["crawl", "--out", "x"], &games[..]].concat()).await;
    let said = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert_eq!(unasked.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--ranking reads pages of 127.0.0.1") && said.contains("add --read-pages"),
        "{said}"
    );
    assert_eq!(site.requests().count(), 0, "nothing was asked");

    let (code, _, said) = read(&cluster, &games, &[]).await;
    let rule = "is disallowed: robots.txt of the host has 'Disallow: /ranking/' for user agent *";
    assert!(code == Some(1) && said.contains(rule), "{code:?} {said}");
    site.faults().clear();
    site.faults().add(Rule::at("/robots.txt", Fault::Unavailable));
    let (code, _, said) = read(&cluster, &games, &[]).await;
    let silent = "robots.txt of the host is unavailable (";
    assert!(code == Some(1) && said.contains(silent) && said.contains("503"), "{code:?} {said}");
    let (code, _, said) = read(&cluster, &games, &[("SUBWATCH_FETCH_ALLOW", "")]).await;
    let private = "127.0.0.1 does not have a public address; SUBWATCH_FETCH_ALLOW lists exceptions";
    assert!(code == Some(1) && said.contains(private), "{code:?} {said}");
    assert_eq!(site.requests().of(Host::Ranking).count(), 0, "no ranking was asked for");
    cluster.finish().await;
}

#[tokio::test]
async fn the_browser_ends_with_the_command_however_that_ends() {
    let world = World { channels: 15, script_delay: Duration::from_secs(3600), ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster = start(0, &FITTING).await;
    let address = address(&site);
    let folder = temporary(&cluster);
    let folder = folder.to_str().unwrap();
    let arguments = ["crawl", "ranking", "--read-pages", "--ranking", &address, "--category", "games"];
    let settings = [("TMPDIR", folder), ("SUBWATCH_RANKING_WAIT_SECONDS", "600")];
    for (round, signal) in ["SIGINT", "SIGTERM", "SIGKILL"].into_iter().enumerate() {
        let mut command = cluster.start_cli(&arguments, &settings);
        eventually("the browser waits for the ranking", || async {
            site.requests().of(Host::Ranking).count() > round
        })
        .await;
        assert!(!browsers(folder).is_empty(), "a browser is at work");
        match signal {
            "SIGINT" => command.interrupt(),
            "SIGTERM" => command.ask_to_end(),
            _ => command.kill().await,
        }
        let status = command.ended().await;
        if signal == "SIGINT" {
            assert_eq!(status.code(), Some(130), "{}", command.log());
            assert!(command.log().contains("nothing was submitted"), "{}", command.log());
        }
        nothing_is_left(folder).await;
    }
    cluster.finish().await;
}

#[tokio::test]
async fn a_driver_that_runs_already_is_used_and_its_session_is_closed() {
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::none()).await;
    let cluster = start(0, &FITTING).await;
    let folder = tempfile::tempdir().unwrap();
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0").env("HOME", folder.path()).env("TMPDIR", folder.path());
    if Path::new("/proc/self").metadata().unwrap().uid() == 0 {
        // Whoever runs a driver decides about the sandbox: a browser of somebody else's keeps it, and there is
        // none for root.
        driver.uid(NOBODY).gid(NOBODY);
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut driver = driver.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            break format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
        }
    };
    let address = address(&site);
    let arguments = ["crawl", "ranking", "--read-pages", "--ranking", &address, "-o", "jsonl"];
    let settings = [("SUBWATCH_RANKING_WEBDRIVER", url.as_str()), ("PATH", "/nowhere")];
    for (category, code) in [("games", Some(0)), ("unknown", Some(1))] {
        let all = [&arguments[..], &["--category", category]].concat();
        let output = cluster.cli_with(&all, &settings).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{said}");
        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
        assert_eq!(lines, if category == "games" { 3 } else { 0 });
        let sessions: Value = reqwest::get(format!("{url}/sessions")).await.unwrap().json().await.unwrap();
        assert_eq!(sessions["value"], serde_json::json!([]), "a session is open");
    }
    driver.kill().await.unwrap();
    cluster.finish().await;
}
