//! Makes the requests of crawl jobs, under the fleet's rate limits.
//!
//! Owns the order of the steps: admission, API key, sending, classification of the response, redirects. Each step's
//! decision is in its own module.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use common::{
    config::{CrawlSettings, ImageSettings},
    job::crawl::Bases,
    store::Store,
};
use reqwest::{
    Method, Request, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{
    decompress::{content_encoding, decompress},
    host::{HostKind, Hosts, host_name, own_host},
    key::{self, ApiKey},
    public_client::{self, GuardedClient, MAX_REDIRECTS},
    rate_limiter::{RateLimiter, RequestSlot},
    response::{Response, WebError},
    robots, throttle,
};

/// Limit on a request and its response.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A client whose requests share the fleet's rate limits. Clones share everything except the admission deadline.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
    /// How long requests may wait for a slot; without a deadline, as long as it takes.
    admission_deadline: Option<Instant>,
    bases: Bases,
}

struct Inner {
    store: Store,
    client: GuardedClient,
    hosts: Hosts,
    key: Option<ApiKey>,
    worker: String,
    /// How long to back off from a host that blocks requests.
    backoff: Duration,
    rate_limiter: RateLimiter,
}

/// A request, repeated for each redirect.
struct RequestSpec<'a> {
    kind: HostKind,
    purpose: RequestPurpose,
    /// `None` makes it a GET, a body a POST.
    body: Option<Bytes>,
    /// ETag of the caller's copy.
    etag: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RequestPurpose {
    /// Content, which is subject to `robots.txt`.
    Contents,
    /// The `robots.txt` itself.
    Robots,
}

/// The result of one request.
enum Hop {
    Redirect(Url),
    Response(Response),
}

impl Web {
    #[must_use]
    pub fn new(crawl: &CrawlSettings, images: &ImageSettings, store: Store, worker: &str) -> Self {
        let user_agent = public_client::user_agent(crawl.crawl_contact.as_ref());
        let inner = Inner {
            rate_limiter: RateLimiter::new(store.clone(), worker),
            store,
            client: GuardedClient::new(&images.fetch_allow, &user_agent, REQUEST_TIMEOUT),
            hosts: Hosts::new(crawl, images.max_image_bytes),
            key: ApiKey::new(crawl),
            worker: worker.to_owned(),
            backoff: crawl.crawl_backoff(),
        };
        Self { inner: Arc::new(inner), admission_deadline: None, bases: Bases::default() }
    }

    /// Returns a client whose requests wait for a slot until `deadline`. A request that has started is not cut off.
    #[must_use]
    pub fn with_admission_deadline(&self, deadline: Instant) -> Self {
        Self { admission_deadline: Some(deadline), ..self.clone() }
    }

    /// Returns a client for a crawl below `bases`. What a host does to requests below a base that is not the default
    /// delays only requests of the same kind below the same base: a user chose it, and may choose any.
    #[must_use]
    pub fn with_bases(&self, bases: &Bases) -> Self {
        Self { bases: bases.clone(), ..self.clone() }
    }

    #[must_use]
    pub fn has_api_key(&self) -> bool {
        self.inner.key.is_some()
    }

    /// Gets `url`, following redirects; with an `etag`, the response may be 304. Waits for a slot, behind all earlier
    /// requests to the host. Cancel safe: the slot is released.
    ///
    /// The response is a success, a 304, or a status of 400 to 499 that is not a [`WebError`]: its body says why.
    pub async fn get(&self, kind: HostKind, url: &Url, etag: Option<&str>) -> Result<Response, WebError> {
        self.follow(&RequestSpec { kind, purpose: RequestPurpose::Contents, body: None, etag }, url).await
    }

    /// Posts JSON to `url`, like [`Self::get`] except that a redirect is an error.
    pub async fn post_json(
        &self,
        kind: HostKind,
        url: &Url,
        body: &serde_json::Value,
    ) -> Result<Response, WebError> {
        let body = Some(body.to_string().into());
        self.follow(&RequestSpec { kind, purpose: RequestPurpose::Contents, body, etag: None }, url).await
    }

    /// Starts a back-off from the host of `url` because of a response body (a captcha, a consent page), and returns
    /// the error for the job. Status and headers are handled by [`Self::get`].
    pub async fn back_off(&self, kind: HostKind, url: &Url, reason: &str) -> WebError {
        let Inner { store, backoff, worker, .. } = &*self.inner;
        let host = own_host(kind, url, &self.bases).unwrap_or_else(|| host_name(url));
        match store.back_off(&host, reason, *backoff, worker).await {
            Ok(until_ms) => WebError::BackedOff { host, until_ms, reason: reason.to_owned() },
            Err(error) => error.into(),
        }
    }

