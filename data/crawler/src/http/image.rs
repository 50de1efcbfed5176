//! Fetches images by URL for users, following redirects. [`public_client`] decides which URLs are allowed.
//!
//! The link of a YouTube video stands for its thumbnail: the largest variant, without letterbox bars, as a crawl takes
//! it.

use std::time::Duration;

use images::{decode::FILE_EXTENSIONS, letterbox};
use reqwest::{Method, Request, Response};
use url::Url;

use super::public_client::{self, FetchError, GuardedClient, MAX_REDIRECTS};
use crate::youtube::{
    ids::{Reference, VideoId, is_youtube_link},
    thumbnail::{self, ThumbnailResponse, Variant},
};

/// Limit on one request.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// YouTube's host of thumbnails.
const THUMBNAIL_BASE: &str = "https://i.ytimg.com/";

pub struct ImageFetcher {
    client: GuardedClient,
    max_bytes: u64,
    thumbnail_base: String,
}

impl ImageFetcher {
    /// `allowed` lists hosts that need not have a public address, separated by commas.
    #[must_use]
    pub fn new(allowed: &str, max_bytes: u64) -> Self {
        Self {
            client: GuardedClient::new(allowed, &public_client::user_agent(None), FETCH_TIMEOUT),
            max_bytes,
            thumbnail_base: THUMBNAIL_BASE.to_owned(),
        }
    }

    /// Takes the thumbnails of videos from another site.
    #[must_use]
    pub fn with_thumbnail_base(self, base: &Url) -> Self {
        Self { thumbnail_base: base.to_string(), ..self }
    }

    /// Fetches an image, or the thumbnail of a YouTube video.
    pub async fn fetch(&self, text: &str) -> Result<Vec<u8>, FetchError> {
        let url = public_client::parse(text)?;
        self.client.check(&url)?;
        if !is_youtube_link(&url) || is_named_as_image(&url) {
            let response = self.get(url).await?;
            let (url, status) = (response.url().clone(), response.status());
            if !status.is_success() {
                return Err(FetchError::Failed(format!("{url} returned {status}")));
            }
            let bytes = public_client::read(response, self.max_bytes).await?;
            return if bytes.is_empty() {
                Err(FetchError::Failed(format!("{url} is empty")))
            } else {
                Ok(bytes)
            };
        }
        match text.parse().and_then(Reference::video) {
            Ok(video) => self.fetch_thumbnail(&video).await,
            Err(error) => Err(FetchError::Failed(format!("{error}: name a video or an image"))),
        }
    }

    async fn fetch_thumbnail(&self, video: &VideoId) -> Result<Vec<u8>, FetchError> {
        for variant in Variant::BEST_FIRST {
            let url = public_client::parse(&variant.url(&self.thumbnail_base, video))?;
            let response = self.get(url.clone()).await?;
            let status = response.status().as_u16();
            let bytes = public_client::read(response, self.max_bytes).await?;
            match thumbnail::classify(status, &bytes) {
                ThumbnailResponse::Image(..) if variant.may_have_bars() => {
                    return Ok(without_bars(bytes).await);
                }
                ThumbnailResponse::Image(..) => return Ok(bytes),
                ThumbnailResponse::Missing => {}
                ThumbnailResponse::Blocked(status) => {
                    return Err(FetchError::Failed(format!("{url} returned {status}")));
                }
                ThumbnailResponse::Failed(why) => return Err(FetchError::Failed(format!("{url}: {why}"))),
            }
        }
        Err(FetchError::Failed(format!("video {video} has no thumbnail; it may not exist")))
    }

    /// Sends a request, also to the targets of redirects.
    async fn get(&self, mut url: Url) -> Result<Response, FetchError> {
        let first = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.send(Request::new(Method::GET, url.clone())).await?;
            match public_client::redirect(&response)? {
                Some(target) => url = target,
                None => return Ok(response),
            }
        }
        Err(FetchError::Failed(format!("'{first}' redirects more than {MAX_REDIRECTS} times")))
    }
}

fn is_named_as_image(url: &Url) -> bool {
    let extension = url.path().rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    extension.is_some_and(|extension| FILE_EXTENSIONS.contains(&extension.as_str()))
}

