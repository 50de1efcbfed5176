//! The Data API v3: keys, quota, parameters, paging and errors.
//!
//! Each call with a valid key costs one unit, even if it fails or returns 304. Resources are in `resources`.

use serde_json::{Value, json};

use super::{
    corruption::serialize,
    exchange::{SiteRequest, SiteResponse},
    faults::Fault,
    resources,
    site::Site,
    tokens::fingerprint,
};

/// Maximum number of IDs in a call and of items on a page.
const MAX_ITEMS: usize = 50;
/// Items on a page by default.
const DEFAULT_ITEMS: usize = 5;

struct ApiError {
    status: u16,
    message: String,
    domain: &'static str,
    reason: &'static str,
    name: &'static str,
}

impl ApiError {
    fn parameter(message: &str, reason: &'static str) -> Self {
        let message = message.to_owned();
        Self { status: 400, message, domain: "youtube.parameter", reason, name: "INVALID_ARGUMENT" }
    }

    fn not_found(message: &str, domain: &'static str, reason: &'static str) -> Self {
        Self { status: 404, message: message.to_owned(), domain, reason, name: "NOT_FOUND" }
    }
}

pub(super) fn error(status: u16, message: &str, domain: &str, reason: &str, name: &str) -> SiteResponse {
    let body = json!({"error": {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": domain, "reason": reason}],
        "status": name,
    }});
    SiteResponse::json(status, body.to_string())
}

pub(super) fn answer(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let listed =
        charge(site, request, fault).and_then(|()| match request.path.trim_start_matches("/youtube/v3/") {
            "channels" => channels(site, request),
            "playlistItems" => playlist_items(site, request, fault),
            "videos" => videos(site, request),
            _ => Err(ApiError::not_found("Method not found.", "global", "notFound")),
        });
    match listed {
        Ok(list) => {
            let tag = fingerprint(list.to_string().as_bytes());
            let mut list = list;
            list["etag"] = json!(tag);
            if fault == Some(Fault::NoItems) {
                list["items"] = json!([]);
            }
            SiteResponse::json(200, serialize(list, fault))
                .with("cache-control", "private")
                .with("vary", "Origin, X-Origin, Referer")
                .tagged(&tag, request)
        }
        Err(refused) => error(refused.status, &refused.message, refused.domain, refused.reason, refused.name),
    }
}

/// Checks the key and uses one of its units.
fn charge(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> Result<(), ApiError> {
    let Some(key) = request.query("key") else {
        return Err(ApiError {
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
        return Err(ApiError {
            status: 400,
            message: "API key not valid. Please pass a valid API key.".to_owned(),
            domain: "global",
            reason: "badRequest",
            name: "INVALID_ARGUMENT",
        });
    }
    if fault == Some(Fault::QuotaExceeded) || !site.quota.take(key, site.world.units) {
        return Err(ApiError {
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

fn channels(site: &Site, request: &SiteRequest) -> Result<Value, ApiError> {
    let parts = parts(request)?;
    let found = match (request.query("id"), request.query("forHandle"), request.query("forUsername")) {
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
        _ => return Err(ApiError::parameter("Incompatible parameters specified.", "incompatibleParameters")),
    };
    let items: Vec<Value> = found
        .into_iter()
        .filter(|channel| !site.faults.is_removed(&channel.id))
        .map(|channel| resources::channel(channel, &parts))
        .collect();
    let (total, page) = (items.len(), items.len());
    Ok(frame("youtube#channelListResponse", &items, total, page))
}

fn videos(site: &Site, request: &SiteRequest) -> Result<Value, ApiError> {
    let parts = parts(request)?;
    let ids = id_list(request.query("id").ok_or_else(no_filter)?)?;
    let items: Vec<Value> = ids
        .into_iter()
        .filter_map(|id| site.content.video(id))
        .filter(|(channel, _)| !site.faults.is_removed(&channel.id))
        .map(|(channel, video)| resources::video(channel, video, &parts))
        .collect();
    let (total, page) = (items.len(), items.len());
    Ok(frame("youtube#videoListResponse", &items, total, page))
}

fn playlist_items(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> Result<Value, ApiError> {
    let parts = parts(request)?;
    let id = request.query("playlistId").ok_or_else(no_filter)?;
    let limit = match request.query("maxResults").map(str::parse::<usize>) {
        None => DEFAULT_ITEMS,
        Some(Ok(limit)) if limit <= MAX_ITEMS => limit,
        Some(_) => {
            let message = "Invalid value. Values must be within the range: [0, 50]";
            return Err(ApiError::parameter(message, "invalidParameter"));
        }
    };
    let offset = match request.query("pageToken") {
        None => 0,
        Some(token) => {
            let offset = offset_of(token).filter(|_| fault != Some(Fault::InvalidPageToken));
            let message = "The request specifies an invalid page token.";
            offset.ok_or_else(|| ApiError::parameter(message, "invalidPageToken"))?
        }
    };
    let channel = id
        .strip_prefix("UU")
        .and_then(|rest| site.content.channel(&format!("UC{rest}")))
        .filter(|channel| channel.uploads() == id && !site.faults.is_removed(&channel.id))
        .filter(|_| fault != Some(Fault::NotFound))
        .ok_or_else(|| {
            let message = "The playlist identified with the request's playlistId parameter cannot be found.";
            ApiError::not_found(message, "youtube.playlistItem", "playlistNotFound")
        })?;
    let first = if fault == Some(Fault::StalePages) { 0 } else { offset };
    let end = channel.videos.len().min(first + limit);
    let page = channel.videos.get(first..end).unwrap_or_default();
    let items: Vec<Value> = (offset..)
        .zip(page)
        .map(|(position, video)| resources::playlist_item(channel, video, position, &parts))
        .collect();
    let mut list = frame("youtube#playlistItemListResponse", &items, channel.videos.len(), limit);
    if fault == Some(Fault::TokenLoop) {
        list["nextPageToken"] = json!(page_token(offset));
    } else if fault == Some(Fault::StalePages) {
        list["nextPageToken"] = json!(page_token(offset + limit));
    } else if end < channel.videos.len() && limit > 0 {
        list["nextPageToken"] = json!(page_token(end));
    }
    if offset > 0 {
        list["prevPageToken"] = json!(page_token(offset.saturating_sub(limit)));
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

fn parts(request: &SiteRequest) -> Result<Vec<&str>, ApiError> {
    let parts = request.query("part").unwrap_or_default();
    let parts: Vec<&str> = parts.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(ApiError::parameter("Required parameter: part", "missingRequiredParameter"));
    }
    match parts.iter().find(|part| !resources::PARTS.contains(part)) {
        Some(part) => Err(ApiError::parameter(&format!("'{part}'"), "unknownPart")),
        None => Ok(parts),
    }
}

fn id_list(ids: &str) -> Result<Vec<&str>, ApiError> {
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > MAX_ITEMS {
        let message = "The request specifies an invalid filter parameter.";
        return Err(ApiError::parameter(message, "invalidFilters"));
    }
    Ok(ids)
}

fn no_filter() -> ApiError {
    ApiError::parameter("No filter selected.", "missingRequiredParameter")
}

fn page_token(offset: usize) -> String {
    format!("EAAaC1BUOk{offset:06}")
}

fn offset_of(token: &str) -> Option<usize> {
    token.strip_prefix("EAAaC1BUOk").filter(|offset| offset.len() == 6)?.parse().ok()
}
