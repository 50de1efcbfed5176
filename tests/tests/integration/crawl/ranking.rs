//! Rankings read with a real browser, and crawls of their channels.

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

/// Selectors that match the site's table, and its mark of completeness.
const SELECTORS: [(&str, &str); 3] = [
    ("SUBWATCH_RANKING_ROWS", "table#ranking tbody tr.channel"),
    ("SUBWATCH_RANKING_LINK", "td.name > a[href]"),
    ("SUBWATCH_RANKING_READY", "body[data-ready=\"true\"]"),
];

/// The user and group `nobody`.
const UNPRIVILEGED: u32 = 65_534;

/// Returns the IDs of the top channels of a category in the site's order.
fn ranked<'a>(site: &'a FakeSite, category: &str, top: usize) -> Vec<&'a str> {
    let mut channels: Vec<&Channel> =
        site.channels().iter().filter(|channel| channel.category == category).collect();
    channels.sort_by_key(|channel| Reverse(channel.subscribers));
    channels.into_iter().take(top).map(|channel| channel.id.as_str()).collect()
}

fn address(site: &FakeSite) -> String {
    format!("{}ranking/{{category}}", site.base())
}

/// Returns the channels of a dataset with the category in their rows.
fn categories(dataset: &Path) -> BTreeMap<String, String> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows(dataset).values().map(|row| (text(row, "channel_id"), text(row, "category"))).collect()
}

/// Runs `crawl ranking` with a separate TMPDIR; returns exit code, standard output and standard error.
async fn read(
    cluster: &Cluster,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let folder = temporary(cluster);
    let folder = folder.to_str().unwrap();
    let all = [&["crawl", "ranking", "--read-pages"], arguments].concat();
    let output = cluster.cli_with(&all, &[settings, &[("TMPDIR", folder)]].concat()).await;
    wait_for_cleanup(folder).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn temporary(cluster: &Cluster) -> PathBuf {
    let folder = cluster.folder().join("temporary");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits until no browser uses `folder` and its files are deleted. The browser's crash handler ends last.
async fn wait_for_cleanup(folder: &str) {
    eventually("browser and temporary files are gone", || async {
        browsers(folder).is_empty() && std::fs::read_dir(folder).unwrap().count() == 0
    })
    .await;
}

/// Returns the command lines of all processes that mention `folder`, as a browser does with its profile.
fn browsers(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder)).collect()
}

