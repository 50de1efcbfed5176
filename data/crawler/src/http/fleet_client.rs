//! Requests of crawl jobs, made as one polite client would make them, however many workers there are.
//!
//! Owns the order of what happens to one request: admission, the key's header, sending, what the answer means, and
//! redirects. Each of those is decided in a module of its own.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::{
    config::{CrawlSettings, ImageSettings},
    store::Store,
};
use reqwest::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    admission::{Admissions, RequestSlot},
    answer::{Answer, WebError},
    host::{HostKind, Hosts, name_of},
    key::{self, ApiKey},
    public_client::{self, GuardedClient, REDIRECTS},
    refusal, robots,
    unpack::{packing, unpack},
};

/// How long a request and its answer may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Asks the web. Clones share everything but how long they wait.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
    /// Until when requests may wait for their place; for as long as it takes where nothing is said.
    waits_until: Option<Instant>,
}

struct Inner {
    store: Store,
    client: GuardedClient,
    hosts: Hosts,
    key: Option<ApiKey>,
    /// Who asks, for people.
    worker: String,
    /// How long a host that has had enough of us is left alone.
    pause: Duration,
    admissions: Admissions,
}

/// A request, of which redirects make more.
struct Ask<'a> {
    kind: HostKind,
    purpose: RequestPurpose,
    /// A body makes it a POST.
    body: Option<Bytes>,
    /// The validator of a copy that the caller has.
    etag: Option<&'a str>,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RequestPurpose {
    /// The contents of a site, which its `robots.txt` is about.
    Contents,
    /// That `robots.txt`.
    Robots,
}

/// What one request yielded.
enum Hop {
    Redirect(Url),
    Answer(Answer),
}

impl Web {
    /// Makes what the worker of this name asks the web with.
    #[must_use]
    pub fn new(crawl: &CrawlSettings, images: &ImageSettings, store: Store, worker: &str) -> Self {
        let user_agent = public_client::user_agent(crawl.crawl_contact.as_ref());
        let inner = Inner {
            admissions: Admissions::new(store.clone(), worker),
            store,
            client: GuardedClient::new(&images.fetch_allow, &user_agent, LIMIT),
            hosts: Hosts::new(crawl, images.max_image_bytes),
            key: ApiKey::new(crawl),
            worker: worker.to_owned(),
            pause: crawl.crawl_backoff(),
        };
        Self { inner: Arc::new(inner), waits_until: None }
    }

    /// The same, whose requests wait for their place until `ends` and no longer. One that has begun by then comes
    /// to its end.
    #[must_use]
    pub fn until(&self, ends: Instant) -> Self {
        Self { inner: self.inner.clone(), waits_until: Some(ends) }
    }

    /// Whether there is a key for the Data API.
    #[must_use]
    pub fn has_api_key(&self) -> bool {
        self.inner.key.is_some()
    }

    /// Gets `url`, following redirects; with the `etag` of a copy, the answer may be 304. Waits for its turn,
    /// which may take as long as others are before it. Cancel safe: a place is given back.
    ///
    /// The answer is a success, a 304, or a refusal that only its body explains: a status of 400 to 499 other
    /// than those that [`WebError`] knows.
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn get(&self, kind: HostKind, url: &Url, etag: Option<&str>) -> Result<Answer, WebError> {
        self.follow(&Ask { kind, purpose: RequestPurpose::Contents, body: None, etag }, url).await
    }

    /// Posts JSON to `url`. A redirect is an error; all else is as for [`Self::get`].
    ///
    /// # Errors
    /// See [`WebError`].
    pub async fn post_json(
        &self,
        kind: HostKind,
        url: &Url,
        body: &serde_json::Value,
    ) -> Result<Answer, WebError> {
        let body = Some(body.to_string().into());
        self.follow(&Ask { kind, purpose: RequestPurpose::Contents, body, etag: None }, url).await
    }

    /// Notes that the host of `url` has had enough of us, as a body said (a captcha, a page that asks for
    /// consent), and returns what to tell the job. What the head of an answer tells was noted already.
    pub async fn trouble(&self, url: &Url, reason: &str) -> WebError {
        let Inner { store, pause, worker, .. } = &*self.inner;
        let host = name_of(url);
        match store.back_off(&host, reason, *pause, worker).await {
            Ok(until_ms) => WebError::BackedOff { host, until_ms, reason: reason.to_owned() },
            Err(error) => error.into(),
        }
    }

