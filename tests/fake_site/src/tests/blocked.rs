//! Faults.

use std::time::{Duration, SystemTime};

use reqwest::{
    Client,
    header::{CONTENT_LENGTH, LOCATION, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    browse, client, get, initial_data, item, more_items, order_token, post, selected_grid, site, tokens,
    videos_tab,
};
use crate::{FakeSite, Fault, Host, KEY, Occurrences, RetryAfter, Rule, Wall, World};

fn page(site: &FakeSite) -> String {
    format!("/channel/{}/videos", site.channels()[0].id)
}

#[tokio::test]
async fn busy_responses_have_their_retry_after() {
    let site = site(World::default(), []).await;
    let page = page(&site);
    let busy = async |retry_after| {
        site.faults().clear();
        site.faults().add(Rule::at("/channel/", Fault::TooManyRequests(retry_after)));
        let response = get(&site, &page).await;
        assert_eq!(response.status(), 429);
        response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(busy(RetryAfter::Absent).await, None);
    assert_eq!(busy(RetryAfter::Seconds(120)).await.as_deref(), Some("120"));
    let date = busy(RetryAfter::Date(Duration::from_secs(3_600))).await.unwrap();
    assert!(httpdate::parse_http_date(&date).unwrap() > SystemTime::now());

    site.faults().clear();
    site.faults().add(Rule::to(Host::Api, Fault::Unavailable));
    let response = get(&site, &format!("/youtube/v3/videos?part=id&id=a&key={KEY}")).await;
    assert_eq!(response.status(), 503);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["errors"][0]["reason"], "backendError");
    assert_eq!(get(&site, &page).await.status(), 200);
}

#[tokio::test]
async fn consent_and_captcha_are_served_or_redirected_to() {
    let site = site(World::default(), []).await;
    for (fault, marker, address) in [
        (
            Fault::Consent as fn(Wall) -> Fault,
            "https://consent.youtube.com/save",
            "https://consent.youtube.com/m?",
        ),
        (Fault::Captcha, "g-recaptcha", "https://www.google.com/sorry/index?"),
    ] {
        site.faults().clear();
        site.faults().add(Rule::to(Host::Web, fault(Wall::Page)));
        let response = get(&site, &page(&site)).await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        assert!(text.contains(marker) && !text.contains("ytInitialData"));
        site.faults().clear();
        site.faults().add(Rule::to(Host::Web, fault(Wall::Redirect)));
        let response = get(&site, &page(&site)).await;
        assert_eq!(response.status(), 302);
        assert!(response.headers()[LOCATION].to_str().unwrap().starts_with(address));
    }
}

#[tokio::test]
async fn bodies_are_truncated_delayed_or_reset() {
    let site = site(World::default(), []).await;
    let page = page(&site);
    let whole = get(&site, &page).await.bytes().await.unwrap();
    let with = async |fault| {
        site.faults().clear();
        site.faults().add(Rule::at("/channel/", fault));
        // Only a stalled body must time out.
        let timeout_ms = if fault == Fault::Stalled { 500 } else { 60_000 };
        let client = Client::builder().read_timeout(Duration::from_millis(timeout_ms)).build().unwrap();
        let response = client.get(site.base().join(&page).unwrap()).send().await?;
        let announced = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse::<usize>().unwrap();
        response.bytes().await.map(|bytes| (bytes, announced))
    };
    let (bytes, announced) = with(Fault::Truncated).await.unwrap();
    assert_eq!((bytes.len(), announced), (whole.len() / 2, whole.len() / 2));
    assert!(whole.starts_with(&bytes));
    let (bytes, announced) = with(Fault::Slow(Duration::from_millis(1))).await.unwrap();
    assert_eq!((&bytes, announced), (&whole, whole.len()));
    let cut = with(Fault::CutOff).await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");
    assert!(with(Fault::Stalled).await.unwrap_err().is_timeout());
    let reset = with(Fault::Reset).await.unwrap_err();
    assert!(format!("{reset:?}").contains("ConnectionReset"), "{reset:?}");
    site.faults().clear();
    assert_eq!(get(&site, &page).await.bytes().await.unwrap(), whole);
}

#[tokio::test]
async fn data_is_corrupted_in_pages_and_in_browse() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    let fields = || json!({"browseId": channel.id, "params": "EgZ2aWRlb3PyBgQKAjoA"});
    for (fault, is_json, is_utf8) in [
        (Fault::InvalidJson, false, true),
        (Fault::BadUtf8, false, false),
        (Fault::SchemaDrift, true, true),
        (Fault::NoItems, true, true),
    ] {
        site.faults().clear();
        site.faults().add(Rule::of_channel(&channel.id, fault));
        let bytes = post(&site, "/youtubei/v1/browse", fields()).await.bytes().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes).is_ok(), is_json, "{fault:?}");
        assert_eq!(std::str::from_utf8(&bytes).is_ok(), is_utf8, "{fault:?}");
        let page = get(&site, &page(&site)).await.bytes().await.unwrap();
        assert_eq!(std::str::from_utf8(&page).is_ok(), is_utf8, "{fault:?}");
        if is_json {
            let data = initial_data(std::str::from_utf8(&page).unwrap());
            assert_eq!(
                selected_grid(&data)["contents"].as_array().unwrap().iter().filter_map(item).count(),
                0
            );
            // The rest of the page is unchanged.
            assert_eq!(data["metadata"]["channelMetadataRenderer"]["externalId"], channel.id.as_str());
        }
        let other = videos_tab(&site, &site.channels()[1]).await;
        assert!(selected_grid(&other)["contents"].as_array().unwrap().iter().filter_map(item).count() > 0);
    }
}

