//! Parses a video in the list of a page.
//!
//! There are two layouts: `videoRenderer` (until January 2026, exact views) and `lockupViewModel` (since May 2026,
//! abbreviated views). Does not own the list (see [`crate::youtube::channel`]). Invariant: missing views are `None`,
//! never zero, and views that cannot be parsed are an error.

use super::{counts::Count, faults::SchemaDrift, ids::VideoId, node::JsonNode};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VideoItem {
    pub video_id: VideoId,
    /// May be empty.
    pub title: String,
    /// `None` if not shown, as for live and upcoming videos.
    pub views: Option<Count>,
    /// The relative date, such as `2 years ago`.
    pub published: Option<String>,
    pub kind: VideoKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VideoKind {
    /// Public and available now.
    Ordinary,
    Live,
    /// A scheduled stream or premiere.
    Upcoming,
    /// For members of the channel.
    MembersOnly,
    /// For paying users; its views are not shown.
    Premium,
}

/// Parses an item by the kind of its content.
pub(super) fn read(kind: &str, content: &JsonNode<'_>) -> Result<VideoItem, SchemaDrift> {
    match kind {
        "videoRenderer" => video_renderer(content),
        "lockupViewModel" => lockup_view_model(content),
        kind => Err(content.drift(format!("unknown kind of item: {kind}"))),
    }
}

fn video_id(id: &JsonNode<'_>) -> Result<VideoId, SchemaDrift> {
    id.text()?.parse().map_err(|error| id.drift(format!("{error}")))
}

fn views(text: &JsonNode<'_>) -> Result<Option<Count>, SchemaDrift> {
    let shown = text.rich_text().ok_or_else(|| text.drift("not a text"))?;
    Count::parse_views(&shown).map(Some).map_err(|error| text.drift(error.to_string()))
}

fn video_renderer(video: &JsonNode<'_>) -> Result<VideoItem, SchemaDrift> {
    let kind = renderer_kind(video);
    let seen = || ["viewCountText", "shortViewCountText"].iter().find_map(|key| video.find(&[key]));
    let views = match kind {
        VideoKind::Live | VideoKind::Upcoming => None,
        _ => seen().map_or(Ok(None), |text| views(&text))?,
    };
    Ok(VideoItem {
        video_id: video_id(&video.at(&["videoId"])?)?,
        // If the title is empty, the response has only a label for screen readers.
        title: video.at(&["title"])?.rich_text().unwrap_or_default(),
        views,
        published: video.find(&["publishedTimeText"]).and_then(|text| text.rich_text()),
        kind,
    })
}

fn renderer_kind(video: &JsonNode<'_>) -> VideoKind {
    if video.find(&["upcomingEventData"]).is_some() {
        return VideoKind::Upcoming;
    }
    let overlays = video.items_at(&["thumbnailOverlays"]);
    let badges = video.items_at(&["badges"]);
    let overlay =
        |overlay: &JsonNode<'_>| match overlay.text_at(&["thumbnailOverlayTimeStatusRenderer", "style"])? {
            "LIVE" => Some(VideoKind::Live),
            "UPCOMING" => Some(VideoKind::Upcoming),
            _ => None,
        };
    let badge = |badge: &JsonNode<'_>| match badge.text_at(&["metadataBadgeRenderer", "style"])? {
        "BADGE_STYLE_TYPE_LIVE_NOW" => Some(VideoKind::Live),
        "BADGE_STYLE_TYPE_MEMBERS_ONLY" => Some(VideoKind::MembersOnly),
        "BADGE_STYLE_TYPE_PREMIUM" => Some(VideoKind::Premium),
        _ => None,
    };
    let marked = overlays.iter().find_map(overlay).or_else(|| badges.iter().find_map(badge));
    marked.unwrap_or(VideoKind::Ordinary)
}

fn lockup_view_model(lockup: &JsonNode<'_>) -> Result<VideoItem, SchemaDrift> {
    let content_type = lockup.at(&["contentType"])?;
    if content_type.text()? != "LOCKUP_CONTENT_TYPE_VIDEO" {
        return Err(content_type.drift(format!("{} is not a video", content_type.value)));
    }
    let metadata = lockup.at(&["metadata", "lockupMetadataViewModel"])?;
    let rows = metadata.items_at(&["metadata", "contentMetadataViewModel", "metadataRows"]);
    let parts = rows.iter().map(|row| row.items_at(&["metadataParts"])).rfind(|parts| !parts.is_empty());
    let parts: Vec<JsonNode<'_>> =
        parts.unwrap_or_default().iter().filter_map(|part| part.find(&["text"])).collect();
    let texts: Vec<String> = parts.iter().filter_map(JsonNode::rich_text).collect();
    let kind = lockup_kind(lockup, &rows, &texts);
    // Views precede a date. A single part may be a date, the viewers of a stream, or the name of the channel.
    let (seen, published) = match (kind, &texts[..]) {
        (VideoKind::Ordinary | VideoKind::MembersOnly, [_, published]) => {
            (views(&parts[0])?, Some(published))
        }
        (VideoKind::Upcoming | VideoKind::Live, [_, published]) | (VideoKind::MembersOnly, [published]) => {
            (None, Some(published))
        }
        (_, [] | [_]) => (None, None),
        _ => {
            return Err(parts[0].drift(format!(
                "expected at most 2 parts, found {}: {}",
                texts.len(),
                texts.join(" • ")
            )));
        }
    };
    Ok(VideoItem {
        video_id: video_id(&lockup.at(&["contentId"])?)?,
        title: metadata.at(&["title"])?.rich_text().unwrap_or_default(),
        views: seen,
        published: published.cloned(),
        kind,
    })
}

