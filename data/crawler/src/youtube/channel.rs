//! A channel's Videos tab: who the channel is, its videos, and what asks for more of them.
//!
//! Owns the layout of the tab around its [`items`]. Does not own how the JSON is found (see
//! [`crate::youtube::answer`]) nor asking for the next page. Invariants: an answer without a single video is an
//! error, unless it says in words that there are none or ends a list that had some; what cannot be read is
//! named in [`VideoPage::unread`], never left out silently.

use serde_json::Value;

use super::{
    chips::{self, Orders},
    counts::Count,
    faults::{Fault, ResponseKeys, SchemaDrift},
    ids::{ChannelId, ChannelRef, Handle},
    items::{self, VideoItem, VideoKind},
    node::JsonNode,
};

/// Most links to follow from a name to a channel; see [`resolved`].
pub const MAX_REDIRECTS: usize = 3;
/// From so many ordinary videos on, one of them must show its views.
const SOME_VIDEOS: usize = 3;
/// Lists of an answer to a continuation.
const RECEIVED: [&str; 3] =
    ["onResponseReceivedActions", "onResponseReceivedCommands", "onResponseReceivedEndpoints"];

/// Who a channel is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Its name.
    pub title: String,
    /// Its handle, if it has one.
    pub handle: Option<Handle>,
    /// How many subscribe to it; nothing where it hides that.
    pub subscribers: Option<Count>,
}

/// Videos of a channel, in the order of the answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VideoPage {
    /// The videos.
    pub items: Vec<VideoItem>,
    /// What stood among them and could not be read.
    pub unread: Vec<SchemaDrift>,
    /// What asks for the next page; nothing at the end. One that was seen before leads nowhere new.
    pub continuation: Option<String>,
}

/// The first page of a channel's Videos tab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstPage {
    /// Whose it is.
    pub channel: Channel,
    /// Its videos, the latest first.
    pub page: VideoPage,
    /// In which orders they can be had.
    pub orders: Orders,
    /// What the tab says in place of videos.
    pub empty: Option<String>,
}

/// What a link leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// A channel.
    Channel(ChannelId),
    /// Another link, to be resolved in turn, at most [`MAX_REDIRECTS`] times.
    Redirect(String),
}

/// Reads the first page of a Videos tab, from a page or an answer to [`crate::youtube::request::browse`].
///
/// # Errors
/// When the channel or its Videos tab is not there, or the layout is not known.
pub fn first_page(answer: &Value) -> Result<FirstPage, Fault> {
    let root = JsonNode::root(answer);
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

/// Reads an answer to [`crate::youtube::request::continuation`]: the next page, or the first in another order.
///
/// A list that is there and empty is the end of what came before; a caller that asked for another order has
/// nothing then.
///
/// # Errors
/// When the answer holds no list of videos, or one in which no video is recognised.
pub fn next_page(answer: &Value) -> Result<VideoPage, Fault> {
    let root = JsonNode::root(answer);
    let Some(actions) = RECEIVED.iter().find_map(|key| root.find(&[key])) else {
        return Err(without_contents(&root));
    };
    let mut entries = None;
    for action in actions.items()? {
        let reload = action.find(&["reloadContinuationItemsCommand"]);
        // Beside the videos, a change of order sends the bar above them.
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

/// Reads an answer to [`crate::youtube::request::resolve_url`].
///
/// # Errors
/// When the link leads to something else than a channel or another link.
pub fn resolved(answer: &Value) -> Result<Resolved, Fault> {
    let root = JsonNode::root(answer);
    let endpoint = root.at(&["endpoint"])?;
    if let Some(id) = endpoint.find(&["browseEndpoint", "browseId"]) {
        let id =
            id.text()?.parse().map_err(|error| Fault::NotFound(format!("the link leads elsewhere: {error}")));
        return id.map(Resolved::Channel);
    }
    match endpoint.text_at(&["urlEndpoint", "url"]) {
        Some(url) => Ok(Resolved::Redirect(url.to_owned())),
        None => Err(endpoint
            .drift(format!("leads to neither channel nor link; there is {}", ResponseKeys(endpoint.value)))
            .into()),
    }
}

/// What an answer without contents says instead.
fn without_contents(root: &JsonNode<'_>) -> Fault {
    for alert in root.items_at(&["alerts"]) {
        let Some((_, alert)) = alert.kind() else { continue };
        if alert.text_at(&["type"]) == Some("ERROR") {
            let text = alert.find(&["text"]).and_then(|text| text.rich_text());
            return Fault::of_alert(text.unwrap_or_else(|| "an error without words".to_owned()));
        }
    }
    Fault::Incomplete(format!("it has no contents, only {}", ResponseKeys(root.value)))
}

/// Finds the Videos tab, if it is the one that is shown.
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
        return Err(selected.drift("another tab than Videos is shown").into());
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

/// Reads the subscribers from either kind of header. They stand beside the number of videos, which stands
/// alone when they are hidden.
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
            parts => return Err(last.drift(format!("{} parts where two are known", parts.len()))),
        }
    };
    let Some(text) = text else { return Ok(None) };
    let words = text.rich_text().ok_or_else(|| text.drift("no text"))?;
    Count::of_subscribers(&words).map(Some).map_err(|error| text.drift(error.to_string()))
}

