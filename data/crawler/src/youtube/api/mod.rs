//! Parses responses of the YouTube Data API v3, the default source; its errors are in `errors`.
//!
//! A missing field that the [reference](https://developers.google.com/youtube/v3/docs) promises for the requested
//! parts is a [`SchemaDrift`] with its path. The API sends counts as strings.

mod errors;

pub use self::errors::{ApiError, from_body};
use serde_json::Value;

use super::{
    counts::Count,
    faults::SchemaDrift,
    ids::{ChannelId, Handle, VideoId},
    node::JsonNode,
    thumbnail::Variant,
};

/// Requested parts of `channels.list`.
pub const CHANNEL_PARTS: &str = "snippet,statistics,contentDetails";
/// Requested parts of `playlistItems.list`.
pub const UPLOADS_PARTS: &str = "contentDetails";
/// Requested parts of `videos.list`.
pub const VIDEO_PARTS: &str = "snippet,statistics";
/// Maximum number of IDs or items per request.
pub const MAX_ITEMS: usize = 50;

/// A channel of `channels.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiChannel {
    pub id: ChannelId,
    pub title: String,
    pub handle: Option<Handle>,
    /// To three significant digits; `None` if hidden.
    pub subscribers: Option<Count>,
    /// ID of the playlist of its videos.
    pub uploads: String,
}

/// A page of `playlistItems.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadsPage {
    /// The latest first.
    pub video_ids: Vec<VideoId>,
    /// `None` on the last page.
    pub next_page_token: Option<String>,
}

/// A video of `videos.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiVideo {
    pub id: VideoId,
    pub title: String,
    pub channel_id: ChannelId,
    /// `None` if hidden.
    pub views: Option<Count>,
    /// RFC 3339.
    pub published_at: String,
    pub broadcast: Broadcast,
    /// Existing variants, the largest first.
    pub thumbnails: Vec<Variant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broadcast {
    /// A video, or a completed stream.
    None,
    Live,
    /// A scheduled stream or premiere.
    Upcoming,
}

/// Parses a response of `channels.list`, which omits channels that do not exist.
pub fn channels(response: &Value) -> Result<Vec<ApiChannel>, SchemaDrift> {
    items(response)?.iter().map(channel).collect()
}

fn channel(item: &JsonNode<'_>) -> Result<ApiChannel, SchemaDrift> {
    let statistics = item.at(&["statistics"])?;
    let hidden = statistics.at(&["hiddenSubscriberCount"])?;
    let hidden = hidden.value.as_bool().ok_or_else(|| hidden.drift("neither true nor false"))?;
    let subscribers = || number(&statistics.at(&["subscriberCount"])?);
    Ok(ApiChannel {
        id: parsed(&item.at(&["id"])?)?,
        title: item.at(&["snippet", "title"])?.text()?.to_owned(),
        handle: item.text_at(&["snippet", "customUrl"]).and_then(|url| url.parse().ok()),
        subscribers: if hidden { None } else { Some(Count::rounded_to_three_digits(subscribers()?)) },
        uploads: item.at(&["contentDetails", "relatedPlaylists", "uploads"])?.text()?.to_owned(),
    })
}

/// Parses a response of `playlistItems.list`.
pub fn uploads_page(response: &Value) -> Result<UploadsPage, SchemaDrift> {
    let video = |item: &JsonNode<'_>| parsed(&item.at(&["contentDetails", "videoId"])?);
    let token = JsonNode::root(response).text_at(&["nextPageToken"]).filter(|token| !token.is_empty());
    Ok(UploadsPage {
        video_ids: items(response)?.iter().map(video).collect::<Result<_, _>>()?,
        next_page_token: token.map(str::to_owned),
    })
}

/// Parses a response of `videos.list`, which omits private videos and those that do not exist.
pub fn videos(response: &Value) -> Result<Vec<ApiVideo>, SchemaDrift> {
    items(response)?.iter().map(video).collect()
}

