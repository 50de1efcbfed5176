//! Reading complete channels.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    browse, client, follow, get, initial_data, more_items, order_token, post, selected_grid, site, videos_tab,
};
use crate::{
    AngleBrackets, Channel, FakeSite, Fault, HeaderLayout, InitialData, ItemLayout, Kind, Order, PAGE_ITEMS,
    Rule, World,
};

fn expected(channel: &Channel, order: Order) -> Vec<(String, String)> {
    channel.listed(order).iter().map(|video| (video.id.clone(), video.title.clone())).collect()
}

async fn page(site: &FakeSite, channel: &Channel) -> String {
    let response = get(site, &format!("/{}/videos?view=0&sort=p", channel.handle)).await;
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn every_video_is_listed_by_html_and_continuations() {
    let site = site(World { channels: 18, videos_per_channel: 70, ..World::default() }, []).await;
    let mut layouts = HashSet::new();
    for channel in site.channels() {
        let data = initial_data(&page(&site, channel).await);
        assert_eq!(data["metadata"]["channelMetadataRenderer"]["externalId"], channel.id.as_str());
        let first = selected_grid(&data)["contents"].as_array().unwrap();
        assert_eq!(first.len(), PAGE_ITEMS + 1);
        assert_eq!(follow(&site, first).await, expected(channel, Order::Latest));
        layouts.insert(format!("{:?} {:?} {:?}", channel.items, channel.chips, channel.continuation));
    }
    assert_eq!(layouts.len(), 18, "all combinations must occur: {layouts:?}");
}

#[tokio::test]
async fn popular_works_in_every_chip_layout_and_a_fault_returns_latest() {
    let site = site(World { channels: 6, ..World::default() }, []).await;
    for channel in site.channels() {
        let data = videos_tab(&site, channel).await;
        let header = &selected_grid(&data)["header"];
        let token = order_token(header, "Popular");
        let data = browse(&site, json!({"continuation": token})).await;
        let (action, items) = more_items(&data);
        assert_eq!(action, "reloadContinuationItemsCommand");
        assert_eq!(follow(&site, items).await, expected(channel, Order::Popular));
        let data = browse(&site, json!({"continuation": order_token(header, "Oldest")})).await;
        assert_eq!(follow(&site, more_items(&data).1).await, expected(channel, Order::Oldest));

        site.faults().add(Rule::of_channel(&channel.id, Fault::LatestForPopular));
        let data = browse(&site, json!({"continuation": token})).await;
        assert_eq!(follow(&site, more_items(&data).1).await, expected(channel, Order::Latest));
    }
    let chips: HashSet<_> = site.channels().iter().map(|c| format!("{:?} {:?}", c.items, c.chips)).collect();
    assert_eq!(chips.len(), 6);
}

#[tokio::test]
async fn data_is_equal_in_every_spelling_and_breaks_naive_readers() {
    let mut pages = Vec::new();
    for (initial_data, angles) in [
        (InitialData::Var, AngleBrackets::Escaped),
        (InitialData::Window, AngleBrackets::Escaped),
        (InitialData::Var, AngleBrackets::Unescaped),
    ] {
        let site = site(World { initial_data, angles, ..World::default() }, []).await;
        let mut found = Vec::new();
        for channel in site.channels() {
            found.push(page(&site, channel).await);
        }
        pages.push(found);
    }
    for other in &pages[1..] {
        for (page, other) in pages[0].iter().zip(other) {
            assert_eq!(initial_data(page), initial_data(other));
        }
    }
    // Naive readers that stop at the first occurrence of a string.
    let broken = |pages: &[String], stop: &str, kept: &str| {
        let is_broken = |page: &&String| {
            let begins = page.find("ytInitialData = ").or_else(|| page.find("ytInitialData\"] = ")).unwrap();
            let (_, rest) = page[begins..].split_once(" = ").unwrap();
            let (data, _) = rest.split_once(stop).unwrap();
            serde_json::from_str::<Value>(&format!("{data}{kept}")).is_err()
        };
        pages.iter().filter(is_broken).count()
    };
    let every = pages[0].len();
    assert!((1..every).contains(&broken(&pages[0], "};", "}")));
    assert_eq!(broken(&pages[0], ";</script>", ""), 0);
    assert_eq!(broken(&pages[1], ";</script>", ""), every);
    assert!((1..every).contains(&broken(&pages[2], ";</script>", "")));
    // To a browser, the data must not end its script.
    for page in &pages[0] {
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    }
}

#[tokio::test]
async fn channel_is_found_by_id_and_names_and_addresses_are_resolved() {
    let site = site(World::default(), []).await;
    for channel in site.channels() {
        let names = [
            format!("/channel/{}/videos", channel.id),
            format!("/{}/videos", channel.handle.to_uppercase()),
            format!("/c/{}/videos", channel.legacy_name),
            format!("/user/{}", channel.legacy_name),
        ];
        for name in names {
            let data = initial_data(&get(&site, &name).await.text().await.unwrap());
            assert_eq!(data["metadata"]["channelMetadataRenderer"]["externalId"], channel.id.as_str());
        }
        let mut url = format!("https://www.youtube.com/user/{}", channel.legacy_name);
        let mut steps = 0;
        let id = loop {
            steps += 1;
            let response = post(&site, "/youtubei/v1/navigation/resolve_url", json!({"url": url})).await;
            let endpoint = response.json::<Value>().await.unwrap()["endpoint"].take();
            match endpoint["urlEndpoint"]["url"].as_str() {
                Some(next) => next.clone_into(&mut url),
                None => break endpoint["browseEndpoint"]["browseId"].as_str().unwrap().to_owned(),
            }
        };
        assert_eq!(id, channel.id);
        assert_eq!(steps, if channel.number % 3 == 2 { 3 } else { 2 });
    }
    let unknown = json!({"url": "https://www.youtube.com/@unknown"});
    assert_eq!(post(&site, "/youtubei/v1/navigation/resolve_url", unknown).await.status(), 404);
    assert_eq!(get(&site, "/@unknown/videos").await.status(), 404);
}

#[tokio::test]
async fn browse_refuses_invalid_requests() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    let path = "/youtubei/v1/browse";
    for fields in
        [json!({"browseId": "DOESNT-EXIST"}), json!({"continuation": "4qmFsgAAAA%3D%3D"}), json!({})]
    {
        let response = post(&site, path, fields).await;
        assert_eq!(response.status(), 400);
        assert_eq!(response.json::<Value>().await.unwrap()["error"]["status"], "INVALID_ARGUMENT");
    }
    let without_context =
        client().post(site.base().join(path).unwrap()).json(&json!({"browseId": channel.id}));
    assert_eq!(without_context.send().await.unwrap().status(), 400);
    assert_eq!(get(&site, path).await.status(), 405);
    let unknown = browse(&site, json!({"browseId": "UCaaaaaaaaaaaaaaaaaaaaaA"})).await;
    assert_eq!(unknown["alerts"][0]["alertRenderer"]["type"], "ERROR");
    // The Home tab is the default.
    let home = browse(&site, json!({"browseId": channel.id})).await;
    assert!(selected_grid(&home).is_null());
}

