//! Every HTTP request to a server that is not part of this system; the only module that names `reqwest`.
//!
//! [`Web`] makes the requests of crawl jobs. Before each, `admission` waits until the rate limits that the whole fleet
//! shares allow it (kept in [`common::store`]), `robots` checks it against the host's `robots.txt`, and `key` adds the
//! key of the Data API and spends its daily quota (`quota`). Afterwards `refusal` decides whether the host wants
//! to be left alone, and `unpack` decompresses the body.
//!
//! Whatever a user or a site names by URL goes through the client of `guarded`, which connects to public addresses only:
//! [`Web`] is built on it, [`ImageFetcher`] fetches the images that users name, and `visit` makes the few requests of a
//! ranking. Only [`download()`] is not: it takes the operator's URLs.
//!
//! Does not own what a body means. Invariants: no request starts before it is admitted, those for redirects and
//! for a `robots.txt` included; an admission is returned however the request ends, also when it is dropped; the key
//! is part of no URL, log line or error, and is sent only to the Data API.

mod address;
mod admission;
mod answer;
mod download;
mod guarded;
mod host;
mod image;
mod key;
mod quota;
mod refusal;
mod robots;
mod robots_txt;
mod unpack;
#[cfg(feature = "ranking")]
mod visit;
mod web;

pub(crate) use self::web::LIMIT;
pub use self::{
    answer::{Answer, WebError},
    download::download,
    guarded::FetchError,
    host::HostKind,
    image::ImageFetcher,
    web::Web,
};
#[cfg(feature = "ranking")]
pub(crate) use self::{guarded::user_agent, visit::Visit};
