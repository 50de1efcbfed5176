//! One video of a list, as `videoRenderer` or `lockupViewModel`.
//!
//! As on the real site, the ID is repeated in other parts, so a reader that collects every `videoId`
//! overcounts.

use serde_json::{Value, json};

use super::{
    channel::{Channel, ItemLayout, Kind, Video},
    counts::{Language, clock, spelled_out_duration},
    world::NOW,
};

const WATCH_PAGE: &str = "WEB_PAGE_TYPE_WATCH";

/// Returns a `richItemRenderer`.
pub(super) fn item(channel: &Channel, video: &Video, language: Language) -> Value {
    let content = match channel.items {
        ItemLayout::VideoRenderer => json!({"videoRenderer": video_renderer(channel, video, language)}),
        ItemLayout::LockupViewModel => json!({"lockupViewModel": lockup(video, language)}),
    };
    json!({"richItemRenderer": {"content": content, "trackingParams": tracking("CMwCEJmNBRgA", video)}})
}

fn video_renderer(channel: &Channel, video: &Video, language: Language) -> Value {
    let label = format!("{} {}", video.title, spelled_out_duration(video.length));
    let mut renderer = json!({
        "videoId": video.id,
        "thumbnail": {"thumbnails": thumbnails(&video.id)},
        "title": {
            "runs": [{"text": video.title}],
            "accessibility": {"accessibilityData": {"label": label}},
        },
        "descriptionSnippet": {"runs": [{"text": format!("About {}: more below...", channel.category)}]},
        "publishedTimeText": {"simpleText": language.age(NOW - video.published)},
        "lengthText": {
            "accessibility": {"accessibilityData": {"label": spelled_out_duration(video.length)}},
            "simpleText": clock(video.length),
        },
        "viewCountText": {"simpleText": language.exact_views(video.views)},
        "shortViewCountText": {
            "accessibility": {"accessibilityData": {"label": language.short_views(video.views)}},
            "simpleText": language.short_views(video.views),
        },
        "navigationEndpoint": watch_endpoint(video),
        "trackingParams": tracking("CPgBENwwIhMI", video),
        "showActionMenu": false,
        "menu": {"menuRenderer": {"items": [queue_item(video)], "trackingParams": tracking("CPgBENww", video)}},
        "thumbnailOverlays": [time_overlay(&clock(video.length), "DEFAULT"), queue_overlay(video)],
    });
    if video.title.is_empty() {
        renderer["title"].as_object_mut().expect("the title is an object").remove("runs");
    }
    match video.kind {
        Kind::Plain => {}
        Kind::Premiere => {
            renderer["upcomingEventData"] = json!({
                "startTime": (NOW + 86_400).to_string(),
                "isReminderSet": false,
                "upcomingEventText": {"runs": [{"text": "Premieres "}, {"text": "DATE_PLACEHOLDER"}]},
            });
            renderer["shortViewCountText"] = json!({
                "runs": [{"text": "56"}, {"text": " waiting"}],
                "accessibility": {"accessibilityData": {"label": "56 waiting"}},
            });
            renderer["thumbnailOverlays"][0] = time_overlay("UPCOMING", "UPCOMING");
            remove(&mut renderer, &["publishedTimeText", "viewCountText"]);
        }
        Kind::Live => {
            renderer["viewCountText"] = json!({"runs": [{"text": "500"}, {"text": " watching"}]});
            renderer["thumbnailOverlays"][0] = time_overlay("LIVE", "LIVE");
            remove(&mut renderer, &["publishedTimeText", "lengthText", "shortViewCountText"]);
        }
        Kind::MembersOnly => {
            renderer["badges"] = json!([{"metadataBadgeRenderer": {
                "style": "BADGE_STYLE_TYPE_MEMBERS_ONLY", "label": "Members only",
            }}]);
            remove(&mut renderer, &["viewCountText", "shortViewCountText"]);
        }
    }
    renderer
}

fn remove(renderer: &mut Value, keys: &[&str]) {
    let renderer = renderer.as_object_mut().expect("a renderer is an object");
    renderer.retain(|key, _| !keys.contains(&key.as_str()));
}

fn time_overlay(text: &str, style: &str) -> Value {
    json!({"thumbnailOverlayTimeStatusRenderer": {
        "text": {"accessibility": {"accessibilityData": {"label": text}}, "simpleText": text},
        "style": style,
    }})
}

fn queue_overlay(video: &Video) -> Value {
    json!({"thumbnailOverlayToggleButtonRenderer": {
        "isToggled": false,
        "untoggledIcon": {"iconType": "WATCH_LATER"},
        "toggledIcon": {"iconType": "CHECK"},
        "untoggledServiceEndpoint": {"playlistEditEndpoint": {
            "playlistId": "WL",
            "actions": [{"addedVideoId": video.id, "action": "ACTION_ADD_VIDEO"}],
        }},
    }})
}