fn video(item: &JsonNode<'_>) -> Result<ApiVideo, SchemaDrift> {
    let snippet = item.at(&["snippet"])?;
    let views = item.at(&["statistics"])?.find(&["viewCount"]);
    let thumbnails = snippet.at(&["thumbnails"])?;
    Ok(ApiVideo {
        id: parsed(&item.at(&["id"])?)?,
        title: snippet.at(&["title"])?.text()?.to_owned(),
        channel_id: parsed(&snippet.at(&["channelId"])?)?,
        views: views.map(|views| number(&views).map(Count::exact)).transpose()?,
        published_at: snippet.at(&["publishedAt"])?.text()?.to_owned(),
        broadcast: broadcast(&snippet.at(&["liveBroadcastContent"])?)?,
        thumbnails: Variant::BEST_FIRST
            .into_iter()
            .filter(|variant| thumbnails.find(&[variant.api_name()]).is_some())
            .collect(),
    })
}

fn broadcast(content: &JsonNode<'_>) -> Result<Broadcast, SchemaDrift> {
    match content.text()? {
        "none" => Ok(Broadcast::None),
        "live" => Ok(Broadcast::Live),
        "upcoming" => Ok(Broadcast::Upcoming),
        other => Err(content.drift(format!("unknown value “{other}”"))),
    }
}

/// Returns the items. A response with zero results has no `items`.
fn items(response: &Value) -> Result<Vec<JsonNode<'_>>, SchemaDrift> {
    let root = JsonNode::root(response);
    let total = root.find(&["pageInfo", "totalResults"]);
    if root.find(&["items"]).is_none() && total.is_some_and(|total| *total.value == 0) {
        return Ok(Vec::new());
    }
    root.at(&["items"])?.items()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &JsonNode<'_>) -> Result<T, SchemaDrift> {
    text.text()?.parse().map_err(|error: T::Err| text.drift(error.to_string()))
}