#[tokio::test]
async fn channels_are_removed_age_gated_or_not_found() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    for (fault, text) in [(Fault::Terminated, "terminated"), (Fault::Removed, "removed")] {
        site.faults().clear();
        site.faults().add(Rule::of_channel(&channel.id, fault));
        let from_page = initial_data(&get(&site, &page(&site)).await.text().await.unwrap());
        for data in [videos_tab(&site, channel).await, from_page] {
            let alert = &data["alerts"][0]["alertRenderer"];
            assert_eq!(alert["type"], "ERROR");
            assert!(alert["text"]["simpleText"].as_str().unwrap().contains(text));
            assert!(data.get("contents").is_none());
        }
    }
    site.faults().clear();
    site.faults().add(Rule::of_channel(&channel.id, Fault::AgeGate));
    let data = videos_tab(&site, channel).await;
    assert!(data.to_string().contains("channelAgeGateRenderer"));
    site.faults().clear();
    site.faults().add(Rule::of_channel(&channel.id, Fault::NotFound));
    assert_eq!(get(&site, &page(&site)).await.status(), 404);
    let data = videos_tab(&site, channel).await;
    assert_eq!(data["alerts"][0]["alertRenderer"]["text"]["simpleText"], "This channel does not exist.");
}

#[tokio::test]
async fn tokens_and_addresses_can_loop() {
    let site = site(World::default(), [Rule::at("/youtubei/", Fault::TokenLoop)]).await;
    let channel = &site.channels()[0];
    let data = videos_tab(&site, channel).await;
    let token = tokens(selected_grid(&data)["contents"].as_array().unwrap().last().unwrap());
    let data = browse(&site, json!({"continuation": token[0]})).await;
    assert_eq!(tokens(more_items(&data).1.last().unwrap()), token);
    let popular = order_token(&selected_grid(&videos_tab(&site, channel).await)["header"], "Popular");
    assert_ne!(token[0], popular);

    site.faults().clear();
    site.faults().add(Rule::at("/youtubei/v1/navigation/", Fault::AddressLoop));
    let url = format!("https://www.youtube.com/{}", channel.handle);
    let response = post(&site, "/youtubei/v1/navigation/resolve_url", json!({"url": url})).await;
    assert_eq!(response.json::<Value>().await.unwrap()["endpoint"]["urlEndpoint"]["url"], url);
}

#[tokio::test]
async fn unknown_counts_and_robots_txt_rules_can_be_injected() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    let before = get(&site, "/robots.txt").await.text().await.unwrap();
    assert!(before.contains("Disallow: /youtubei/\n") && !before.contains("Disallow: /@\n"));
    site.faults().add(Rule::at("/robots.txt", Fault::ChannelsDisallowed));
    let after = get(&site, "/robots.txt").await.text().await.unwrap();
    assert!(after.contains("Disallow: /@\n") && after.contains("Disallow: /channel/\n"));
    assert!(!after.contains("Disallow: /ranking/\n"));
    site.faults().clear();
    site.faults().add(Rule::at("/robots.txt", Fault::RankingsDisallowed));
    let after = get(&site, "/robots.txt").await.text().await.unwrap();
    assert!(!after.contains("Disallow: /@\n") && after.contains("Disallow: /ranking/\n"));

    site.faults().add(Rule::of_channel(&channel.id, Fault::UnknownCounts).on(Occurrences::Nth(2)));
    assert!(!videos_tab(&site, channel).await.to_string().contains('ब'));
    let data = videos_tab(&site, channel).await;
    assert!(data.to_string().contains('ब') && !data.to_string().contains(" views"));
}

#[tokio::test]
async fn ranking_has_no_rows_until_its_script_has_run() {
    let site = site(World { channels: 15, ..World::default() }, []).await;
    let page = get(&site, "/ranking/games").await.text().await.unwrap();
    let (table, script) = page.split_once("<script>").unwrap();
    assert!(table.contains("<table id=\"ranking\">") && !table.contains("<td"));
    let (_, rows) = script.split_once("var rows = ").unwrap();
    let rows: Value = serde_json::Deserializer::from_str(rows).into_iter().next().unwrap().unwrap();
    let mut games: Vec<_> = site.channels().iter().filter(|channel| channel.category == "games").collect();
    games.sort_by_key(|channel| std::cmp::Reverse(channel.subscribers));
    assert_eq!(rows.as_array().unwrap().len(), 3);
    for (at, (row, channel)) in rows.as_array().unwrap().iter().zip(games).enumerate() {
        assert_eq!((&row[0], &row[2]), (&json!(at + 1), &json!(channel.id)));
    }
    assert_eq!(
        get(&site, "/ranking/게임").await.text().await.unwrap(),
        page,
        "the Korean name has the same page"
    );
    assert_eq!(get(&site, "/ranking/unknown").await.status(), 404);
    let posted = client().post(site.base().join("/ranking/games").unwrap()).send().await.unwrap();
    assert_eq!(posted.status(), 405);
    assert_eq!(site.requests().of(Host::Ranking).count(), 4);
}
