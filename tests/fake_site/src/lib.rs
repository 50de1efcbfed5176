//! A fake YouTube site for tests and the demo.
//!
//! Serves a seeded world of channels and videos as HTML pages, through InnerTube (the API that pages use),
//! the Data API and thumbnails, plus a ranking that only a browser can read. Faults can be injected
//! ([`Fault`]), and all requests are logged ([`Requests`]). It has no content of the real site; response
//! shapes follow recordings from January and May 2026. Invariants: a response depends only on the world, the
//! request and the faults; dropping [`FakeSite`] stops the site.

mod channel;
mod chips;
mod content;
mod corruption;
mod counts;
mod data_api;
mod exchange;
mod faults;
mod image_cache;
mod images;
mod innertube;
mod items;
mod journal;
mod naming;
mod pages;
mod picture;
mod quota;
#[cfg(test)]
#[path = "../../src/real_data.rs"]
pub mod real_data;
mod refusals;
mod resources;
mod routes;
mod server;
mod site;
mod tab;
#[cfg(test)]
mod tests;
mod tokens;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

pub use self::{
    channel::{
        CATEGORIES, Channel, ChipLayout, ContinuationLayout, HeaderLayout, ItemLayout, KOREAN_CATEGORIES,
        Kind, MissingResponse, Video,
    },
    exchange::Host,
    faults::{Fault, Faults, Occurrences, RetryAfter, Rule, Scope, Wall},
    journal::{Request, Requests},
    tab::PAGE_ITEMS,
    world::{AngleBrackets, InitialData, KEY, NOW, Order, World},
};
use self::{content::Content, image_cache::ImageCache, journal::Journal, quota::Quota, site::Site};

/// A running site.
#[derive(Debug)]
pub struct FakeSite {
    address: SocketAddr,
    site: Arc<Site>,
    server: AbortOnDropHandle<()>,
}

impl FakeSite {
    /// Starts a site on a free loopback port.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(world: World, faults: Faults) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        Self::serve(listener, world, faults)
    }

    /// Starts a site on a listening socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn serve(listener: TcpListener, world: World, faults: Faults) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let content = Content::of(&world);
        let journal = Journal::new();
        let (quota, image_cache) = (Quota::default(), ImageCache::default());
        let site = Arc::new(Site { world, content, faults, journal, quota, image_cache });
        let server = AbortOnDropHandle::new(tokio::spawn(server::serve(listener, site.clone())));
        Self { address, site, server }
    }

    /// Returns the base URL, which is common to all hosts.
    #[must_use]
    pub fn base(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address is valid in a URL")
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    #[must_use]
    pub fn world(&self) -> &World {
        &self.site.world
    }

    /// Returns all channels with their videos.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.site.content.channels
    }

    /// Returns the fault rules, which may change at any time.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.site.faults
    }

    /// Returns all requests so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.site.journal.after(0)
    }

    /// Returns all requests after the first `skipped`.
    #[must_use]
    pub fn requests_after(&self, skipped: usize) -> Requests {
        self.site.journal.after(skipped)
    }

    /// Returns the Data API units that a key has used.
    #[must_use]
    pub fn units_used(&self, key: &str) -> u64 {
        self.site.quota.used(key)
    }

    /// Resets the quota of all keys, as happens at midnight.
    pub fn reset_quota(&self) {
        self.site.quota.reset();
    }

    #[must_use]
    pub fn is_serving(&self) -> bool {
        !self.server.is_finished()
    }
}
