//! The Data API v3: keys, quota, parameters, paging and errors.
//!
//! Owns what may be asked and how answers are framed. Each call with a good key costs one unit, also one that
//! fails or is answered 304. Does not own what a resource says (`resources`).

use serde_json::{Value, json};

use super::{
    exchange::{Answer, Asked},
    faults::Fault,
    resources,
    site::Site,
    spoil::written,
    tokens::fingerprint,
};

/// Most ids in one call, and most items on one page.
const MOST: usize = 50;
/// Items on a page when nobody says.
const FEW: usize = 5;

/// Why a call is refused.
struct Refused {
    status: u16,
    message: String,
    domain: &'static str,
    reason: &'static str,
    name: &'static str,
}

impl Refused {
    fn parameter(message: &str, reason: &'static str) -> Self {
        let message = message.to_owned();
        Self { status: 400, message, domain: "youtube.parameter", reason, name: "INVALID_ARGUMENT" }
    }

    fn not_found(message: &str, domain: &'static str, reason: &'static str) -> Self {
        Self { status: 404, message: message.to_owned(), domain, reason, name: "NOT_FOUND" }
    }
}

pub(super) fn error(status: u16, message: &str, domain: &str, reason: &str, name: &str) -> Answer {
    let body = json!({"error": {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
        "status": name,
    }});
    Answer::json(status, body.to_string())
}

pub(super) fn answer(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let listed = pay(site, asked, fault).and_then(|()| match asked.path.trim_start_matches("/youtube/v3/") {
        "channels" => channels(site, asked),
        "playlistItems" => playlist_items(site, asked, fault),
        "videos" => videos(site, asked),
        _ => Err(Refused::not_found("Method not found.", "global", "notFound")),
    });
    match listed {
        Ok(list) => {
            let tag = fingerprint(list.to_string().as_bytes());
            let mut list = list;
            list["etag"] = json!(tag);
            if fault == Some(Fault::NoItems) {
                list["items"] = json!([]);
            }
            Answer::json(200, written(list, fault))
                .with("cache-control", "private")
                .with("vary", "Origin, X-Origin, Referer")
                .tagged(&tag, asked)
        }
        Err(refused) => error(refused.status, &refused.message, refused.domain, refused.reason, refused.name),
    }
}

/// Checks the key and takes a unit from it.
fn pay(site: &Site, asked: &Asked, fault: Option<Fault>) -> Result<(), Refused> {
    let Some(key) = asked.query("key") else {
        return Err(Refused {
            status: 403,
            message: "Method doesn't allow unregistered callers (callers without established identity). \
                Please use API Key or other form of API consumer identity to call this API."
                .to_owned(),
            domain: "global",
            reason: "forbidden",
            name: "PERMISSION_DENIED",
        });
    };
    if !site.world.keys.iter().any(|known| known == key) {
        return Err(Refused {
            status: 400,
            message: "API key not valid. Please pass a valid API key.".to_owned(),
            domain: "global",
            reason: "badRequest",
            name: "INVALID_ARGUMENT",
        });
    }
    if fault == Some(Fault::QuotaExceeded) || !site.quota.take(key, site.world.units) {
        return Err(Refused {
            status: 403,
            message: "The request cannot be completed because you have exceeded your \
                <a href=\"/youtube/v3/getting-started#quota\">quota</a>."
                .to_owned(),
            domain: "youtube.quota",
            reason: "quotaExceeded",
            name: "PERMISSION_DENIED",
        });
    }
    Ok(())
}

fn channels(site: &Site, asked: &Asked) -> Result<Value, Refused> {
    let parts = parts(asked)?;
    let found = match (asked.query("id"), asked.query("forHandle"), asked.query("forUsername")) {
        (Some(ids), None, None) => {
            let ids = id_list(ids)?;
            ids.into_iter().filter_map(|id| site.content.channel(id).filter(|c| c.id == id)).collect()
        }
        (None, Some(handle), None) => {
            let handle = format!("@{}", handle.trim_start_matches('@'));
            site.content.channel(&handle).into_iter().collect::<Vec<_>>()
        }
        (None, None, Some(name)) => {
            site.content.channel(name).into_iter().filter(|c| c.legacy_name == name).collect()
        }
        (None, None, None) => return Err(no_filter()),
        _ => return Err(Refused::parameter("Incompatible parameters specified.", "incompatibleParameters")),
    };
    let items: Vec<Value> = found
        .into_iter()
        .filter(|channel| !site.faults.is_gone(&channel.id))
        .map(|channel| resources::channel(channel, &parts))
        .collect();
    let (total, page) = (items.len(), items.len());
    Ok(frame("youtube#channelListResponse", &items, total, page))
}

