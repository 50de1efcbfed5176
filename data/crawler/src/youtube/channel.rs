//! Parses a channel's Videos tab: the channel, its videos, and the token of the next page.
//!
//! Owns the layout of the tab around its [`items`]. Does not own extracting the JSON (see
//! [`crate::youtube::response`]) and requesting the next page. Invariants: a response without videos is an error,
//! unless it says that there are none or ends a list; unreadable items are listed in [`VideoPage::unread`].

use serde_json::Value;

use super::{
    chips::{self, Orders},
    counts::Count,
    faults::{Fault, ResponseKeys, SchemaDrift},
    ids::{ChannelId, ChannelRef, Handle},
    items::{self, VideoItem, VideoKind},
    node::JsonNode,
};

/// Links to follow from a name to a channel, at most; see [`resolved`].
pub const MAX_REDIRECTS: usize = 3;
/// If this many ordinary videos have no views, the layout has changed.
const MIN_VIDEOS_WITH_VIEWS: usize = 3;
/// Keys of the list in a continuation response.
const ACTION_KEYS: [&str; 3] =
    ["onResponseReceivedActions", "onResponseReceivedCommands", "onResponseReceivedEndpoints"];

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    pub id: ChannelId,
    pub title: String,
    pub handle: Option<Handle>,
    /// `None` if hidden.
    pub subscribers: Option<Count>,
}

/// Videos of a channel, in the order of the response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VideoPage {
    pub items: Vec<VideoItem>,
    /// Errors of unreadable items.
    pub unread: Vec<SchemaDrift>,
    /// Token of the next page. A token may repeat: the caller must not follow it twice.
    pub continuation: Option<String>,
}

/// The first page of a channel's Videos tab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstPage {
    pub channel: Channel,
    /// The latest first.
    pub page: VideoPage,
    pub orders: Orders,
    /// The tab's message that the channel has no videos.
    pub empty: Option<String>,
}

/// The target of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    Channel(ChannelId),
    /// Another link to resolve, at most [`MAX_REDIRECTS`] times.
    Redirect(String),
}

/// Parses the first page of a Videos tab, from a page or a response to [`crate::youtube::request::browse`].
pub fn first_page(response: &Value) -> Result<FirstPage, Fault> {
    let root = JsonNode::root(response);
    let Some(contents) = root.find(&["contents"]) else { return Err(without_contents(&root)) };
    let tab = videos_tab(&contents.at(&["twoColumnBrowseResultsRenderer", "tabs"])?)?;
    let channel = channel(&root)?;
    let content = tab.at(&["content"])?;
    if let Some(text) = message(&content)? {
        return Ok(FirstPage {
            channel,
            page: VideoPage::default(),
            orders: Orders::default(),
            empty: Some(text),
        });
    }
    let grid = content.at(&["richGridRenderer"])?;
    let list = grid.at(&["contents"])?;
    let page = page(&list.items()?)?;
    if page.items.is_empty() {
        return Err(nothing_read(&page, &list).into());
    }
    Ok(FirstPage { channel, page, orders: chips::read(&grid)?, empty: None })
}

/// Parses a response to [`crate::youtube::request::continuation`]: the next page, or the first in another order.
///
/// An empty list ends the pages before it; a caller that requested another order must treat it as an error.
pub fn next_page(response: &Value) -> Result<VideoPage, Fault> {
    let root = JsonNode::root(response);
    let Some(actions) = ACTION_KEYS.iter().find_map(|key| root.find(&[key])) else {
        return Err(without_contents(&root));
    };
    let mut entries = None;
    for action in actions.items()? {
        let reload = action.find(&["reloadContinuationItemsCommand"]);
        // A response to a new order also contains the chip bar above the videos.
        let is_header =
            |reload: &JsonNode<'_>| reload.text_at(&["slot"]) == Some("RELOAD_CONTINUATION_SLOT_HEADER");
        if reload.as_ref().is_some_and(is_header) {
            continue;
        }
        if let Some(command) = action.find(&["appendContinuationItemsAction"]).or(reload) {
            entries.get_or_insert_with(Vec::new).extend(command.at(&["continuationItems"])?.items()?);
        }
    }
    let entries = entries.ok_or_else(|| actions.drift(format!("no videos among {}", actions.kinds())))?;
    let page = page(&entries)?;
    if page.items.is_empty() && !entries.is_empty() {
        return Err(nothing_read(&page, &actions).into());
    }
    Ok(page)
}

