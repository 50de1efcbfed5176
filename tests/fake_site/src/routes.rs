//! Which part of the site answers.
//!
//! Owns the addresses. Three hosts of the real site share one address here, since their paths differ.

use hyper::Method;

use super::{
    data_api,
    exchange::{Answer, Asked, Host},
    faults::Fault,
    images, innertube, pages,
    refusals::{innertube_error, page_not_found},
    site::Site,
};

const BROWSE: &str = "/youtubei/v1/browse";
const RESOLVE: &str = "/youtubei/v1/navigation/resolve_url";

/// The right answer, or what a fault in its content makes of it.
pub(super) fn answer(site: &Site, asked: &Asked, fault: Option<Fault>) -> Answer {
    let path = asked.path.as_str();
    let is_get = asked.method == Method::GET;
    match Host::of(path) {
        Host::Web if path == BROWSE || path == RESOLVE => {
            if asked.method != Method::POST {
                let message = "The method is not allowed.";
                return innertube_error(405, message, "httpMethodNotAllowed", "INVALID_ARGUMENT");
            }
            let answer = if path == BROWSE { innertube::browse } else { innertube::resolve };
            answer(site, asked, fault)
        }
        _ if !is_get => Answer::text(405, "").with("allow", "GET"),
        Host::Web if path == "/robots.txt" => pages::robots(fault),
        Host::Web if path == "/" => page_not_found(),
        Host::Web => pages::channel(site, asked, fault),
        Host::Api => data_api::answer(site, asked, fault),
        Host::Images => images::answer(site, asked, fault),
        Host::Ranking => pages::ranking(site, asked, fault),
    }
}

/// The id of the channel whose page is asked for.
pub(super) fn channel_of(site: &Site, asked: &Asked) -> Option<String> {
    match (Host::of(&asked.path), asked.path.as_str()) {
        (Host::Web, BROWSE) => innertube::channel_of(asked),
        (Host::Web, path) => {
            let (name, _) = pages::place(path)?;
            Some(site.content.channel(name)?.id.clone())
        }
        _ => None,
    }
}