fn number(text: &JsonNode<'_>) -> Result<u64, SchemaDrift> {
    let digits = text.text()?;
    digits.parse().map_err(|_| text.drift(format!("“{digits}” is not a number")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "UCTwECeGqMZee77BjdoYtI2Q";

    fn channel() -> Value {
        json!({
            "kind": "youtube#channel",
            "id": ID,
            "snippet": {"title": "Creative Commons", "customUrl": "@creativecommons"},
            "contentDetails": {"relatedPlaylists": {"likes": "", "uploads": "UUTwECeGqMZee77BjdoYtI2Q"}},
            "statistics": {"viewCount": "123", "subscriberCount": "8840", "hiddenSubscriberCount": false},
        })
    }

    fn video() -> Value {
        let size = json!({"url": "https://i.ytimg.com/vi/dQw4w9WgXcQ/x.jpg", "width": 1, "height": 1});
        json!({
            "id": "dQw4w9WgXcQ",
            "snippet": {
                "publishedAt": "2009-10-25T06:57:33Z",
                "channelId": ID,
                "title": "Title",
                "thumbnails": {"default": size, "medium": size, "high": size, "standard": size, "maxres": size},
                "liveBroadcastContent": "none",
            },
            "statistics": {"viewCount": "1700000000", "likeCount": "1"},
        })
    }

    fn list(item: &Value) -> Value {
        json!({"items": [item], "pageInfo": {"totalResults": 1, "resultsPerPage": 1}})
    }

    fn changed(mut item: Value, pointer: &str, value: Option<Value>) -> Value {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = item.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(key.to_owned(), value)),
            None => drop(parent.remove(key).unwrap()),
        }
        list(&item)
    }

    #[test]
    fn channels_are_parsed() {
        let expected = ApiChannel {
            id: ID.parse().unwrap(),
            title: "Creative Commons".to_owned(),
            handle: Some("@creativecommons".parse().unwrap()),
            subscribers: Some(Count { value: 8_840, approximate: true, step: 10 }),
            uploads: "UUTwECeGqMZee77BjdoYtI2Q".to_owned(),
        };
        assert_eq!(channels(&list(&channel())), Ok(vec![expected]));
        let subscribers = |response: &Value| channels(response).unwrap().remove(0).subscribers;
        let few = changed(channel(), "/statistics/subscriberCount", Some("999".into()));
        assert_eq!(subscribers(&few), Some(Count::exact(999)));
        let hidden = changed(channel(), "/statistics/hiddenSubscriberCount", Some(true.into()));
        assert_eq!(subscribers(&hidden), None);
        assert_eq!(channels(&json!({"pageInfo": {"totalResults": 0}})), Ok(vec![]));
    }

    #[test]
    fn upload_pages_are_parsed() {
        let ids = ["dQw4w9WgXcQ", "BD-LB23rRBE"];
        let items = ids.map(|id| json!({"contentDetails": {"videoId": id}}));
        let page = uploads_page(&json!({"items": items, "nextPageToken": "EAAaB1BUOkNESQ"})).unwrap();
        assert_eq!(page.video_ids, ids.map(|id| id.parse().unwrap()));
        assert_eq!(page.next_page_token.as_deref(), Some("EAAaB1BUOkNESQ"));
        assert_eq!(uploads_page(&json!({"items": []})).unwrap().next_page_token, None);
        assert_eq!(uploads_page(&json!({"items": [], "nextPageToken": ""})).unwrap().next_page_token, None);
    }

    #[test]
    fn videos_are_parsed() {
        let expected = ApiVideo {
            id: "dQw4w9WgXcQ".parse().unwrap(),
            title: "Title".to_owned(),
            channel_id: ID.parse().unwrap(),
            views: Some(Count::exact(1_700_000_000)),
            published_at: "2009-10-25T06:57:33Z".to_owned(),
            broadcast: Broadcast::None,
            thumbnails: Variant::BEST_FIRST.to_vec(),
        };
        assert_eq!(videos(&list(&video())), Ok(vec![expected]));
        let first = |response: &Value| videos(response).unwrap().remove(0);
        assert_eq!(first(&changed(video(), "/statistics/viewCount", None)).views, None);
        let live = changed(video(), "/snippet/liveBroadcastContent", Some("live".into()));
        assert_eq!(first(&live).broadcast, Broadcast::Live);
        let small = changed(video(), "/snippet/thumbnails/maxres", None);
        assert_eq!(first(&small).thumbnails, [Variant::Sd, Variant::Hq, Variant::Mq]);
    }

    #[test]
    fn missing_field_is_named_by_its_path() {
        let check = |drift: Option<SchemaDrift>, path: &str, problem: &str| {
            let drift = drift.unwrap();
            assert_eq!(drift.path, path);
            assert!(drift.problem.contains(problem), "{drift}");
        };
        let channel = |pointer, value| channels(&changed(channel(), pointer, value)).err();
        check(channel("/statistics", None), "items[0]", "missing statistics");
        check(channel("/statistics/subscriberCount", None), "items[0].statistics", "missing subscriberCount");
        check(
            channel("/statistics/subscriberCount", Some(3.into())),
            "items[0].statistics.subscriberCount",
            "not a text",
        );
        check(
            channel("/contentDetails/relatedPlaylists/uploads", None),
            "items[0].contentDetails.relatedPlaylists",
            "missing uploads",
        );
        let video = |pointer, value| videos(&changed(video(), pointer, value)).err();
        check(video("/snippet/publishedAt", None), "items[0].snippet", "missing publishedAt");
        check(
            video("/statistics/viewCount", Some("1.7B".into())),
            "items[0].statistics.viewCount",
            "“1.7B” is not a number",
        );
        check(
            video("/snippet/liveBroadcastContent", Some("past".into())),
            "items[0].snippet.liveBroadcastContent",
            "“past”",
        );
        check(video("/id", Some("../x".into())), "items[0].id", "is not a video ID");
        check(videos(&json!({"pageInfo": {"totalResults": 1}})).err(), "$", "missing items, found pageInfo");
    }
}
