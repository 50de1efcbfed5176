//! A channel page as data: the `ytInitialData` of HTML pages and the response of `browse`.

use serde_json::{Value, json};

use super::{
    channel::{Channel, HeaderLayout},
    chips::{chips, continuation, target},
    counts::Language,
    faults::Fault,
    items::item,
    tokens::Token,
    world::Order,
};

/// Number of items on a page of a tab.
pub const PAGE_ITEMS: usize = 30;
/// `params` of the Videos tab, from current and older clients.
pub(super) const VIDEOS: [&str; 3] = ["EgZ2aWRlb3PyBgQKAjoA", "EgZ2aWRlb3M%3D", "EgZ2aWRlb3M="];

const AVATAR: &str = "https://yt3.googleusercontent.com/ytc/AIdro_fixture=s900-c-k-c0x00ffffff-no-rj";
const CHANNEL_PAGE: &str = "WEB_PAGE_TYPE_CHANNEL";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tab {
    Home,
    Videos,
}

/// The language and fault of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct RenderOptions {
    pub(super) language: Language,
    pub(super) fault: Option<Fault>,
}

impl RenderOptions {
    fn language(self) -> Language {
        if self.fault == Some(Fault::UnknownCounts) { Language::Unknown } else { self.language }
    }
}

/// Returns the data of a page.
pub(super) fn page(channel: &Channel, tab: Tab, options: RenderOptions) -> Value {
    match options.fault {
        Some(Fault::Terminated) => return alert(channel.id.as_str(), TERMINATED),
        Some(Fault::Removed) => return alert(channel.id.as_str(), REMOVED),
        Some(Fault::AgeGate) => return age_gate(channel),
        _ => {}
    }
    json!({
        "responseContext": context(&channel.id),
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": tabs(channel, tab, options)}},
        "header": header(channel, options.language()),
        "metadata": {"channelMetadataRenderer": metadata(channel)},
        "trackingParams": "CAAQhGciEwibvfSImKySAxUwgfQHHdW-NtA=",
        "topbar": {"desktopTopbarRenderer": {"logo": {"topbarLogoRenderer": {
            "iconImage": {"iconType": "YOUTUBE_LOGO"},
            "tooltipText": {"runs": [{"text": "YouTube Home"}]},
        }}}},
        "microformat": {"microformatDataRenderer": {
            "urlCanonical": format!("https://www.youtube.com/channel/{}", channel.id),
            "title": channel.title,
            "siteName": "YouTube",
            "noindex": false,
        }},
    })
}

/// Returns the response to a token: the next items of a list, or a reloaded list.
pub(super) fn more(channel: &Channel, token: &Token, options: RenderOptions) -> Value {
    let items = list(channel, token, options);
    let click = "CAAQhGciEwjejIr6ocqUAxUQ-kkHHecBC9_KAQTEoRRA";
    let actions = if token.reload {
        let reload = |slot: &str, items: Value| {
            json!({"clickTrackingParams": click, "reloadContinuationItemsCommand": {
                "targetId": target(channel), "continuationItems": items, "slot": slot,
            }})
        };
        json!([
            reload("RELOAD_CONTINUATION_SLOT_HEADER", json!([chips(channel, token.order)])),
            reload("RELOAD_CONTINUATION_SLOT_BODY", items),
        ])
    } else {
        json!([{"clickTrackingParams": click, "appendContinuationItemsAction": {
            "continuationItems": items, "targetId": target(channel),
        }}])
    };
    json!({
        "responseContext": context(&channel.id),
        "trackingParams": "CAAQhGciEwjejIr6ocqUAxUQ-kkHHecBC98=",
        "onResponseReceivedActions": actions,
    })
}