    /// Records that the Data API reports the key's quota as used up, and returns the error for the job.
    pub async fn mark_quota_exceeded(&self) -> WebError {
        match &self.inner.key {
            Some(key) => key.mark_exhausted(&self.inner.store).await,
            None => key::missing_key(),
        }
    }

    async fn follow(&self, spec: &RequestSpec<'_>, url: &Url) -> Result<Response, WebError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            // Check the address before requesting anything from the host, robots.txt included.
            self.inner.client.check(&url)?;
            let crawl_delay = match (spec.kind, spec.purpose) {
                (HostKind::Web, RequestPurpose::Contents) => {
                    let spec = RequestSpec {
                        kind: HostKind::Web,
                        purpose: RequestPurpose::Robots,
                        body: None,
                        etag: None,
                    };
                    let fetch = async |url: Url| Box::pin(self.follow(&spec, &url)).await;
                    let file = robots::file(&self.inner.store, &url, fetch).await?;
                    robots::check(&file, &url)?
                }
                _ => Duration::ZERO,
            };
            match self.hop(spec, &url, crawl_delay).await? {
                Hop::Response(response) => return Ok(response),
                Hop::Redirect(target) if spec.body.is_none() => url = target,
                Hop::Redirect(target) => {
                    return Err(WebError::Refused(format!("{url} redirects a POST to {target}")));
                }
            }
        }
        Err(WebError::Malformed(format!("more than {MAX_REDIRECTS} redirects, the last to {url}")))
    }

    /// Waits for a slot and sends one request.
    async fn hop(&self, spec: &RequestSpec<'_>, url: &Url, crawl_delay: Duration) -> Result<Hop, WebError> {
        let request = self.request(spec, url)?;
        let mut limits = self.inner.hosts.limits(spec.kind);
        limits.min_interval = limits.min_interval.max(crawl_delay);
        let admission = self.inner.rate_limiter.admit(url, limits, own_host(spec.kind, url, &self.bases));
        let mut slot = match self.admission_deadline {
            Some(deadline) => {
                timeout_at(deadline, admission).await.map_err(|_| WebError::TimeSliceEnded)??
            }
            None => admission.await?,
        };
        let hop = self.send(spec.kind, request, &mut slot).await;
        // If this fails, dropping the slot tries again.
        let _ = slot.release().await;
        hop
    }

    async fn send(&self, kind: HostKind, request: Request, slot: &mut RequestSlot) -> Result<Hop, WebError> {
        if let HostKind::Api { units } = kind {
            self.key()?.spend(&self.inner.store, units).await?;
        }
        let url = request.url().clone();
        let sent = self.inner.client.send(request).await;
        slot.response_started();
        self.classify(kind, &url, sent?, slot).await
    }

    fn request(&self, spec: &RequestSpec<'_>, url: &Url) -> Result<Request, WebError> {
        let method = if spec.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(method, url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(etag) = spec.etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(IF_NONE_MATCH, etag);
        }
        if let HostKind::Api { .. } = spec.kind {
            let (name, value) = self.key()?.header(url, &self.inner.client)?;
            headers.insert(name, value);
        }
        if let Some(body) = &spec.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        Ok(request)
    }

    fn key(&self) -> Result<&ApiKey, WebError> {
        self.inner.key.as_ref().ok_or_else(key::missing_key)
    }

    /// Decides what a response means for the request and for the host's rate limit.
    async fn classify(
        &self,
        kind: HostKind,
        url: &Url,
        response: reqwest::Response,
        slot: &mut RequestSlot,
    ) -> Result<Hop, WebError> {
        if let Some(throttle) = throttle::detect(kind, &response) {
            return Err(slot.throttle(throttle, self.inner.backoff).await);
        }
        let status = response.status();
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Err(WebError::Retryable(format!("{url} returned {status}")));
        }
        if let Some(target) = public_client::redirect(&response)? {
            slot.mark_ok();
            return Ok(Hop::Redirect(target));
        }
        let max_bytes = self.inner.hosts.max_bytes(kind);
        let mut read = Response::from_head(url, &response);
        let encoding = content_encoding(url, &response)?;
        let bytes = public_client::read(response, max_bytes).await?;
        slot.mark_ok();
        match status {
            StatusCode::NOT_FOUND => Err(WebError::NotFound(format!("{url} returned {status}"))),
            StatusCode::GONE => Err(WebError::Gone(format!("{url} returned {status}"))),
            _ => {
                read.bytes = decompress(url, encoding, bytes, max_bytes)?;
                if let HostKind::Api { .. } = kind {
                    read.bytes = self.key()?.redact(read.bytes);
                }
                Ok(Hop::Response(read))
            }
        }
    }
}