#[tokio::test]
async fn counts_follow_the_layouts() {
    let site = site(World::default(), []).await;
    for channel in site.channels() {
        let data = videos_tab(&site, channel).await;
        let header = &data["header"];
        let rows = &header["pageHeaderRenderer"]["content"]["pageHeaderViewModel"]["metadata"]["contentMetadataViewModel"]
            ["metadataRows"];
        let subscribers = match (channel.header, channel.hides_subscribers) {
            (HeaderLayout::Page, false) => rows[1]["metadataParts"][0]["text"]["content"].as_str(),
            (HeaderLayout::Page, true) => {
                assert_eq!(rows[1]["metadataParts"].as_array().unwrap().len(), 1);
                None
            }
            (HeaderLayout::Tabbed, _) => {
                header["c4TabbedHeaderRenderer"]["subscriberCountText"]["simpleText"].as_str()
            }
        };
        assert_eq!(subscribers.is_none(), channel.hides_subscribers);
        assert!(subscribers.is_none_or(|text| text.ends_with(" subscribers")), "{subscribers:?}");
        let items = selected_grid(&data)["contents"].as_array().unwrap();
        for (item, video) in items.iter().take(PAGE_ITEMS).zip(channel.listed(Order::Latest)) {
            let content = &item["richItemRenderer"]["content"];
            let views = match channel.items {
                ItemLayout::VideoRenderer => content["videoRenderer"]["viewCountText"]["simpleText"].as_str(),
                ItemLayout::LockupViewModel => {
                    let parts = &content["lockupViewModel"]["metadata"]["lockupMetadataViewModel"]["metadata"]
                        ["contentMetadataViewModel"]["metadataRows"][0]["metadataParts"];
                    parts[1].is_object().then(|| parts[0]["text"]["content"].as_str().unwrap())
                }
            };
            assert_eq!(
                views.is_some_and(|text| text.contains("view")),
                video.kind == Kind::Plain,
                "{views:?} of a {:?}",
                video.kind
            );
            if channel.items == ItemLayout::VideoRenderer && video.kind == Kind::Plain && video.views > 1 {
                let digits: String = views.unwrap().chars().filter(char::is_ascii_digit).collect();
                assert_eq!(digits, video.views.to_string());
            }
        }
    }
}

#[tokio::test]
async fn pages_use_the_requested_language() {
    let site = site(World { odd_videos: false, ..World::default() }, []).await;
    let channel = &site.channels()[1];
    assert_eq!(channel.items, ItemLayout::VideoRenderer);
    for (query, expected) in [("?hl=ko&gl=KR", "조회수 "), ("?hl=en&gl=US", " views"), ("", " views")] {
        let path = format!("/channel/{}/videos{query}", channel.id);
        let data = initial_data(&get(&site, &path).await.text().await.unwrap());
        let first = &selected_grid(&data)["contents"][0]["richItemRenderer"]["content"]["videoRenderer"];
        let views = first["shortViewCountText"]["simpleText"].as_str().unwrap();
        assert!(views.contains(expected), "{views}");
    }
}

#[tokio::test]
async fn short_and_empty_channels_have_no_continuation() {
    let short = site(World { videos_per_channel: 3, channels: 2, ..World::default() }, []).await;
    for channel in short.channels() {
        let data = videos_tab(&short, channel).await;
        assert_eq!(selected_grid(&data)["contents"].as_array().unwrap().len(), 3);
    }
    let empty = site(World { videos_per_channel: 0, channels: 1, ..World::default() }, []).await;
    assert!(selected_grid(&videos_tab(&empty, &empty.channels()[0]).await).is_null());
}