fn queue_item(video: &Video) -> Value {
    json!({"menuServiceItemRenderer": {
        "text": {"runs": [{"text": "Add to queue"}]},
        "icon": {"iconType": "ADD_TO_QUEUE_TAIL"},
        "serviceEndpoint": {"signalServiceEndpoint": {"signal": "CLIENT_SIGNAL", "actions": [
            {"addToPlaylistCommand": {
                "openMiniplayer": true,
                "videoId": video.id,
                "listType": "PLAYLIST_EDIT_LIST_TYPE_QUEUE",
                "videoIds": [video.id],
            }},
        ]}},
    }})
}

fn lockup(video: &Video, language: Language) -> Value {
    let (badge, style) = match video.kind {
        Kind::Plain | Kind::MembersOnly => (clock(video.length), "THUMBNAIL_OVERLAY_BADGE_STYLE_DEFAULT"),
        Kind::Premiere => ("Upcoming".to_owned(), "THUMBNAIL_OVERLAY_BADGE_STYLE_DEFAULT"),
        Kind::Live => ("LIVE".to_owned(), "THUMBNAIL_OVERLAY_BADGE_STYLE_LIVE"),
    };
    json!({
        "contentImage": {"thumbnailViewModel": {
            "image": {"sources": thumbnails(&video.id)},
            "overlays": [
                {"thumbnailBottomOverlayViewModel": {"badges": [{"thumbnailBadgeViewModel": {
                    "text": badge,
                    "badgeStyle": style,
                    "animationActivationTargetId": video.id,
                    "animatedText": "Now playing",
                    "rendererContext": {"accessibilityContext": {"label": spelled_out_duration(video.length)}},
                }}]}},
                {"thumbnailHoverOverlayToggleActionsViewModel": {"buttons": [{"toggleButtonViewModel": {
                    "defaultButtonViewModel": {"buttonViewModel": {
                        "iconName": "WATCH_LATER",
                        "onTap": {"innertubeCommand": {"playlistEditEndpoint": {
                            "playlistId": "WL",
                            "actions": [{"addedVideoId": video.id, "action": "ACTION_ADD_VIDEO"}],
                        }}},
                    }},
                    "isToggled": false,
                }}]}},
            ],
        }},
        "metadata": {"lockupMetadataViewModel": {
            "title": {"content": video.title},
            "metadata": {"contentMetadataViewModel": {
                "metadataRows": metadata_rows(video, language),
                "delimiter": " • ",
            }},
            "menuButton": {"buttonViewModel": {"iconName": "MORE_VERT", "onTap": {"innertubeCommand": {
                "showSheetCommand": {"panelLoadingStrategy": {"inlineContent": {"sheetViewModel": {
                    "content": {"listViewModel": {"listItems": [{"listItemViewModel": {
                        "title": {"content": "Add to queue"},
                        "rendererContext": {"commandContext": {"onTap": {"innertubeCommand": {
                            "signalServiceEndpoint": {"signal": "CLIENT_SIGNAL", "actions": [
                                {"addToPlaylistCommand": {"videoId": video.id, "videoIds": [video.id]}},
                            ]},
                        }}}},
                    }}]}},
                }}}},
            }}}},
        }},
        "contentId": video.id,
        "contentType": "LOCKUP_CONTENT_TYPE_VIDEO",
        "rendererContext": {
            "accessibilityContext": {"label": format!("{} {}", video.title, spelled_out_duration(video.length))},
            "commandContext": {"onTap": {"innertubeCommand": watch_endpoint(video)}},
        },
    })
}

fn metadata_rows(video: &Video, language: Language) -> Value {
    let part = |text: String| json!({"text": {"content": text}});
    let age = language.age(NOW - video.published);
    match video.kind {
        Kind::Plain => {
            json!([{"metadataParts": [part(language.short_views(video.views)), part(age)]}])
        }
        Kind::Premiere => json!([{
            "metadataParts": [part("56 waiting".to_owned()), part("Premieres 02/06/2026, 13:00".to_owned())],
        }]),
        Kind::Live => json!([{"metadataParts": [part("500 watching".to_owned())]}]),
        Kind::MembersOnly => json!([
            {"metadataParts": [part(age)]},
            {"badges": [{"badgeViewModel": {
                "badgeText": "Members only",
                "badgeStyle": "BADGE_MEMBERS_ONLY",
                "iconName": "SPONSORSHIP_STAR",
            }}]},
        ]),
    }
}

fn watch_endpoint(video: &Video) -> Value {
    json!({
        "clickTrackingParams": tracking("CM0CENTEDCIT", video),
        "commandMetadata": {"webCommandMetadata": {
            "url": format!("/watch?v={}", video.id), "webPageType": WATCH_PAGE, "rootVe": 3832,
        }},
        "watchEndpoint": {"videoId": video.id},
    })
}

fn thumbnails(id: &str) -> Value {
    let address = format!("https://i.ytimg.com/vi/{id}/hqdefault.jpg?sqp=-oaymwEbCKgBEF5IVfKriqkDDggBFQAA");
    let sizes = [(168, 94), (196, 110), (246, 138), (336, 188)];
    sizes
        .iter()
        .map(|(width, height)| json!({"url": address, "width": width, "height": height}))
        .collect::<Value>()
}

fn tracking(prefix: &str, video: &Video) -> String {
    format!("{prefix}{}=", video.id)
}
