//! The Data API.

use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::Value;

use super::{client, get, site};
use crate::{FakeSite, Fault, Host, KEY, Kind, Rule, World};

async fn call(site: &FakeSite, method: &str, query: &str) -> (u16, Value) {
    let response = get(site, &format!("/youtube/v3/{method}?key={KEY}&{query}")).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn list(site: &FakeSite, method: &str, query: &str) -> Value {
    let (status, body) = call(site, method, query).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn refusal(site: &FakeSite, path: &str) -> (u16, String) {
    let response = get(site, path).await;
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], status);
    (status, body["error"]["errors"][0]["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn channel_is_read_through_uploads_and_video_ids() {
    let site = site(World { videos_per_channel: 120, channels: 8, ..World::default() }, []).await;
    for source in site.channels() {
        let query = format!("part=snippet,statistics,contentDetails&forHandle={}", source.handle);
        let channel = list(&site, "channels", &query).await["items"][0].take();
        assert_eq!(channel["id"], source.id.as_str());
        assert_eq!(channel["statistics"]["hiddenSubscriberCount"], source.hides_subscribers);
        assert_eq!(channel["statistics"].get("subscriberCount").is_none(), source.hides_subscribers);
        let uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"].as_str().unwrap();
        let mut ids = Vec::new();
        let mut next = String::new();
        loop {
            let query = format!("part=contentDetails,snippet&maxResults=50&playlistId={uploads}{next}");
            let page = list(&site, "playlistItems", &query).await;
            assert_eq!(page["pageInfo"]["totalResults"], 120);
            let found = page["items"].as_array().unwrap();
            ids.extend(
                found.iter().map(|item| item["contentDetails"]["videoId"].as_str().unwrap().to_owned()),
            );
            match page["nextPageToken"].as_str() {
                Some(token) => next = format!("&pageToken={token}"),
                None => break,
            }
        }
        assert_eq!(ids, source.videos.iter().map(|video| video.id.clone()).collect::<Vec<_>>());
        for (ids, videos) in ids.chunks(50).zip(source.videos.chunks(50)) {
            let query = format!("part=snippet,statistics,contentDetails&id={}", ids.join(","));
            let page = list(&site, "videos", &query).await;
            for (item, video) in page["items"].as_array().unwrap().iter().zip(videos) {
                assert_eq!(item["id"], video.id.as_str());
                assert_eq!(item["snippet"]["title"], video.title.as_str());
                let views = item["statistics"]["viewCount"].as_str().map(|views| views.parse().unwrap());
                let expected = if video.kind == Kind::Premiere { 0 } else { video.views };
                assert_eq!(views, (!video.hides_views).then_some(expected));
                assert_eq!(item["snippet"]["thumbnails"]["maxres"].is_object(), video.has_maxres);
            }
            assert_eq!(page["items"].as_array().unwrap().len(), ids.len());
        }
    }
    // Per channel: one call for itself, three pages of uploads and three calls for its videos.
    assert_eq!(site.units_used(KEY), 8 * 7);
    assert_eq!(site.requests().of(Host::Api).count(), 8 * 7);
}

#[tokio::test]
async fn only_requested_parts_are_returned() {
    let site = site(World::default(), []).await;
    let query = format!("part=id&id={},UCaaaaaaaaaaaaaaaaaaaaaA", site.channels()[0].id);
    let body = list(&site, "channels", &query).await;
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    let keys: Vec<_> = items[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["etag", "id", "kind"]);
}

#[tokio::test]
async fn errors_have_their_reasons() {
    let site = site(World::default(), []).await;
    let channel = &site.channels()[0];
    let uploads = channel.uploads();
    let check = async |query: &str, status, reason: &str| {
        let query = query.replace("KEY", KEY).replace("UPLOADS", &uploads);
        let path = format!("/youtube/v3/{query}");
        assert_eq!(refusal(&site, &path).await, (status, reason.to_owned()), "{path}");
    };
    check("videos?part=snippet&id=a", 403, "forbidden").await;
    check("videos?part=snippet&id=a&key=wrong", 400, "badRequest").await;
    check("videos?id=a&key=KEY", 400, "missingRequiredParameter").await;
    check("videos?part=snippet&key=KEY", 400, "missingRequiredParameter").await;
    check("videos?part=secrets&id=a&key=KEY", 400, "unknownPart").await;
    check(&format!("videos?part=id&key=KEY&id={}", ["a"; 51].join(",")), 400, "invalidFilters").await;
    check("channels?part=id&id=a&forHandle=b&key=KEY", 400, "incompatibleParameters").await;
    check("playlistItems?part=id&playlistId=UPLOADS&maxResults=51&key=KEY", 400, "invalidParameter").await;
    check("playlistItems?part=id&playlistId=UPLOADS&pageToken=x&key=KEY", 400, "invalidPageToken").await;
    check("playlistItems?part=id&playlistId=UUnothing&key=KEY", 404, "playlistNotFound").await;
    check("captions?part=id&key=KEY", 404, "notFound").await;
    site.faults().add(Rule::at("/youtube/v3/videos", Fault::QuotaExceeded));
    check("videos?part=id&id=a&key=KEY", 403, "quotaExceeded").await;
}

#[tokio::test]
async fn exhausted_key_is_refused_until_the_quota_is_reset() {
    let keys = vec!["first".to_owned(), "second".to_owned()];
    let site = site(World { units: 3, keys, ..World::default() }, []).await;
    let path = |key: &str| format!("/youtube/v3/channels?part=id&id={}&key={key}", site.channels()[0].id);
    let expected = (403, "quotaExceeded".to_owned());
    for _ in 0..3 {
        assert_eq!(get(&site, &path("first")).await.status(), 200);
    }
    assert_eq!(refusal(&site, &path("first")).await, expected);
    assert_eq!(get(&site, &path("second")).await.status(), 200);
    assert_eq!((site.units_used("first"), site.units_used("second")), (3, 1));
    site.reset_quota();
    assert_eq!(get(&site, &path("first")).await.status(), 200);
}

#[tokio::test]
async fn not_modified_response_costs_a_unit() {
    let site = site(World::default(), []).await;
    let path = format!("/youtube/v3/videos?part=statistics&id={}&key={KEY}", site.channels()[0].videos[1].id);
    let first = get(&site, &path).await;
    let tag = first.headers()[ETAG].clone();
    let body: Value = first.json().await.unwrap();
    assert_eq!(format!("\"{}\"", body["etag"].as_str().unwrap()), tag.to_str().unwrap());
    let request = client().get(site.base().join(&path).unwrap()).header(IF_NONE_MATCH, &tag);
    let again = request.send().await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()[ETAG]), (304, &tag));
    assert_eq!(again.bytes().await.unwrap().len(), 0);
    assert_eq!(site.units_used(KEY), 2);
}

#[tokio::test]
async fn removed_channel_is_missing_from_the_data_api() {
    let site = site(World::default(), []).await;
    let [gone, other] = [&site.channels()[0], &site.channels()[1]];
    site.faults().add(Rule::of_channel(&gone.id, Fault::Terminated));
    let body = list(&site, "channels", &format!("part=id&id={},{}", gone.id, other.id)).await;
    assert_eq!(body["items"].as_array().unwrap().len(), 1);
    assert_eq!(body["items"][0]["id"], other.id.as_str());
    let (status, _) = call(&site, "playlistItems", &format!("part=id&playlistId={}", gone.uploads())).await;
    assert_eq!(status, 404);
    let ids = format!("part=id&id={},{}", gone.videos[0].id, other.videos[0].id);
    assert_eq!(list(&site, "videos", &ids).await["items"].as_array().unwrap().len(), 1);
}
