//! A site that speaks as YouTube does, for what reads whole datasets from it.
//!
//! Owns a seeded world of channels and videos and every way of asking about it: HTML pages, the API that pages
//! use, the Data API, thumbnails, and a ranking that only a browser can read. It can go wrong in many ways
//! ([`Fault`]), and keeps a journal of what it was asked ([`Requests`]). Does not own any content of the real
//! site; shapes are as the real ones were recorded in January and May 2026. Invariants: an answer depends on
//! the world, the request and the faults alone; the site ends with its handle.

mod album;
mod channel;
mod chips;
mod content;
mod counts;
mod data_api;
mod exchange;
mod faults;
mod images;
mod innertube;
mod items;
mod journal;
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
mod spoil;
mod tab;
#[cfg(test)]
mod tests;
mod tokens;
mod words;
mod world;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use self::{album::Album, content::Content, journal::Journal, quota::Quota, site::Site};
pub use self::{
    channel::{
        CATEGORIES, Channel, ChipLayout, ContinuationLayout, HeaderLayout, ItemLayout, KOREAN_CATEGORIES,
        Kind, Missing, Video,
    },
    exchange::Host,
    faults::{Fault, Faults, Place, RetryAfter, Rule, Turns, Wall},
    journal::{Request, Requests},
    tab::PAGE_ITEMS,
    world::{Angles, InitialData, KEY, NOW, Order, World},
};

/// A running site.
#[derive(Debug)]
pub struct FakeSite {
    address: SocketAddr,
    site: Arc<Site>,
    server: AbortOnDropHandle<()>,
}

impl FakeSite {
    /// Starts a site on loopback, at a port that is free.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(world: World, faults: Faults) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        Self::serve(listener, world, faults)
    }

    /// Starts a site on a socket that listens already.
    ///
    /// # Panics
    /// When the socket does not listen, or outside a runtime.
    #[must_use]
    pub fn serve(listener: TcpListener, world: World, faults: Faults) -> Self {
        let address = listener.local_addr().expect("it listens");
        let content = Content::of(&world);
        let journal = Journal::new();
        let (quota, album) = (Quota::default(), Album::default());
        let site = Arc::new(Site { world, content, faults, journal, quota, album });
        let server = AbortOnDropHandle::new(tokio::spawn(server::serve(listener, site.clone())));
        Self { address, site, server }
    }

    /// Its address, for all hosts that it stands for.
    ///
    /// # Panics
    /// Never: a socket's address is one of a URL.
    #[must_use]
    pub fn base(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket's address is one of a URL")
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it is made from.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.site.world
    }

    /// Everything that is true there.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.site.content.channels
    }

    /// What goes wrong; rules may be added and ended at any time.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.site.faults
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.site.journal.after(0)
    }

    /// The requests after the first so many, which were counted before.
    #[must_use]
    pub fn requests_after(&self, skipped: usize) -> Requests {
        self.site.journal.after(skipped)
    }

    /// Units of the Data API that a key has used.
    #[must_use]
    pub fn units_used(&self, key: &str) -> u64 {
        self.site.quota.used(key)
    }

    /// Gives all keys their units back, as midnight does.
    pub fn give_units_back(&self) {
        self.site.quota.give_back();
    }

    /// Whether it still serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        !self.server.is_finished()
    }
}
