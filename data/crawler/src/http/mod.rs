//! HTTP requests to servers outside this system: for crawls, rankings, images that users name by URL, and weights.
//! This crate's only module that names `reqwest`. Object stores are reached by `dataset::files`.
//!
//! [`Web`], in `fleet_client`, makes the requests of crawl jobs. `robots` checks each against the host's `robots.txt`
//! (parsed by `robots_txt`), `rate_limiter` waits for a slot within the fleet's rate limits (`host`, stored by
//! [`common::store`]), and `key` adds the Data API key and spends its daily quota (`pacific_day`). On the response,
//! `throttle` decides whether to back off from the host, `decompress` decompresses the body, and `response` is the
//! result.
//!
//! URLs from users and sites go through `public_client`, which connects only to public addresses (`public_address`):
//! [`Web`] is built on it, [`ImageFetcher`], in `image`, fetches images for users, and `command_client` makes the few
//! requests of a ranking. Only [`download()`], in `operator_download`, does not: it takes the operator's URLs.
//!
//! Does not own the meaning of bodies. Invariants: every request waits for a slot, including redirects and
//! `robots.txt`; a slot is released however the request ends, also when it is dropped; the key never appears in a
//! URL, log line or error, and is sent only to the Data API.

#[cfg(feature = "ranking")]
mod command_client;
mod decompress;
mod fleet_client;
mod host;
mod image;
mod key;
mod operator_download;
mod pacific_day;
mod public_address;
mod public_client;
mod rate_limiter;
mod response;
mod robots;
mod robots_txt;
mod throttle;

pub(crate) use self::fleet_client::REQUEST_TIMEOUT;
#[cfg(feature = "ranking")]
pub(crate) use self::{command_client::CommandClient, public_client::user_agent};
pub use self::{
    fleet_client::Web,
    host::HostKind,
    image::ImageFetcher,
    operator_download::download,
    public_client::FetchError,
    response::{Response, WebError},
};