fn lockup_kind(lockup: &JsonNode<'_>, rows: &[JsonNode<'_>], texts: &[String]) -> VideoKind {
    let members = |row: &JsonNode<'_>| {
        let style = |badge: &JsonNode<'_>| {
            badge.text_at(&["badgeViewModel", "badgeStyle"]) == Some("BADGE_MEMBERS_ONLY")
        };
        row.items_at(&["badges"]).iter().any(style)
    };
    let badge = |badge: JsonNode<'_>| {
        let badge = badge.find(&["thumbnailBadgeViewModel"])?;
        match (badge.text_at(&["badgeStyle"])?, badge.text_at(&["text"])?) {
            ("THUMBNAIL_OVERLAY_BADGE_STYLE_LIVE", _) => Some(VideoKind::Live),
            // This badge has the style of a duration.
            (_, "Upcoming" | "UPCOMING") => Some(VideoKind::Upcoming),
            _ => None,
        }
    };
    let overlays = lockup.items_at(&["contentImage", "thumbnailViewModel", "overlays"]);
    let badges = overlays.iter().flat_map(|overlay| {
        let bottom = overlay.items_at(&["thumbnailBottomOverlayViewModel", "badges"]);
        bottom.into_iter().chain(overlay.items_at(&["thumbnailOverlayBadgeViewModel", "thumbnailBadges"]))
    });
    if let Some(kind) = badges.filter_map(badge).next() {
        return kind;
    }
    if rows.iter().any(members) {
        return VideoKind::MembersOnly;
    }
    match texts.first().and_then(|text| text.rsplit_once(' ')) {
        Some((_, "watching")) => VideoKind::Live,
        Some((_, "waiting")) => VideoKind::Upcoming,
        _ => VideoKind::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lockup(parts: &[&str]) -> Value {
        let parts: Vec<Value> = parts.iter().map(|part| json!({"text": {"content": part}})).collect();
        json!({
            "contentId": "dQw4w9WgXcQ",
            "contentType": "LOCKUP_CONTENT_TYPE_VIDEO",
            "metadata": {"lockupMetadataViewModel": {
                "title": {"content": "Title"},
                "metadata": {"contentMetadataViewModel": {"metadataRows": [{"metadataParts": parts}]}},
            }},
        })
    }

    fn check(parts: &[&str], views: Option<&str>, published: Option<&str>, kind: VideoKind) {
        let item = read("lockupViewModel", &JsonNode::root(&lockup(parts))).unwrap();
        assert_eq!(item.views, views.map(|text| Count::parse_views(text).unwrap()), "{parts:?}");
        assert_eq!((item.published.as_deref(), item.kind), (published, kind), "{parts:?}");
    }

    #[test]
    fn views_are_read_only_next_to_a_date() {
        check(&["3.6m views", "2 hours ago"], Some("3.6m views"), Some("2 hours ago"), VideoKind::Ordinary);
        check(&["No views", "1 minute ago"], Some("0 views"), Some("1 minute ago"), VideoKind::Ordinary);
        check(&["3.6m views"], None, None, VideoKind::Ordinary);
        check(&["500 watching"], None, None, VideoKind::Live);
        check(
            &["56 waiting", "Premieres 14/08/2025, 13:00"],
            None,
            Some("Premieres 14/08/2025, 13:00"),
            VideoKind::Upcoming,
        );
        check(&[], None, None, VideoKind::Ordinary);
    }

    #[test]
    fn unknown_values_are_named_in_errors() {
        let check = |kind: &str, content: &Value, expected: &str| {
            let error = read(kind, &JsonNode::root(content)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("reelItemRenderer", &json!({}), "unknown kind of item: reelItemRenderer");
        check(
            "lockupViewModel",
            &lockup(&["3.6 Mio views", "2 hours ago"]),
            "metadataParts[0].text: “3.6 Mio views” is not a known format of views",
        );
        check("lockupViewModel", &lockup(&["a", "b", "c"]), "expected at most 2 parts, found 3: a • b • c");
        let mut playlist = lockup(&[]);
        playlist["contentType"] = "LOCKUP_CONTENT_TYPE_PLAYLIST".into();
        check("lockupViewModel", &playlist, "contentType: \"LOCKUP_CONTENT_TYPE_PLAYLIST\" is not a video");
        let mut invalid_id = lockup(&[]);
        invalid_id["contentId"] = "../../etc".into();
        check("lockupViewModel", &invalid_id, "contentId: “../../etc” is not a video ID");
        check("videoRenderer", &json!({"title": {}}), "missing videoId, found title");
        let unparsable =
            json!({"videoId": "dQw4w9WgXcQ", "title": {}, "viewCountText": {"simpleText": "1.2M"}});
        check("videoRenderer", &unparsable, "viewCountText: “1.2M” is not a known format of views");
    }

    #[test]
    fn viewers_of_a_stream_are_not_its_views() {
        let overlay = json!([{"thumbnailOverlayTimeStatusRenderer": {"style": "LIVE"}}]);
        let watching = json!({"runs": [{"text": "1,234"}, {"text": " watching"}]});
        let mut live = json!({"videoId": "dQw4w9WgXcQ", "title": {}, "viewCountText": watching});
        live["thumbnailOverlays"] = overlay;
        let item = read("videoRenderer", &JsonNode::root(&live)).unwrap();
        assert_eq!((item.views, item.kind), (None, VideoKind::Live));
        let badge = json!([{"metadataBadgeRenderer": {"style": "BADGE_STYLE_TYPE_MEMBERS_ONLY"}}]);
        let members = json!({"videoId": "dQw4w9WgXcQ", "title": {}, "badges": badge});
        let item = read("videoRenderer", &JsonNode::root(&members)).unwrap();
        assert_eq!((item.views, item.kind), (None, VideoKind::MembersOnly));
    }
}