    /// Notes that the Data API refuses the key for now, and returns what to tell the job.
    pub async fn quota_exceeded(&self) -> WebError {
        match &self.inner.key {
            Some(key) => key.exhaust(&self.inner.store).await,
            None => key::missing(),
        }
    }

    async fn follow(&self, ask: &Ask<'_>, url: &Url) -> Result<Answer, WebError> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            // Before anything is asked for it, a `robots.txt` least of all.
            self.inner.client.check(&url)?;
            let crawl_delay = match (ask.kind, ask.purpose) {
                (HostKind::Web, RequestPurpose::Contents) => {
                    let ask =
                        Ask { kind: HostKind::Web, purpose: RequestPurpose::Robots, body: None, etag: None };
                    let fetch = async |url: Url| Box::pin(self.follow(&ask, &url)).await;
                    let file = robots::file(&self.inner.store, &url, fetch).await?;
                    robots::check(&file, &url)?
                }
                _ => Duration::ZERO,
            };
            match self.hop(ask, &url, crawl_delay).await? {
                Hop::Answer(answer) => return Ok(answer),
                Hop::Redirect(target) if ask.body.is_none() => url = target,
                Hop::Redirect(target) => {
                    return Err(WebError::Refused(format!("{url} redirects a POST to {target}")));
                }
            }
        }
        Err(WebError::Malformed(format!("{url} is the last of more than {REDIRECTS} redirects")))
    }

    /// Sends one request once it may start.
    async fn hop(&self, ask: &Ask<'_>, url: &Url, crawl_delay: Duration) -> Result<Hop, WebError> {
        let request = self.request(ask, url)?;
        let mut limits = self.inner.hosts.limits(ask.kind);
        limits.min_interval = limits.min_interval.max(crawl_delay);
        let mut place = match self.waits_until {
            Some(ends) => timeout_at(ends, self.inner.admissions.admit(url, limits))
                .await
                .map_err(|_| WebError::time_slice_is_over())??,
            None => self.inner.admissions.admit(url, limits).await?,
        };
        let hop = self.send(ask.kind, request, &mut place).await;
        // Where this fails, dropping the place tries again.
        let _ = place.give_back().await;
        hop
    }

    async fn send(&self, kind: HostKind, request: Request, place: &mut RequestSlot) -> Result<Hop, WebError> {
        if let HostKind::Api { units } = kind {
            self.key()?.spend(&self.inner.store, units).await?;
        }
        let url = request.url().clone();
        let sent = self.inner.client.send(request).await;
        place.answered();
        self.judge(kind, &url, sent?, place).await
    }

    fn request(&self, ask: &Ask<'_>, url: &Url) -> Result<Request, WebError> {
        let method = if ask.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(method, url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(etag) = ask.etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        if let HostKind::Api { .. } = ask.kind {
            let (name, value) = self.key()?.header(url, &self.inner.client)?;
            headers.insert(name, value);
        }
        if let Some(body) = &ask.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        Ok(request)
    }

    fn key(&self) -> Result<&ApiKey, WebError> {
        self.inner.key.as_ref().ok_or_else(key::missing)
    }

    /// Decides what an answer is, and what it says about our rate.
    async fn judge(
        &self,
        kind: HostKind,
        url: &Url,
        answer: Response,
        place: &mut RequestSlot,
    ) -> Result<Hop, WebError> {
        if let Some(refusal) = refusal::of(kind, &answer) {
            return Err(place.refuse(url, refusal, self.inner.pause).await);
        }
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Err(WebError::Retryable(format!("{url} answers {status}")));
        }
        if let Some(target) = public_client::redirect(&answer)? {
            place.serves();
            return Ok(Hop::Redirect(target));
        }
        let max_bytes = self.inner.hosts.max_bytes(kind);
        let mut read = Answer::of_head(url, &answer);
        let packing = packing(url, &answer)?;
        let bytes = public_client::read(answer, max_bytes).await?;
        place.serves();
        match status {
            StatusCode::NOT_FOUND => Err(WebError::NotFound(format!("{url} answers {status}"))),
            StatusCode::GONE => Err(WebError::Gone(format!("{url} answers {status}"))),
            _ => {
                read.bytes = unpack(url, packing, bytes, max_bytes)?;
                if let HostKind::Api { .. } = kind {
                    read.bytes = self.key()?.hide(read.bytes);
                }
                Ok(Hop::Answer(read))
            }
        }
    }
}