fn list(channel: &Channel, token: &Token, options: RenderOptions) -> Value {
    if options.fault == Some(Fault::NoItems) {
        return json!([]);
    }
    let order = match (options.fault, token.order) {
        (Some(Fault::LatestForPopular), Order::Popular) => Order::Latest,
        (_, order) => order,
    };
    let videos = channel.listed(order);
    let first = if options.fault == Some(Fault::StalePages) { 0 } else { token.offset };
    let end = videos.len().min(first + PAGE_ITEMS);
    let page = videos.get(first..end).unwrap_or_default();
    let mut items: Vec<Value> = page.iter().map(|video| item(channel, video, options.language())).collect();
    if options.fault == Some(Fault::TokenLoop) {
        items.push(continuation(channel, &Token { reload: false, ..token.clone() }));
    } else if options.fault == Some(Fault::StalePages) {
        let offset = token.offset + PAGE_ITEMS;
        items.push(continuation(channel, &Token { offset, reload: false, ..token.clone() }));
    } else if end < videos.len() {
        items.push(continuation(channel, &Token { offset: end, reload: false, ..token.clone() }));
    }
    Value::Array(items)
}

fn tabs(channel: &Channel, open: Tab, options: RenderOptions) -> Value {
    let endpoint = |name: &str, params: &str| {
        json!({
            "commandMetadata": {"webCommandMetadata": {
                "url": format!("/{}/{name}", channel.handle),
                "webPageType": CHANNEL_PAGE, "rootVe": 3611, "apiUrl": "/youtubei/v1/browse",
            }},
            "browseEndpoint": {
                "browseId": channel.id, "params": params, "canonicalBaseUrl": format!("/{}", channel.handle),
            },
        })
    };
    let mut tabs = vec![json!({"tabRenderer": {
        "endpoint": endpoint("featured", "EghmZWF0dXJlZPIGBAoCMgA%3D"), "title": "Home",
    }})];
    // A channel without videos has no Videos tab, and the Home tab is selected.
    if !channel.videos.is_empty() {
        tabs.push(json!({"tabRenderer": {"endpoint": endpoint("videos", VIDEOS[0]), "title": "Videos"}}));
    }
    tabs.push(json!({"tabRenderer": {
        "endpoint": endpoint("playlists", "EglwbGF5bGlzdHPyBgQKAkIA"), "title": "Playlists",
    }}));
    tabs.push(json!({"expandableTabRenderer": {
        "endpoint": endpoint("search", "EgZzZWFyY2jyBgQKAloA"), "title": "Search", "selected": false,
    }}));
    let at = usize::from(open == Tab::Videos && !channel.videos.is_empty());
    tabs[at]["tabRenderer"]["selected"] = json!(true);
    tabs[at]["tabRenderer"]["content"] = if at == 1 {
        let first = Token { channel: channel.id.clone(), order: Order::Latest, offset: 0, reload: false };
        json!({"richGridRenderer": {
            "contents": list(channel, &first, options),
            "header": chips(channel, Order::Latest),
            "targetId": target(channel),
            "style": "RICH_GRID_STYLE_SLIM",
        }})
    } else {
        json!({"sectionListRenderer": {"contents": []}})
    };
    Value::Array(tabs)
}

fn header(channel: &Channel, language: Language) -> Value {
    let subscribers = (!channel.hides_subscribers).then(|| language.subscribers(channel.subscribers));
    let videos = language.videos(channel.videos.len());
    match channel.header {
        HeaderLayout::Page => {
            let mut counts: Vec<Value> = subscribers
                .map(|text| json!({"text": {"content": text.clone()}, "accessibilityLabel": text}))
                .into_iter()
                .collect();
            counts.push(json!({"text": {"content": videos}}));
            json!({"pageHeaderRenderer": {"pageTitle": channel.title, "content": {"pageHeaderViewModel": {
                "title": {"dynamicTextViewModel": {"text": {"content": channel.title}, "maxLines": 2}},
                "metadata": {"contentMetadataViewModel": {
                    "metadataRows": [
                        {"metadataParts": [
                            {"text": {"content": channel.handle}, "enableTruncation": true},
                        ]},
                        {"metadataParts": counts},
                    ],
                    "delimiter": "•",
                }},
            }}}})
        }
        HeaderLayout::Tabbed => {
            let mut header = json!({
                "channelId": channel.id,
                "title": channel.title,
                "avatar": {"thumbnails": [{"url": AVATAR, "width": 176, "height": 176}]},
                "channelHandleText": {"runs": [{"text": channel.handle}]},
                "videosCountText": {"runs": [{"text": videos}]},
            });
            if let Some(text) = subscribers {
                header["subscriberCountText"] = json!({"accessibility": {"accessibilityData": {"label": text.clone()}}, "simpleText": text});
            }
            json!({"c4TabbedHeaderRenderer": header})
        }
    }
}