/// Parses a response to [`crate::youtube::request::resolve_url`].
pub fn resolved(response: &Value) -> Result<Resolved, Fault> {
    let root = JsonNode::root(response);
    let endpoint = root.at(&["endpoint"])?;
    if let Some(id) = endpoint.find(&["browseEndpoint", "browseId"]) {
        let id = id
            .text()?
            .parse()
            .map_err(|error| Fault::NotFound(format!("the link does not lead to a channel: {error}")));
        return id.map(Resolved::Channel);
    }
    match endpoint.text_at(&["urlEndpoint", "url"]) {
        Some(url) => Ok(Resolved::Redirect(url.to_owned())),
        None => Err(endpoint
            .drift(format!("expected a channel or a link, found {}", ResponseKeys(endpoint.value)))
            .into()),
    }
}

/// Explains a response without contents, by its alert if it has one.
fn without_contents(root: &JsonNode<'_>) -> Fault {
    for alert in root.items_at(&["alerts"]) {
        let Some((_, alert)) = alert.kind() else { continue };
        if alert.text_at(&["type"]) == Some("ERROR") {
            let text = alert.find(&["text"]).and_then(|text| text.rich_text());
            return Fault::from_alert(text.unwrap_or_else(|| "an error without a message".to_owned()));
        }
    }
    Fault::Incomplete(format!("missing contents, found {}", ResponseKeys(root.value)))
}

/// Returns the Videos tab if it is selected.
fn videos_tab<'a>(tabs: &JsonNode<'a>) -> Result<JsonNode<'a>, Fault> {
    let all: Vec<JsonNode<'a>> = tabs.items()?.iter().filter_map(|tab| tab.find(&["tabRenderer"])).collect();
    let selected = all.iter().find(|tab| tab.value.get("selected") == Some(&Value::Bool(true)));
    let selected = selected.ok_or_else(|| tabs.drift("no tab is selected"))?;
    for section in selected.items_at(&["content", "sectionListRenderer", "contents"]) {
        if let Some(gate) = section.find(&["channelAgeGateRenderer"]) {
            return Err(Fault::AgeRestricted(gate.text_at(&["channelTitle"]).unwrap_or_default().to_owned()));
        }
    }
    let url = |tab: &JsonNode<'a>| tab.text_at(&["endpoint", "commandMetadata", "webCommandMetadata", "url"]);
    let is_videos = |tab: &JsonNode<'a>| {
        url(tab).is_some_and(|url| url.ends_with("/videos")) || tab.text_at(&["title"]) == Some("Videos")
    };
    if is_videos(selected) {
        return Ok(selected.clone());
    }
    if all.iter().any(is_videos) {
        return Err(selected.drift("the selected tab is not Videos").into());
    }
    let titles: Vec<&str> = all.iter().filter_map(|tab| tab.text_at(&["title"])).collect();
    Err(Fault::NoVideosTab(titles.join(", ")))
}

fn channel(root: &JsonNode<'_>) -> Result<Channel, Fault> {
    let metadata = root.at(&["metadata", "channelMetadataRenderer"])?;
    let id = metadata.at(&["externalId"])?;
    let vanity = metadata.text_at(&["vanityChannelUrl"]).and_then(|url| url.parse().ok());
    Ok(Channel {
        id: id.text()?.parse().map_err(|error| id.drift(format!("{error}")))?,
        title: metadata.at(&["title"])?.text()?.to_owned(),
        handle: match vanity {
            Some(ChannelRef::Handle(handle)) => Some(handle),
            _ => None,
        },
        subscribers: subscribers(&root.at(&["header"])?)?,
    })
}

