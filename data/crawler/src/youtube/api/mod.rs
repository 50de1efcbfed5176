//! Answers of the YouTube Data API v3, the source that is asked by default.
//!
//! Owns what its answers say; its errors are in `errors`. Does not own the key, the quota or asking. Where a
//! field is missing that its [reference](https://developers.google.com/youtube/v3/docs) promises for the parts
//! that were asked for, that is a [`SchemaDrift`] with its path. Numbers arrive as texts.

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

/// Parts to ask `channels.list` for.
pub const CHANNEL_PARTS: &str = "snippet,statistics,contentDetails";
/// Parts to ask `playlistItems.list` for.
pub const UPLOADS_PARTS: &str = "contentDetails";
/// Parts to ask `videos.list` for.
pub const VIDEO_PARTS: &str = "snippet,statistics";
/// Most ids or items that one request is for.
pub const MOST_ITEMS: usize = 50;

/// A channel of `channels.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiChannel {
    /// Its id.
    pub id: ChannelId,
    /// Its name.
    pub title: String,
    /// Its handle, if it has one.
    pub handle: Option<Handle>,
    /// How many subscribe to it, to three digits; nothing where it hides that.
    pub subscribers: Option<Count>,
    /// The playlist of its videos.
    pub uploads: String,
}

/// A page of `playlistItems.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadsPage {
    /// Its videos, the latest first.
    pub video_ids: Vec<VideoId>,
    /// What asks for the next page; nothing at the end.
    pub next_page_token: Option<String>,
}

/// A video of `videos.list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiVideo {
    /// Its id.
    pub id: VideoId,
    /// Its title.
    pub title: String,
    /// Whose it is.
    pub channel_id: ChannelId,
    /// How often it was seen; nothing where the API does not say.
    pub views: Option<Count>,
    /// When it was published, as RFC 3339.
    pub published_at: String,
    /// Whether it is a stream.
    pub broadcast: Broadcast,
    /// Thumbnails there are of it, the best first.
    pub thumbnails: Vec<Variant>,
}

/// Whether a video is a stream, now or later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Broadcast {
    /// It is not, or no longer.
    None,
    /// It is being streamed.
    Live,
    /// It will be streamed or have its premiere.
    Upcoming,
}

/// Reads an answer of `channels.list`. Channels that are not there are left out of it.
///
/// # Errors
/// When a field is missing.
pub fn channels(answer: &Value) -> Result<Vec<ApiChannel>, SchemaDrift> {
    items(answer)?.iter().map(channel).collect()
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

/// Reads an answer of `playlistItems.list`.
///
/// # Errors
/// When a field is missing.
pub fn uploads_page(answer: &Value) -> Result<UploadsPage, SchemaDrift> {
    let video = |item: &JsonNode<'_>| parsed(&item.at(&["contentDetails", "videoId"])?);
    Ok(UploadsPage {
        video_ids: items(answer)?.iter().map(video).collect::<Result<_, _>>()?,
        next_page_token: JsonNode::root(answer).text_at(&["nextPageToken"]).map(str::to_owned),
    })
}

/// Reads an answer of `videos.list`. Videos that are not there, or private, are left out of it.
///
/// # Errors
/// When a field is missing.
pub fn videos(answer: &Value) -> Result<Vec<ApiVideo>, SchemaDrift> {
    items(answer)?.iter().map(video).collect()
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
        other => Err(content.drift(format!("“{other}” is not known"))),
    }
}

/// Returns the items; where nothing was found, their list is left out.
fn items(answer: &Value) -> Result<Vec<JsonNode<'_>>, SchemaDrift> {
    let root = JsonNode::root(answer);
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
    digits.parse().map_err(|_| text.drift(format!("“{digits}” is no number")))
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
    fn channels_are_read_by_value() {
        let expected = ApiChannel {
            id: ID.parse().unwrap(),
            title: "Creative Commons".to_owned(),
            handle: Some("@creativecommons".parse().unwrap()),
            subscribers: Some(Count { value: 8_840, approximate: true, step: 10 }),
            uploads: "UUTwECeGqMZee77BjdoYtI2Q".to_owned(),
        };
        assert_eq!(channels(&list(&channel())), Ok(vec![expected]));
        let subscribers = |answer: &Value| channels(answer).unwrap().remove(0).subscribers;
        let few = changed(channel(), "/statistics/subscriberCount", Some("999".into()));
        assert_eq!(subscribers(&few), Some(Count::exact(999)));
        let hidden = changed(channel(), "/statistics/hiddenSubscriberCount", Some(true.into()));
        assert_eq!(subscribers(&hidden), None);
        assert_eq!(channels(&json!({"pageInfo": {"totalResults": 0}})), Ok(vec![]));
    }

    #[test]
    fn uploads_are_read_page_by_page() {
        let ids = ["dQw4w9WgXcQ", "BD-LB23rRBE"];
        let items = ids.map(|id| json!({"contentDetails": {"videoId": id}}));
        let page = uploads_page(&json!({"items": items, "nextPageToken": "EAAaB1BUOkNESQ"})).unwrap();
        assert_eq!(page.video_ids, ids.map(|id| id.parse().unwrap()));
        assert_eq!(page.next_page_token.as_deref(), Some("EAAaB1BUOkNESQ"));
        assert_eq!(uploads_page(&json!({"items": []})).unwrap().next_page_token, None);
    }

    #[test]
    fn videos_are_read_by_value() {
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
        let first = |answer: &Value| videos(answer).unwrap().remove(0);
        assert_eq!(first(&changed(video(), "/statistics/viewCount", None)).views, None);
        let live = changed(video(), "/snippet/liveBroadcastContent", Some("live".into()));
        assert_eq!(first(&live).broadcast, Broadcast::Live);
        let small = changed(video(), "/snippet/thumbnails/maxres", None);
        assert_eq!(first(&small).thumbnails, [Variant::Sd, Variant::Hq, Variant::Mq]);
    }

    #[test]
    fn a_missing_field_is_named_by_its_path() {
        let check = |drift: Option<SchemaDrift>, path: &str, problem: &str| {
            let drift = drift.unwrap();
            assert_eq!(drift.path, path);
            assert!(drift.problem.contains(problem), "{drift}");
        };
        let channel = |pointer, value| channels(&changed(channel(), pointer, value)).err();
        check(channel("/statistics", None), "items[0]", "no statistics");
        check(channel("/statistics/subscriberCount", None), "items[0].statistics", "no subscriberCount");
        check(
            channel("/statistics/subscriberCount", Some(3.into())),
            "items[0].statistics.subscriberCount",
            "no text",
        );
        check(
            channel("/contentDetails/relatedPlaylists/uploads", None),
            "items[0].contentDetails.relatedPlaylists",
            "no uploads",
        );
        let video = |pointer, value| videos(&changed(video(), pointer, value)).err();
        check(video("/snippet/publishedAt", None), "items[0].snippet", "no publishedAt");
        check(
            video("/statistics/viewCount", Some("1.7B".into())),
            "items[0].statistics.viewCount",
            "“1.7B” is no number",
        );
        check(
            video("/snippet/liveBroadcastContent", Some("past".into())),
            "items[0].snippet.liveBroadcastContent",
            "“past”",
        );
        check(video("/id", Some("../x".into())), "items[0].id", "is no video id");
        check(
            videos(&json!({"pageInfo": {"totalResults": 1}})).err(),
            "the answer",
            "no items; there is pageInfo",
        );
    }
}
