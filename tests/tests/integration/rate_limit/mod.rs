//! Manners of the whole fleet, over a real Redis and a site that takes notes: several `Web`s, each over
//! connections of its own, stand for several workers.

mod backoffs;
mod model;
mod quota;
mod requests;
mod robots;
mod slots;

use std::time::{Duration, Instant};

use common::{
    config::{CrawlSettings, ImageSettings, Settings},
    ids::SubmissionId,
    store::{Admission, Lease, Limits, Store, StoreConfig, Verdict},
};
use crawler::http::{HostKind, Web};
use futures::future::join_all;
use tests::{
    environment::Servers,
    site::{Answer, Site, Visit},
};
use url::Url;

const KEY: &str = "hunter2-hunter2";

/// Workers that share a store and settings.
struct Fleet {
    prefix: String,
    settings: Settings,
}

impl Fleet {
    fn new(settings: Settings) -> Self {
        let settings = Settings {
            images: ImageSettings { fetch_allow: "localhost".to_owned(), ..settings.images },
            crawl: CrawlSettings { youtube_api_key: Some(KEY.into()), ..settings.crawl },
            ..settings
        };
        Self { prefix: format!("manners-{}:", SubmissionId::now()), settings }
    }

    /// A fleet that is as fast as may be.
    fn hasty() -> Self {
        Self::new(hasty())
    }

    async fn store(&self) -> Store {
        let url = Servers::from_environment().redis_url.as_str().into();
        let config = StoreConfig { url, ca_certificates: None, key_prefix: self.prefix.clone() };
        Store::connect(&config).await.expect("Redis answers")
    }

    async fn worker(&self, name: &str) -> Web {
        Web::new(&self.settings.crawl, &self.settings.images, self.store().await, name)
    }

    async fn workers(&self, count: usize) -> Vec<Web> {
        join_all((0..count).map(async |at| self.worker(&format!("worker-{at}")).await)).await
    }
}

fn hasty() -> Settings {
    let crawl = CrawlSettings {
        crawl_web_per_second: 1000.0,
        crawl_api_per_second: 1000.0,
        crawl_image_per_second: 1000.0,
        ..CrawlSettings::default()
    };
    Settings { crawl, ..Settings::default() }
}

fn at(site: &Site, path: &str) -> Url {
    Url::parse(&format!("http://localhost:{}{path}", site.port())).unwrap()
}

fn host(site: &Site) -> String {
    format!("localhost:{}", site.port())
}

async fn image_site() -> Site {
    Site::start(vec![("/a.jpg", Answer::image(b"image".to_vec()))]).await
}

fn limits(min_interval_ms: u64, concurrency: u32) -> Limits {
    let lease = Duration::from_secs(60);
    Limits { min_interval: Duration::from_millis(min_interval_ms), concurrency, lease }
}

/// Asks for a place as often as the store says.
async fn place(store: &Store, host: &str, limits: Limits) -> Lease {
    loop {
        match store.admit(host, limits, "here").await.unwrap() {
            Admission::Granted(lease) => return lease,
            Admission::Wait(time) => tokio::time::sleep(time).await,
            Admission::BackedOff { reason, .. } => panic!("paused: {reason}"),
        }
    }
}

/// Whether all places of a host are taken.
async fn is_full(store: &Store, host: &str, concurrency: u32) -> bool {
    loop {
        match store.admit(host, limits(0, concurrency), "here").await.unwrap() {
            Admission::Granted(lease) => {
                store.finish_request(&lease, &Verdict::Failed).await.unwrap();
                return false;
            }
            // Times are rounded up, so even without an interval the next request may be a moment away.
            Admission::Wait(time) if time <= Duration::from_millis(2) => tokio::time::sleep(time).await,
            Admission::Wait(_) => return true,
            Admission::BackedOff { reason, .. } => panic!("paused: {reason}"),
        }
    }
}

/// Has every worker get `url` as often as given, three requests at a time each.
async fn get_all(workers: &[Web], kind: HostKind, url: &Url, times: usize) {
    let rounds = workers.iter().flat_map(|web| [web; 3]).map(async |web| {
        for _ in 0..times {
            web.get(kind, url, None).await.unwrap();
        }
    });
    join_all(rounds).await;
}

fn arrivals(visits: &[Visit]) -> Vec<Instant> {
    let mut times: Vec<Instant> = visits.iter().map(|visit| visit.at).collect();
    times.sort();
    times
}