/// Parses the subscribers in either kind of header. They precede the number of videos, which is alone if they are
/// hidden.
fn subscribers(header: &JsonNode<'_>) -> Result<Option<Count>, SchemaDrift> {
    let text = if let Some(old) = header.find(&["c4TabbedHeaderRenderer"]) {
        old.find(&["subscriberCountText"])
    } else {
        let view = header.at(&["pageHeaderRenderer", "content", "pageHeaderViewModel"])?;
        let rows = view.at(&["metadata", "contentMetadataViewModel", "metadataRows"])?;
        let last = rows.items()?.pop().ok_or_else(|| rows.drift("no rows"))?;
        match &last.items_at(&["metadataParts"])[..] {
            [] | [_] => None,
            [first, _] => Some(first.at(&["text"])?),
            parts => return Err(last.drift(format!("expected at most 2 parts, found {}", parts.len()))),
        }
    };
    let Some(text) = text else { return Ok(None) };
    let shown = text.rich_text().ok_or_else(|| text.drift("not a text"))?;
    Count::parse_subscribers(&shown).map(Some).map_err(|error| text.drift(error.to_string()))
}

/// Finds the message that a tab shows instead of videos.
fn message(content: &JsonNode<'_>) -> Result<Option<String>, SchemaDrift> {
    const NO_VIDEOS: [&str; 2] = ["no videos", "doesn't have any content"];
    for section in content.items_at(&["sectionListRenderer", "contents"]) {
        let inner = section.items_at(&["itemSectionRenderer", "contents"]);
        for entry in inner.into_iter().chain([section]) {
            let paths = [["messageRenderer", "text"], ["channelOwnerEmptyStateRenderer", "description"]];
            let Some(text) = paths.iter().find_map(|path| entry.find(path)) else { continue };
            let message = text.rich_text().unwrap_or_default();
            let lower = message.to_lowercase().replace('’', "'");
            if !NO_VIDEOS.iter().any(|known| lower.contains(known)) {
                return Err(text.drift(format!("unknown message instead of videos: “{message}”")));
            }
            return Ok(Some(message));
        }
    }
    Ok(None)
}

fn page(entries: &[JsonNode<'_>]) -> Result<VideoPage, SchemaDrift> {
    let mut page = VideoPage::default();
    for entry in entries {
        match entry.kind() {
            Some(("richItemRenderer", item)) => match item.at(&["content"])?.kind() {
                Some(("adSlotRenderer", _)) => {}
                Some((kind, content)) => match items::read(kind, &content) {
                    Ok(item) => page.items.push(item),
                    Err(drift) => page.unread.push(drift),
                },
                None => page.unread.push(item.drift("missing content")),
            },
            Some(("continuationItemRenderer" | "continuationItemViewModel", more)) => {
                page.continuation = Some(continuation(&more)?);
            }
            Some(("adSlotRenderer", _)) => {}
            Some((kind, entry)) => page.unread.push(entry.drift(format!("unknown kind of entry: {kind}"))),
            None => page.unread.push(entry.drift("an entry without a kind")),
        }
    }
    let ordinary = page.items.iter().filter(|item| item.kind == VideoKind::Ordinary);
    if ordinary.clone().count() >= MIN_VIDEOS_WITH_VIEWS && ordinary.clone().all(|item| item.views.is_none())
    {
        return Err(entries[0].drift(format!("none of {} videos has views", ordinary.count())));
    }
    Ok(page)
}

/// Finds the token in the last entry of a list.
fn continuation(more: &JsonNode<'_>) -> Result<String, SchemaDrift> {
    let paths: [&[&str]; 3] = [
        &["continuationEndpoint"],
        &["continuationCommand", "innertubeCommand"],
        &["button", "buttonRenderer", "command"],
    ];
    let token = paths.iter().filter_map(|path| more.find(path)).find_map(|command| chips::token(&command));
    token.ok_or_else(|| more.drift(format!("missing token, found {}", ResponseKeys(more.value))))
}

/// Explains why a list has no videos.
fn nothing_read(page: &VideoPage, list: &JsonNode<'_>) -> SchemaDrift {
    let first = page.unread.first().cloned();
    first.unwrap_or_else(|| list.drift(format!("no videos among {}", list.kinds())))
}