fn metadata(channel: &Channel) -> Value {
    let address = format!("https://www.youtube.com/channel/{}", channel.id);
    json!({
        "title": channel.title,
        "description": format!("All about {}.", channel.category),
        "rssUrl": format!("https://www.youtube.com/feeds/videos.xml?channel_id={}", channel.id),
        "externalId": channel.id,
        "keywords": channel.category,
        "ownerUrls": [format!("http://www.youtube.com/{}", channel.handle)],
        "avatar": {"thumbnails": [{"url": AVATAR, "width": 900, "height": 900}]},
        "channelUrl": address,
        "isFamilySafe": true,
        "availableCountryCodes": ["DE", "GB", "KR", "US"],
        "vanityChannelUrl": format!("http://www.youtube.com/{}", channel.handle),
    })
}

pub(super) const TERMINATED: &str = "This account has been terminated because we received multiple \
    third-party claims of copyright infringement regarding material that the user posted.";
pub(super) const REMOVED: &str = "This channel was removed because it violated our Community Guidelines.";
pub(super) const UNKNOWN: &str = "This channel does not exist.";

/// Returns a response with status 200 that contains only an error.
pub(super) fn alert(id: &str, text: &str) -> Value {
    json!({
        "responseContext": context(id),
        "header": {"c4TabbedHeaderRenderer": {
            "channelId": id,
            "avatar": {"thumbnails": [{"url": AVATAR, "width": 100, "height": 100}]},
        }},
        "alerts": [{"alertRenderer": {"type": "ERROR", "text": {"simpleText": text}}}],
        "trackingParams": "CAAQhGciEwibvfSImKySAxUwgfQHHdW-NtA=",
    })
}

fn age_gate(channel: &Channel) -> Value {
    let text = "This channel contains content that may be inappropriate for some users, \
        as determined by the YouTube account owner. To view this channel, please confirm you are old enough \
        by signing in.";
    let gate = json!({"channelAgeGateRenderer": {
        "channelTitle": channel.title,
        "avatar": {"thumbnails": [{"url": AVATAR, "width": 144, "height": 144}]},
        "header": {"runs": [{"text": "Sign in to view this channel"}]},
        "mainText": {"runs": [{"text": text}]},
    }});
    json!({
        "responseContext": context(&channel.id),
        "contents": {"twoColumnBrowseResultsRenderer": {"tabs": [{"tabRenderer": {
            "selected": true, "content": {"sectionListRenderer": {"contents": [gate]}},
        }}]}},
        "trackingParams": "CAAQhGciEwjc_sy95KmSAxWFRHoFHWPHAxo=",
    })
}

/// Returns the `responseContext` of InnerTube responses.
pub(super) fn context(id: &str) -> Value {
    json!({
        "visitorData": "CgtFbnNpN0ttcUY5cyjd1bvQBjIoCgJGUhIiEh4SHAsMDg8QERITFBUWFxgZGhscHR4f",
        "serviceTrackingParams": [
            {"service": "GFEEDBACK", "params": [
                {"key": "browse_id", "value": id}, {"key": "logged_in", "value": "0"},
            ]},
            {"service": "CSI", "params": [{"key": "c", "value": "WEB"}, {"key": "yt_li", "value": "0"}]},
        ],
        "mainAppWebResponseContext": {"loggedOut": true},
        "webResponseContextExtensionData": {"hasDecorated": true},
    })
}
