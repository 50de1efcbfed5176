//! HTTP requests to servers that are not part of this system: those of crawls and rankings, for images that users name
//! by URL, and for weights. The only module of this crate that names `reqwest`; the other door to it is the command
//! line's client of the API. Object stores are reached by `dataset::files`, with a client of their own.
//!
//! [`Web`], in `fleet_client`, makes the requests of crawl jobs. Before each, `admission` waits until the rate limits
//! that the whole fleet shares allow it (kept in [`common::store`]), `robots` checks it against the host's
//! `robots.txt`, and `key` adds the key of the Data API and spends its daily quota (`pacific_day`). Afterwards
//! `refusal` decides whether the host wants to be left alone, `unpack` decompresses the body, and `answer` is what the
//! caller gets. `host` tells kinds of hosts apart, and `robots_txt` reads such a file.
//!
//! Whatever a user or a site names by URL goes through the client of `public_client`, which connects to public
//! addresses only (`public_address`): [`Web`] is built on it, [`ImageFetcher`], in `image`, fetches the images that
//! users name, and `command_client` makes the few requests of a ranking. Only [`download()`], in `operator_download`,
//! is not: it takes the operator's URLs.
//!
//! Does not own what a body means. Invariants: no request starts before it is admitted, those for redirects and
//! for a `robots.txt` included; an admission is returned however the request ends, also when it is dropped; the key
//! is part of no URL, log line or error, and is sent only to the Data API.

mod admission;
mod answer;
#[cfg(feature = "ranking")]
mod command_client;
mod fleet_client;
mod host;
mod image;
mod key;
mod operator_download;
mod pacific_day;
mod public_address;
mod public_client;
mod refusal;
mod robots;
mod robots_txt;
mod unpack;

pub(crate) use self::fleet_client::LIMIT;
pub use self::{
    answer::{Answer, WebError},
    fleet_client::Web,
    host::HostKind,
    image::ImageFetcher,
    operator_download::download,
    public_client::FetchError,
};
#[cfg(feature = "ranking")]
pub(crate) use self::{command_client::Visit, public_client::user_agent};
