//! Rate limits of the whole fleet, with a real Redis and a web server that logs requests. Several `Web`s,
//! each with its own connections, represent several workers.

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
    web_server::{ReceivedRequest, Response, WebServer},
};
use url::Url;

const KEY: &str = "hunter2-hunter2";

/// Workers with a common store and settings.
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
        Self { prefix: format!("rate-limit-{}:", SubmissionId::now()), settings }
    }

    /// Returns a fleet with rate limits too high to matter.
    fn unlimited() -> Self {
        Self::new(unlimited())
    }

    async fn store(&self) -> Store {
        let url = Servers::from_environment().redis_url.as_str().into();
        let config = StoreConfig { url, ca_certificates: None, key_prefix: self.prefix.clone() };
        Store::connect(&config).await.expect("Redis is available")
    }

    async fn worker(&self, name: &str) -> Web {
        Web::new(&self.settings.crawl, &self.settings.images, self.store().await, name)
    }

    async fn workers(&self, count: usize) -> Vec<Web> {
        join_all((0..count).map(async |at| self.worker(&format!("worker-{at}")).await)).await
    }
}

fn unlimited() -> Settings {
    let crawl = CrawlSettings {
        crawl_web_per_second: 1000.0,
        crawl_api_per_second: 1000.0,
        crawl_image_per_second: 1000.0,
        ..CrawlSettings::default()
    };
    Settings { crawl, ..Settings::default() }
}

fn at(site: &WebServer, path: &str) -> Url {
    Url::parse(&format!("http://localhost:{}{path}", site.port())).unwrap()
}

fn host(site: &WebServer) -> String {
    format!("localhost:{}", site.port())
}

async fn image_site() -> WebServer {
    WebServer::start(vec![("/a.jpg", Response::image(b"image".to_vec()))]).await
}

fn limits(min_interval_ms: u64, concurrency: u32) -> Limits {
    let lease = Duration::from_secs(60);
    Limits { min_interval: Duration::from_millis(min_interval_ms), concurrency, lease }
}

/// Acquires a request slot, waiting as long as the store says.
async fn acquire_slot(store: &Store, host: &str, limits: Limits) -> Lease {
    loop {
        match store.admit(host, limits, "here").await.unwrap() {
            Admission::Granted(lease) => return lease,
            Admission::Wait(time) => tokio::time::sleep(time).await,
            Admission::BackedOff { reason, .. } => panic!("backed off: {reason}"),
        }
    }
}

/// Returns whether all request slots of a host are taken.
async fn is_full(store: &Store, host: &str, concurrency: u32) -> bool {
    loop {
        match store.admit(host, limits(0, concurrency), "here").await.unwrap() {
            Admission::Granted(lease) => {
                store.finish_request(&lease, &Verdict::Failed).await.unwrap();
                return false;
            }
            // Wait times are rounded up, so a free slot may still be a moment away.
            Admission::Wait(time) if time <= Duration::from_millis(2) => tokio::time::sleep(time).await,
            Admission::Wait(_) => return true,
            Admission::BackedOff { reason, .. } => panic!("backed off: {reason}"),
        }
    }
}

/// Gets `url` `times` times in each of three concurrent loops per worker.
async fn get_all(workers: &[Web], kind: HostKind, url: &Url, times: usize) {
    let rounds = workers.iter().flat_map(|web| [web; 3]).map(async |web| {
        for _ in 0..times {
            web.get(kind, url, None).await.unwrap();
        }
    });
    join_all(rounds).await;
}

fn arrivals(requests: &[ReceivedRequest]) -> Vec<Instant> {
    let mut times: Vec<Instant> = requests.iter().map(|request| request.at).collect();
    times.sort();
    times
}
