//! Proxy selection of the S3 client: the environment's proxy is used only for requests that it cannot read.
//!
//! By default `object_store` sends every request through the environment's proxy, including those over plain
//! HTTP: session tokens, signed requests and instance-role credentials would pass through it unencrypted. A
//! proxy set by `AWS_PROXY_URL` is meant for the object store and is used for all requests.

use std::pin::Pin;

use common::proxy;
use object_store::{
    ClientConfigKey, ClientOptions, Result,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    },
};
use url::Url;

use super::bucket_keys;

/// A placeholder that [`EVERY_HOST`] excludes from use: setting a proxy is the only way to override the
/// environment's.
const NO_PROXY_URL: &str = "http://no-proxy.invalid";
const EVERY_HOST: &str = "*,0.0.0.0/0,::/0";

/// Creates clients that select direct or proxied transport for each request.
#[derive(Debug)]
pub(super) struct ProxySelector;

impl HttpConnector for ProxySelector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let reqwest = ReqwestConnector::default();
        let proxied = reqwest.connect(options)?;
        if options.get_config_value(&ClientConfigKey::ProxyUrl).is_some() {
            return Ok(HttpClient::new(SelectingClient { direct: proxied.clone(), proxied }));
        }
        let direct = options.clone().with_proxy_url(NO_PROXY_URL).with_proxy_excludes(EVERY_HOST);
        Ok(HttpClient::new(SelectingClient { direct: reqwest.connect(&direct)?, proxied }))
    }
}

#[derive(Debug)]
struct SelectingClient {
    direct: HttpClient,
    proxied: HttpClient,
}

impl HttpService for SelectingClient {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let use_proxy = Url::parse(&request.uri().to_string()).is_ok_and(|url| proxy::may_carry(&url));
        let client = if use_proxy { self.proxied.clone() } else { self.direct.clone() };
        let is_listing = bucket_keys::is_listing(request.uri());
        Box::pin(async move {
            let response = client.execute(request).await?;
            if is_listing && response.status().is_success() {
                return bucket_keys::mark_unusual(response).await;
            }
            Ok(response)
        })
    }
}
