//! How requests of an S3 client travel: through a proxy of the environment only where that cannot read them.
//!
//! Owns nothing but that choice. `object_store` takes proxies from the environment for every request: session
//! tokens, signed requests and the answers of instance roles, which come over http, would pass through them in
//! clear. A proxy that `AWS_PROXY_URL` names is meant for the store and is used for everything.

use std::pin::Pin;

use common::proxy;
use object_store::{
    ClientConfigKey, ClientOptions, Result,
    client::{
        HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
    },
};
use url::Url;

/// A proxy that no host is reached through: naming one is the only way to keep those of the environment out.
const NO_PROXY_URL: &str = "http://no-proxy.invalid";
const EVERY_HOST: &str = "*,0.0.0.0/0,::/0";

/// Makes clients that choose for each request.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let reqwest = ReqwestConnector::default();
        let chosen = reqwest.connect(options)?;
        if options.get_config_value(&ClientConfigKey::ProxyUrl).is_some() {
            return Ok(chosen);
        }
        let direct = options.clone().with_proxy_url(NO_PROXY_URL).with_proxy_excludes(EVERY_HOST);
        Ok(HttpClient::new(Ways { direct: reqwest.connect(&direct)?, by_environment: chosen }))
    }
}

#[derive(Debug)]
struct Ways {
    direct: HttpClient,
    by_environment: HttpClient,
}

impl HttpService for Ways {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let may_be_carried = Url::parse(&request.uri().to_string()).is_ok_and(|url| proxy::may_carry(&url));
        let client = if may_be_carried { &self.by_environment } else { &self.direct };
        Box::pin(client.execute(request))
    }
}
