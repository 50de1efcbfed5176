//! The API that pages use: `browse` and `resolve_url`.
//!
//! Owns what is asked in their bodies and which errors they answer.

use serde_json::{Value, json};
use url::Url;

use super::{
    channel::Channel,
    counts::Language,
    exchange::{Answer, Asked},
    faults::Fault,
    pages,
    refusals::innertube_error,
    site::Site,
    spoil::written,
    tab::{self, Manner, Tab, UNKNOWN, VIDEOS},
    tokens::Token,
};

/// What `browse` is asked for.
enum Wanted {
    Page { id: String, tab: Tab },
    More(Token),
}

impl Wanted {
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

/// The id of the channel that `browse` is asked about.
pub(super) fn channel_of(asked: &Asked) -> Option<String> {
    Wanted::of(&asked.json()).map(Wanted::channel)
}

pub(super) fn browse(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let body = asked.json();
    let client = &body["context"]["client"];
    if client["clientName"] != "WEB" || !client["clientVersion"].is_string() {
        return invalid();
    }
    let language = Language::of(client["hl"].as_str().unwrap_or("en"), client["gl"].as_str().unwrap_or("US"));
    let Some(wanted) = Wanted::of(&body) else { return invalid() };
    let manner = Manner { language, fault };
    let find = |id: &str| site.content.channel(id).filter(|_| fault != Some(Fault::NotFound));
    let value = match &wanted {
        Wanted::Page { id, tab } => match find(id) {
            Some(channel) => tab::page(channel, *tab, manner),
            None => tab::alert(id, UNKNOWN),
        },
        Wanted::More(token) => match find(&token.channel) {
            Some(channel) => tab::more(channel, token, manner),
            None => return invalid(),
        },
    };
    Answer::json(200, written(value, fault))
}

/// Says which page an address leads to. A channel's name of old leads to its handle first, and the handle of
/// every third channel leads to its id, by one more step each.
pub(super) fn resolve(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let body = asked.json();
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
    Answer::json(200, written(value, fault))
}

/// The channel that an address names, and how it does.
fn find<'a>(site: &'a Site, address: &str) -> Option<(String, &'a Channel)> {
    let url = Url::parse(address).ok().filter(|url| url.host_str() == Some("www.youtube.com"))?;
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8().ok()?.into_owned();
    let (name, _) = pages::place(&path)?;
    Some((name.to_owned(), site.content.channel(name)?))
}

fn invalid() -> Answer {
    innertube_error(400, "Request contains an invalid argument.", "badRequest", "INVALID_ARGUMENT")
}