#[tokio::test]
async fn top_channels_of_two_categories_are_crawled() {
    // A script fills the table 1.5 s after the page has loaded.
    let world = World {
        channels: 15,
        videos_per_channel: 6,
        script_delay: Duration::from_millis(1500),
        ..World::default()
    };
    let site = FakeSite::start(world, Faults::none()).await;
    let contact = ("SUBWATCH_CRAWL_CONTACT", "https://example.org/crawler");
    let cluster = start(2, &[&SELECTORS[..], &[contact]].concat()).await;
    let address = address(&site);
    let more = ["--ranking", &address, "--read-pages", "--top", "2", "--videos-per-channel", "3"];
    let more = [&more[..], &["--category", "games", "--category", "politics"]].concat();
    let arguments = crawl(&cluster, &site, "set", &[], &more);
    let crawled = report(&cluster, &arguments, &[0]).await;

    let (games, politics) = (ranked(&site, "games", 2), ranked(&site, "politics", 2));
    let items: Vec<&str> =
        crawled["results"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(items, [&games[..], &politics].concat(), "channels must be in ranking order");
    let expected = games.iter().map(|id| (*id, "games")).chain(politics.iter().map(|id| (*id, "politics")));
    let expected: BTreeMap<String, String> =
        expected.map(|(id, category)| (id.to_owned(), category.to_owned())).collect();
    assert_eq!(categories(&cluster.folder().join("set")), expected);

    let requests = site.requests().of(Host::Ranking);
    let agent = format!("subwatch/{} (+https://example.org/crawler)", env!("CARGO_PKG_VERSION"));
    let pages: Vec<(&str, &str)> =
        requests.0.iter().map(|one| (one.path.as_str(), one.agent.as_str())).collect();
    assert_eq!(pages, [("/ranking/games", agent.as_str()), ("/ranking/politics", &agent)]);
    assert_eq!(site.requests().to("/robots.txt").count(), 1);
    tests::print_line(&format!(
        "{} thumbnails of {} channels by two rankings",
        crawled["thumbnails"],
        items.len()
    ));
    cluster.finish().await;
}

#[tokio::test]
async fn printed_ranking_can_be_crawled() {
    let site =
        FakeSite::start(World { channels: 15, videos_per_channel: 5, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &[]).await;
    let address = address(&site);
    let (games, travel) = (ranked(&site, "games", 2), ranked(&site, "travel", 2));

    // The default selectors match the site's plain table.
    let requests = ["--ranking", &address, "--category", "games", "--category", "travel", "--top", "2"];
    let (code, csv, stderr) = read(&cluster, &requests, &[]).await;
    let line = |category: &str, rank: usize, id: &str| format!("{category},{rank},{id}\n");
    let lines = [
        "category,rank,channel\n".to_owned(),
        line("games", 1, games[0]),
        line("games", 2, games[1]),
        line("travel", 1, travel[0]),
        line("travel", 2, travel[1]),
    ];
    assert_eq!((code, csv.as_str()), (Some(0), lines.concat().as_str()), "{stderr}");
    assert!(stderr.contains("\nranking games: 2 channels\nranking travel: 2 channels\n"), "{stderr}");

    let file = cluster.folder().join("list.csv");
    std::fs::write(&file, &csv).unwrap();
    let list = ["--channels", file.to_str().unwrap(), "--videos-per-channel", "2"];
    report(&cluster, &crawl(&cluster, &site, "listed", &[], &list), &[0]).await;
    let expected = games.iter().map(|id| (*id, "games")).chain(travel.iter().map(|id| (*id, "travel")));
    let expected: BTreeMap<String, String> =
        expected.map(|(id, category)| (id.to_owned(), category.to_owned())).collect();
    assert_eq!(categories(&cluster.folder().join("listed")), expected);

    // A ranking may be shorter than requested, and a channel belongs to the first ranking that lists it.
    let twice = ["--ranking", &address, "--category", "games", "--category", "게임", "-o", "json"];
    let (code, json, stderr) = read(&cluster, &twice, &SELECTORS).await;
    let all = ranked(&site, "games", 20);
    let first: Vec<Value> = serde_json::from_str(&json).unwrap();
    let channels: Vec<&str> = first.iter().map(|one| one["channel"].as_str().unwrap()).collect();
    assert_eq!((code, channels), (Some(0), all.clone()), "{stderr}");
    assert!(stderr.contains("ranking games: 3 channels of 20 requested\n"), "{stderr}");
    assert!(stderr.contains(&format!("; {} is already in games", all[2])), "{stderr}");
    cluster.finish().await;
}

#[tokio::test]
async fn preset_of_2020_takes_its_categories_from_a_ranking() {
    let site =
        FakeSite::start(World { channels: 15, videos_per_channel: 5, ..World::default() }, Faults::none())
            .await;
    let cluster = start(2, &SELECTORS).await;
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the one of 2020 no longer exists: give another with --ranking"), "{stderr}");
    cluster.finish().await;
}

#[tokio::test]
async fn unparsable_ranking_fails_with_a_description_of_the_page() {
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::none()).await;
    let cluster = start(0, &SELECTORS).await;
    let address = address(&site);
    let games = ["--ranking", &address, "--category", "games"];
    let check =
        async |name: &str, arguments: &[&str], settings: &[(&str, &str)], exit: i32, want: &[&str]| {
            let (code, printed, stderr) = read(&cluster, arguments, settings).await;
            assert_eq!((code, printed.as_str()), (Some(exit), ""), "{name}: {stderr}");
            for want in want {
                assert!(stderr.contains(want), "{name}: “{want}” not found in: {stderr}");
            }
        };
    let prefix = format!("could not read the ranking of games at {}ranking/games: ", site.base());
    let drift = format!("{prefix}schema-drift: ");
    let there = "page “Top channels: games”, ";

    site.faults().add(Rule::at("/ranking/", Fault::SchemaDrift));
    let no_rows = "SUBWATCH_RANKING_ROWS='table#ranking tbody tr.channel' matches nothing: ";
    check("another table", &games, &[], 1, &[&drift, no_rows, there, " bytes\n"]).await;
    site.faults().clear();
    site.faults().add(Rule::at("/ranking/", Fault::NoItems));
    check("no rows", &games, &[], 1, &[&drift, no_rows, there]).await;
    let short_wait = ("SUBWATCH_RANKING_WAIT_SECONDS", "2");
    let never = "matches nothing within 2 s: ";
    check(
        "no rows and no mark of completeness",
        &games,
        &[("SUBWATCH_RANKING_READY", ""), short_wait],
        1,
        &[&drift, "SUBWATCH_RANKING_ROWS='", never, there],
    )
    .await;
    site.faults().clear();

    let unready = [("SUBWATCH_RANKING_READY", "#complete"), short_wait];
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
async fn ranking_is_read_only_with_the_flag_and_where_robots_txt_allows() {
    let disallowed = Rule::at("/robots.txt", Fault::RankingsDisallowed);
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::of([disallowed])).await;
    let cluster = start(0, &SELECTORS).await;
    let address = address(&site);
    let games = ["--ranking", &address, "--category", "games"];
    let without_flag = cluster.cli(&[&["crawl", "--out", "x"], &games[..]].concat()).await;
    let stderr = String::from_utf8_lossy(&without_flag.stderr).into_owned();
    assert_eq!(without_flag.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("--ranking reads pages of 127.0.0.1") && stderr.contains("add --read-pages"),
        "{stderr}"
    );
    assert_eq!(site.requests().count(), 0, "a request was sent without --read-pages");

    let (code, _, stderr) = read(&cluster, &games, &[]).await;
    let rule = "is disallowed: robots.txt of the host has 'Disallow: /ranking/' for user agent *";
    assert!(code == Some(1) && stderr.contains(rule), "{code:?} {stderr}");
    site.faults().clear();
    site.faults().add(Rule::at("/robots.txt", Fault::Unavailable));
    let (code, _, stderr) = read(&cluster, &games, &[]).await;
    let silent = "robots.txt of the host is unavailable (";
    assert!(code == Some(1) && stderr.contains(silent) && stderr.contains("503"), "{code:?} {stderr}");
    let (code, _, stderr) = read(&cluster, &games, &[("SUBWATCH_FETCH_ALLOW", "")]).await;
    let private = "127.0.0.1 does not have a public address; SUBWATCH_FETCH_ALLOW lists exceptions";
    assert!(code == Some(1) && stderr.contains(private), "{code:?} {stderr}");
    assert_eq!(site.requests().of(Host::Ranking).count(), 0, "a ranking was requested");
    cluster.finish().await;
}

#[tokio::test]
async fn browser_ends_with_the_command() {
    let world = World { channels: 15, script_delay: Duration::from_secs(3600), ..World::default() };
    let site = FakeSite::start(world, Faults::none()).await;
    let cluster = start(0, &SELECTORS).await;
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
        assert!(!browsers(folder).is_empty(), "no browser is running");
        match signal {
            "SIGINT" => command.send_sigint(),
            "SIGTERM" => command.send_sigterm(),
            _ => command.kill().await,
        }
        let status = command.wait().await;
        if signal == "SIGINT" {
            assert_eq!(status.code(), Some(130), "{}", command.log());
            assert!(command.log().contains("nothing was submitted"), "{}", command.log());
        }
        wait_for_cleanup(folder).await;
    }
    cluster.finish().await;
}

#[tokio::test]
async fn running_webdriver_is_used_and_its_session_is_closed() {
    let site = FakeSite::start(World { channels: 15, ..World::default() }, Faults::none()).await;
    let cluster = start(0, &SELECTORS).await;
    let folder = tempfile::tempdir().unwrap();
    let mut driver = Command::new("chromedriver");
    driver.arg("--port=0").env("HOME", folder.path()).env("TMPDIR", folder.path());
    if Path::new("/proc/self").metadata().unwrap().uid() == 0 {
        // A browser that an external driver starts keeps its sandbox, which does not work for root.
        driver.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
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
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{stderr}");
        let lines = String::from_utf8_lossy(&output.stdout).lines().count();
        assert_eq!(lines, if category == "games" { 3 } else { 0 });
        let sessions: Value = reqwest::get(format!("{url}/sessions")).await.unwrap().json().await.unwrap();
        assert_eq!(sessions["value"], serde_json::json!([]), "a session was left open");
    }
    driver.kill().await.unwrap();
    cluster.finish().await;
}
