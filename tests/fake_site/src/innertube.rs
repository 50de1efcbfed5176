//! InnerTube, the API that pages use: `browse` and `resolve_url`, with their errors.

use serde_json::{Value, json};
use url::Url;

use super::{
    channel::Channel,
    corruption::serialize,
    counts::Language,
    exchange::{SiteRequest, SiteResponse},
    faults::Fault,
    pages,
    refusals::innertube_error,
    site::Site,
    tab::{self, RenderOptions, Tab, UNKNOWN, VIDEOS},
    tokens::Token,
};

/// What a `browse` request asks for.
enum BrowseTarget {
    Page { id: String, tab: Tab },
    More(Token),
}

impl BrowseTarget {
    fn of(body: &Value) -> Option<Self> {
        if let Some(token) = body["continuation"].as_str() {
            return Token::decode(token).map(Self::More);
        }
        let id = body["browseId"].as_str().filter(|id| id.starts_with("UC") && id.len() == 24)?;
        let is_videos = body["params"].as_str().is_some_and(|params| VIDEOS.contains(&params));
        let tab = if is_videos { Tab::Videos } else { Tab::Home };
        Some(Self::Page { id: id.to_owned(), tab })
    }

    fn channel(self) -> String {
        match self {
            Self::Page { id, .. } => id,
            Self::More(token) => token.channel,
        }
    }
}

/// Returns the channel ID of a `browse` request.
pub(super) fn channel_of(request: &SiteRequest) -> Option<String> {
    BrowseTarget::of(&request.json()).map(BrowseTarget::channel)
}

pub(super) fn browse(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let body = request.json();
    let client = &body["context"]["client"];
    if client["clientName"] != "WEB" || !client["clientVersion"].is_string() {
        return invalid();
    }
    let language = Language::of(client["hl"].as_str().unwrap_or("en"), client["gl"].as_str().unwrap_or("US"));
    let Some(target) = BrowseTarget::of(&body) else { return invalid() };
    let options = RenderOptions { language, fault };
    let find = |id: &str| site.content.channel(id).filter(|_| fault != Some(Fault::NotFound));
    let value = match &target {
        BrowseTarget::Page { id, tab } => match find(id) {
            Some(channel) => tab::page(channel, *tab, options),
            None => tab::alert(id, UNKNOWN),
        },
        BrowseTarget::More(token) => match find(&token.channel) {
            Some(channel) => tab::more(channel, token, options),
            None => return invalid(),
        },
    };
    SiteResponse::json(200, serialize(value, fault))
}

/// Resolves an address to a page. A legacy name first resolves to the channel's handle, and the handle of
/// every third channel to its ID, with one more step each.
pub(super) fn resolve(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let body = request.json();
    let Some(address) = body["url"].as_str() else { return invalid() };
    let found = find(site, address).filter(|_| fault != Some(Fault::NotFound));
    let Some((name, channel)) = found else {
        return innertube_error(404, "Requested entity was not found.", "notFound", "NOT_FOUND");
    };
    let next = if fault == Some(Fault::AddressLoop) {
        Some(address.to_owned())
    } else if name == channel.legacy_name {
        Some(format!("https://www.youtube.com/{}", channel.handle))
    } else if name.starts_with('@') && channel.number % 3 == 2 {
        Some(format!("https://www.youtube.com/channel/{}", channel.id))
    } else {
        None
    };
    let mut endpoint = json!({
        "clickTrackingParams": "IhMI5Z2_-aHKlAMV8AUGAB2QzB2YMghleHRlcm5hbMoBBMghFTw=",
        "commandMetadata": {
            "webCommandMetadata": {
                "url": "/youtubei/v1/navigation/resolve_url",
                "webPageType": "WEB_PAGE_TYPE_CHANNEL",
                "rootVe": 3611,
                "apiUrl": "/youtubei/v1/browse",
            },
            "resolveUrlCommandMetadata": {"isVanityUrl": true},
        },
    });
    match next {
        Some(url) => endpoint["urlEndpoint"] = json!({"url": url}),
        None => {
            endpoint["browseEndpoint"] = json!({"browseId": channel.id, "params": "EgC4AQCSAwDyBgQKAjIA"});
        }
    }
    let value = json!({"responseContext": tab::context(&channel.id), "endpoint": endpoint});
    SiteResponse::json(200, serialize(value, fault))
}

/// Returns the name in an address and its channel.
fn find<'a>(site: &'a Site, address: &str) -> Option<(String, &'a Channel)> {
    let url = Url::parse(address).ok().filter(|url| url.host_str() == Some("www.youtube.com"))?;
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8().ok()?.into_owned();
    let (name, _) = pages::parse_path(&path)?;
    Some((name.to_owned(), site.content.channel(name)?))
}

fn invalid() -> SiteResponse {
    innertube_error(400, "Request contains an invalid argument.", "badRequest", "INVALID_ARGUMENT")
}
