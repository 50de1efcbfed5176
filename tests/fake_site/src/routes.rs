//! Routes requests by path. Four hosts of the real world share one address here, since their paths differ.

use hyper::Method;

use super::{
    data_api,
    exchange::{Host, SiteRequest, SiteResponse},
    faults::Fault,
    images, innertube, pages,
    refusals::{innertube_error, page_not_found},
    site::Site,
};

const BROWSE: &str = "/youtubei/v1/browse";
const RESOLVE: &str = "/youtubei/v1/navigation/resolve_url";

/// Returns the response, with content faults applied.
pub(super) fn answer(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let path = request.path.as_str();
    let is_get = request.method == Method::GET;
    match Host::of(path) {
        Host::Web if path == BROWSE || path == RESOLVE => {
            if request.method != Method::POST {
                let message = "The method is not allowed.";
                return innertube_error(405, message, "httpMethodNotAllowed", "INVALID_ARGUMENT");
            }
            let answer = if path == BROWSE { innertube::browse } else { innertube::resolve };
            answer(site, request, fault)
        }
        _ if !is_get => SiteResponse::text(405, "").with("allow", "GET"),
        Host::Web if path == "/robots.txt" => pages::robots(fault),
        Host::Web if path == "/" => page_not_found(),
        Host::Web => pages::channel(site, request, fault),
        Host::Api => data_api::answer(site, request, fault),
        Host::Images => images::answer(site, request, fault),
        Host::Ranking => pages::ranking(site, request, fault),
    }
}

/// Returns the ID of the channel whose page is requested.
pub(super) fn channel_of(site: &Site, request: &SiteRequest) -> Option<String> {
    match (Host::of(&request.path), request.path.as_str()) {
        (Host::Web, BROWSE) => innertube::channel_of(request),
        (Host::Web, path) => {
            let (name, _) = pages::parse_path(path)?;
            Some(site.content.channel(name)?.id.clone())
        }
        _ => None,
    }
}