fn videos(site: &Site, asked: &Asked) -> Result<Value, Refused> {
    let parts = parts(asked)?;
    let ids = id_list(asked.query("id").ok_or_else(no_filter)?)?;
    let items: Vec<Value> = ids
        .into_iter()
        .filter_map(|id| site.content.video(id))
        .filter(|(channel, _)| !site.faults.is_gone(&channel.id))
        .map(|(channel, video)| resources::video(channel, video, &parts))
        .collect();
    let (total, page) = (items.len(), items.len());
    Ok(frame("youtube#videoListResponse", &items, total, page))
}

fn playlist_items(site: &Site, asked: &Asked, fault: Option<Fault>) -> Result<Value, Refused> {
    let parts = parts(asked)?;
    let id = asked.query("playlistId").ok_or_else(no_filter)?;
    let most = match asked.query("maxResults").map(str::parse::<usize>) {
        None => FEW,
        Some(Ok(most)) if most <= MOST => most,
        Some(_) => {
            let message = "Invalid value. Values must be within the range: [0, 50]";
            return Err(Refused::parameter(message, "invalidParameter"));
        }
    };
    let offset = match asked.query("pageToken") {
        None => 0,
        Some(token) => offset_of(token).ok_or_else(|| {
            let message = "The request specifies an invalid page token.";
            Refused::parameter(message, "invalidPageToken")
        })?,
    };
    let channel = id
        .strip_prefix("UU")
        .and_then(|rest| site.content.channel(&format!("UC{rest}")))
        .filter(|channel| channel.uploads() == id && !site.faults.is_gone(&channel.id))
        .filter(|_| fault != Some(Fault::NotFound))
        .ok_or_else(|| {
            let message = "The playlist identified with the request's playlistId parameter cannot be found.";
            Refused::not_found(message, "youtube.playlistItem", "playlistNotFound")
        })?;
    let end = channel.videos.len().min(offset + most);
    let page = channel.videos.get(offset..end).unwrap_or_default();
    let items: Vec<Value> = (offset..)
        .zip(page)
        .map(|(position, video)| resources::playlist_item(channel, video, position, &parts))
        .collect();
    let mut list = frame("youtube#playlistItemListResponse", &items, channel.videos.len(), most);
    if fault == Some(Fault::TokenLoop) {
        list["nextPageToken"] = json!(page_token(offset));
    } else if end < channel.videos.len() && most > 0 {
        list["nextPageToken"] = json!(page_token(end));
    }
    if offset > 0 {
        list["prevPageToken"] = json!(page_token(offset.saturating_sub(most)));
    }
    Ok(list)
}

fn frame(kind: &str, items: &[Value], total: usize, page: usize) -> Value {
    json!({
        "kind": kind,
        "pageInfo": {"totalResults": total, "resultsPerPage": page},
        "items": items,
    })
}

fn parts(asked: &Asked) -> Result<Vec<&str>, Refused> {
    let parts = asked.query("part").unwrap_or_default();
    let parts: Vec<&str> = parts.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(Refused::parameter("Required parameter: part", "missingRequiredParameter"));
    }
    match parts.iter().find(|part| !resources::PARTS.contains(part)) {
        Some(part) => Err(Refused::parameter(&format!("'{part}'"), "unknownPart")),
        None => Ok(parts),
    }
}

fn id_list(ids: &str) -> Result<Vec<&str>, Refused> {
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > MOST {
        let message = "The request specifies an invalid filter parameter.";
        return Err(Refused::parameter(message, "invalidFilters"));
    }
    Ok(ids)
}

fn no_filter() -> Refused {
    Refused::parameter("No filter selected.", "missingRequiredParameter")
}

fn page_token(offset: usize) -> String {
    format!("EAAaC1BUOk{offset:06}")
}

fn offset_of(token: &str) -> Option<usize> {
    token.strip_prefix("EAAaC1BUOk").filter(|offset| offset.len() == 6)?.parse().ok()
}
