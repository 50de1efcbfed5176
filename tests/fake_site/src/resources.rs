//! Channels, playlist items and videos as Data API resources. Counts are strings, and hidden ones are absent.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{
    channel::{CATEGORIES, Channel, Kind, Video},
    counts::{iso_duration, three_digits},
    images::Variant,
    tokens::fingerprint,
};

/// All supported parts.
pub(super) const PARTS: [&str; 5] = ["id", "snippet", "contentDetails", "statistics", "status"];

pub(super) fn channel(channel: &Channel, parts: &[&str]) -> Value {
    // A channel's views include those of deleted videos.
    let views: u64 = channel.videos.iter().map(|video| video.views).sum::<u64>() + 1_000;
    let mut statistics = json!({
        "viewCount": views.to_string(),
        "hiddenSubscriberCount": channel.hides_subscribers,
        "videoCount": channel.videos.len().to_string(),
    });
    if !channel.hides_subscribers {
        statistics["subscriberCount"] = json!(three_digits(channel.subscribers).to_string());
    }
    resource(
        "youtube#channel",
        &json!(channel.id),
        parts,
        vec![
            (
                "snippet",
                json!({
                    "title": channel.title,
                    "description": format!("All about {}.", channel.category),
                    "customUrl": channel.handle.to_lowercase(),
                    "publishedAt": time(channel.published),
                    "country": "KR",
                    "localized": {"title": channel.title, "description": ""},
                }),
            ),
            ("contentDetails", json!({"relatedPlaylists": {"likes": "", "uploads": channel.uploads()}})),
            ("statistics", statistics),
            (
                "status",
                json!({"privacyStatus": "public", "isLinked": true, "longUploadsStatus": "longUploadsUnspecified"}),
            ),
        ],
    )
}

pub(super) fn video(channel: &Channel, video: &Video, parts: &[&str]) -> Value {
    let mut statistics = json!({
        "likeCount": (video.views / 40).to_string(),
        "favoriteCount": "0",
        "commentCount": (video.views / 900).to_string(),
    });
    if !video.hides_views {
        let views = if video.kind == Kind::Premiere { 0 } else { video.views };
        statistics["viewCount"] = json!(views.to_string());
    }
    let broadcast = match video.kind {
        Kind::Plain | Kind::MembersOnly => "none",
        Kind::Premiere => "upcoming",
        Kind::Live => "live",
    };
    let category = CATEGORIES.iter().position(|name| *name == channel.category).unwrap_or(0) + 20;
    resource(
        "youtube#video",
        &json!(video.id),
        parts,
        vec![
            (
                "snippet",
                json!({
                    "publishedAt": time(video.published),
                    "channelId": channel.id,
                    "title": video.title,
                    "description": format!("About {}.", channel.category),
                    "thumbnails": thumbnails(video),
                    "channelTitle": channel.title,
                    "tags": [channel.category],
                    "categoryId": category.to_string(),
                    "liveBroadcastContent": broadcast,
                    "localized": {"title": video.title, "description": ""},
                    "defaultAudioLanguage": "ko",
                }),
            ),
            (
                "contentDetails",
                json!({
                    // Premieres and live streams have no duration yet.
                    "duration": iso_duration(if broadcast == "none" { video.length } else { 0 }),
                    "dimension": "2d",
                    "definition": if video.has_maxres { "hd" } else { "sd" },
                    "caption": "false",
                    "licensedContent": true,
                    "contentRating": {},
                    "projection": "rectangular",
                }),
            ),
            ("statistics", statistics),
            (
                "status",
                json!({
                    "uploadStatus": "processed", "privacyStatus": "public", "license": "youtube", "embeddable": true,
                    "publicStatsViewable": !video.hides_views, "madeForKids": false,
                }),
            ),
        ],
    )
}

pub(super) fn playlist_item(channel: &Channel, video: &Video, position: usize, parts: &[&str]) -> Value {
    let id = fingerprint(format!("{} {}", channel.uploads(), video.id).as_bytes());
    resource(
        "youtube#playlistItem",
        &json!(id),
        parts,
        vec![
            (
                "snippet",
                json!({
                    "publishedAt": time(video.published),
                    "channelId": channel.id,
                    "title": video.title,
                    "description": format!("About {}.", channel.category),
                    "thumbnails": thumbnails(video),
                    "channelTitle": channel.title,
                    "playlistId": channel.uploads(),
                    "position": position,
                    "resourceId": {"kind": "youtube#video", "videoId": video.id},
                    "videoOwnerChannelTitle": channel.title,
                    "videoOwnerChannelId": channel.id,
                }),
            ),
            ("contentDetails", json!({"videoId": video.id, "videoPublishedAt": time(video.published)})),
            ("status", json!({"privacyStatus": "public"})),
        ],
    )
}

fn resource(kind: &str, id: &Value, parts: &[&str], contents: Vec<(&str, Value)>) -> Value {
    let mut resource = Map::new();
    resource.insert("kind".to_owned(), json!(kind));
    resource.insert("id".to_owned(), id.clone());
    let requested = contents.into_iter().filter(|(name, _)| parts.contains(name));
    resource.extend(requested.map(|(name, content)| (name.to_owned(), content)));
    let tag = fingerprint(Value::Object(resource.clone()).to_string().as_bytes());
    resource.insert("etag".to_owned(), json!(tag));
    Value::Object(resource)
}

/// Returns the existing variants by their API names.
fn thumbnails(video: &Video) -> Value {
    let thumbnail = |variant: &Variant| {
        let address = format!("https://i.ytimg.com/vi/{}/{}.jpg", video.id, variant.file);
        let (width, height) = (variant.width, variant.height);
        (variant.api_name.to_owned(), json!({"url": address, "width": width, "height": height}))
    };
    let there =
        Variant::ALL.iter().filter(|variant| !variant.api_name.is_empty() && variant.exists_for(video));
    Value::Object(there.map(thumbnail).collect())
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