/// Finds the words that a tab has in place of videos.
fn message(content: &JsonNode<'_>) -> Result<Option<String>, SchemaDrift> {
    const NO_VIDEOS: [&str; 2] = ["no videos", "doesn't have any content"];
    for section in content.items_at(&["sectionListRenderer", "contents"]) {
        let inner = section.items_at(&["itemSectionRenderer", "contents"]);
        for entry in inner.into_iter().chain([section]) {
            let ways = [["messageRenderer", "text"], ["channelOwnerEmptyStateRenderer", "description"]];
            let Some(text) = ways.iter().find_map(|way| entry.find(way)) else { continue };
            let words = text.rich_text().unwrap_or_default();
            let lower = words.to_lowercase().replace('’', "'");
            if !NO_VIDEOS.iter().any(|known| lower.contains(known)) {
                return Err(text.drift(format!("“{words}” in place of videos")));
            }
            return Ok(Some(words));
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
                None => page.unread.push(item.drift("an item without content")),
            },
            Some(("continuationItemRenderer" | "continuationItemViewModel", more)) => {
                page.continuation = Some(continuation(&more)?);
            }
            Some(("adSlotRenderer", _)) => {}
            Some((kind, entry)) => page.unread.push(entry.drift(format!("{kind} is not known among videos"))),
            None => page.unread.push(entry.drift("an entry of no kind")),
        }
    }
    let ordinary = page.items.iter().filter(|item| item.kind == VideoKind::Ordinary);
    if ordinary.clone().count() >= SOME_VIDEOS && ordinary.clone().all(|item| item.views.is_none()) {
        return Err(entries[0].drift(format!("views in none of {} videos", ordinary.count())));
    }
    Ok(page)
}

/// Finds the token of what stands at the end of a list.
fn continuation(more: &JsonNode<'_>) -> Result<String, SchemaDrift> {
    let ways: [&[&str]; 3] = [
        &["continuationEndpoint"],
        &["continuationCommand", "innertubeCommand"],
        &["button", "buttonRenderer", "command"],
    ];
    let token = ways.iter().filter_map(|way| more.find(way)).find_map(|command| chips::token(&command));
    token.ok_or_else(|| more.drift(format!("no token; there is {}", ResponseKeys(more.value))))
}

/// Says why a list gave no videos.
fn nothing_read(page: &VideoPage, list: &JsonNode<'_>) -> SchemaDrift {
    let first = page.unread.first().cloned();
    first.unwrap_or_else(|| list.drift(format!("no videos among {}", list.kinds())))
}