/// Crops a thumbnail. A damaged one stays as it is: decoding it fails with its reason.
async fn without_bars(bytes: Vec<u8>) -> Vec<u8> {
    let cropped = tokio::task::spawn_blocking(move || {
        let cropped = letterbox::crop_bars(&bytes).ok().flatten();
        cropped.map_or(bytes, |cropped| cropped.jpeg)
    });
    cropped.await.expect("cropping does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways to write addresses that are not public, and URLs that are no addresses on the web.
    const FORMS: &[&str] = &[
        // Loopback: decimal, octal, hexadecimal, short, mixed, with other digits and dots.
        "http://127.0.0.1/",
        "http://127.0.0.1:6379/",
        "http://127.0.0.1:80/",
        "https://127.0.0.1:443/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.255.255.254/",
        "http://2130706433/",
        "http://2130706433./",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.0.0.01/",
        "http://0x7f000001/",
        "http://0x7F.0.0.1/",
        "http://0x7f.1/",
        "http://0x7f.0x0.0x0.0x1/",
        "http://0177.0x0.1/",
        "http://%31%32%37.0.0.1/",
        "http://１２７.０.０.１/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://127．0．0．1/",
        "http://127｡0｡0｡1/",
        "http:127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:///127.0.0.1/",
        " http://127.0.0.1/ ",
        "ht\ttp://127.0.0.1/",
        "HTTP://127.0.0.1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://0x0/",
        // Names of this machine.
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://localhost:8470/",
        "http://ｌocalhost/",
        // IPv6: loopback, mapped, compatible, translated, tunnelled, link-local with zones, local.
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:10.0.0.1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://[2001:0:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[fec0::1]/",
        "http://[fc00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[ff02::1]/",
        "http://[2001:db8::1]/",
        "http://[100::1]/",
        // Metadata services and other private networks.
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.170.2/v2/credentials",
        "http://168.63.129.16/machine/",
        "http://[::ffff:168.63.129.16]/",
        "http://100.100.100.200/latest/",
        "http://192.0.0.192/opc/v1/",
        "http://10.0.0.1/",
        "http://012.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://192.88.99.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        // Credentials, which also hide the host.
        "http://example.com@127.0.0.1/",
        "http://example.com:80@127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "http://:x@example.com/",
        "http://example.com%40127.0.0.1/",
        // Not the web.
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "ftp://example.com/a",
        "gopher://127.0.0.1:6379/_x",
        "dict://127.0.0.1:11211/",
        "unix:/run/x.sock",
        "data:image/png;base64,AAAA",
        "jar:http://127.0.0.1!/",
        "//127.0.0.1/",
        "127.0.0.1/",
        "http://",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://exa mple.com/",
    ];

    #[tokio::test]
    async fn no_form_of_an_address_reaches_a_private_network() {
        let fetcher = ImageFetcher::new("", 1000);
        for form in FORMS {
            let refused = fetcher.fetch(form).await.unwrap_err();
            // Some resolvers do not know `localhost.`.
            let is_unknown = form.ends_with("localhost./") && matches!(refused, FetchError::Failed(_));
            assert!(matches!(refused, FetchError::Refused(_)) || is_unknown, "{form}: {refused}");
            // The target of a redirect passes the same check, unless only name resolution tells.
            if let Ok(target) = Url::parse("http://8.8.8.8/a").unwrap().join(form)
                && !matches!(target.host(), Some(url::Host::Domain(_)) | None)
                && target.host_str() != Some("8.8.8.8")
            {
                assert!(fetcher.client.check(&target).is_err(), "{form}: {target}");
            }
        }
    }

    #[tokio::test]
    async fn non_public_address_is_refused_before_connecting() {
        let fetcher = ImageFetcher::new("", 1000);
        for url in [
            "http://127.0.0.1/a.jpg",
            "http://localhost/a.jpg",
            "http://[::1]/a.jpg",
            "http://169.254.169.254/latest",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(
                matches!(&refused, FetchError::Refused(text) if text.contains("does not have a public address")),
                "{url}: {refused}"
            );
        }
        let long = fetcher.fetch(&format!("http://8.8.8.8/{}", "a".repeat(5000))).await.unwrap_err();
        assert_eq!(long.to_string(), "the URL has 5015 bytes; the limit is 4096");
        for url in [
            "ftp://example.com/a",
            "file:///etc/passwd",
            "http://me:secret@example.com/",
            "https://me:secret@youtube.com/x",
            "no url",
        ] {
            let refused = fetcher.fetch(url).await.unwrap_err();
            assert!(matches!(refused, FetchError::Refused(_)), "{url}: {refused}");
            assert!(!refused.to_string().contains("secret"));
        }
    }
}
