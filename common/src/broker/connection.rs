//! Opening a connection and declaring the topology over it.
//!
//! Owns the URL, the policy of reconnecting and the classification of lapin's errors. Does not own
//! what is published or consumed, or when a connection is lost (see `link`).

use std::{fmt, io, net::SocketAddr, time::Duration};

use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    runtime::default_runtime,
    tcp::{AsyncTcpStream, RustlsConnector},
    types::{AMQPValue, FieldTable},
    uri::{AMQPScheme, AMQPUri},
};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use url::{Host, Url};

use super::{BrokerConfig, BrokerError, link::Link};
use crate::topology::{self, Argument, Exchange, ExchangeKind, Queue};

/// Heartbeat asked for unless the URL names one: a dead peer is noticed after two.
const HEARTBEAT_SECONDS: u16 = 15;
/// Shortest and longest pause between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A connection that lived shorter than this is followed by a rest.
const SHORT_LIFE: Duration = Duration::from_secs(5);
const RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// How often waiting for a broker is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

const ACCESS_REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// What a connection is for; part of its name in the management interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Publish,
    Consume,
    Probe,
}

/// What to do about an error that waiting does not mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReconnectPolicy {
    /// Return it: somebody is starting this program and can mend it.
    ReturnPermanent,
    /// Try again all the same: the program is running, and an operator may mend it.
    RetryAll,
}

/// How to connect: the configuration, parsed.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: AMQPUri,
    /// Trusts the ca_certificates that were given; absent where those of the system count.
    connector: Option<RustlsConnector>,
    name: String,
    timeout: Duration,
}

/// Written by hand: the URI holds the password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let text = config.url.expose_secret();
        // lapin's own parser may quote the URL, password and all, so it is asked second.
        let url = Url::parse(text).map_err(|error| BrokerError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "amqp" | "amqps") || url.host().is_none() {
            return Err(BrokerError::Url("scheme or host is missing".to_owned()));
        }
        let mut uri: AMQPUri =
            text.parse().map_err(|_| BrokerError::Url("user, vhost or query is malformed".to_owned()))?;
        if let Some(Host::Ipv6(address)) = url.host() {
            // lapin takes an IPv6 address for a missing host.
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            // A trailing slash names the empty vhost, which nobody means.
            uri.vhost.push('/');
        }
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT_SECONDS));
        let given = config.ca_certificates.as_ref().filter(|_| uri.scheme == AMQPScheme::AMQPS);
        let connector = given.map(|ca_certificates| RustlsConnector::from(ca_certificates.client_config()));
        Ok(Self { uri, connector, name: config.name.clone(), timeout: config.connect_timeout })
    }

    /// Returns host and port.
    pub(super) fn address(&self) -> String {
        let authority = &self.uri.authority;
        if authority.host.contains(':') {
            format!("[{}]:{}", authority.host, authority.port)
        } else {
            format!("{}:{}", authority.host, authority.port)
        }
    }

    /// Connects and declares the fixed topology and `queues`, waiting for a broker that is down.
    pub(super) async fn connect(
        &self,
        purpose: Purpose,
        queues: &[Queue],
        policy: ReconnectPolicy,
    ) -> Result<Link, BrokerError> {
        let mut logged: Option<Instant> = None;
        let mut attempt = 0_u32;
        loop {
            let error = match self.open(purpose, queues).await {
                Ok(link) => {
                    if logged.is_some() {
                        tracing::info!("RabbitMQ at {} answers", self.address());
                    }
                    return Ok(link);
                }
                Err(error) if error.is_retryable() || policy == ReconnectPolicy::RetryAll => error,
                Err(error) => return Err(error),
            };
            let pause = pause(attempt, rand::random_range(0.5..1.0));
            attempt = attempt.saturating_add(1);
            if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                tracing::warn!("{error}, retrying in {pause:.1?}");
                logged = Some(Instant::now());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// After the broker refused something on a connection it had just accepted: returns the error where
    /// waiting does not mend it, else rests.
    pub(super) async fn wait_after_refusal(
        &self,
        error: &lapin::Error,
        policy: ReconnectPolicy,
    ) -> Result<(), BrokerError> {
        let error = self.classify(error);
        if !error.is_retryable() && policy == ReconnectPolicy::ReturnPermanent {
            return Err(error);
        }
        tracing::warn!("{error}, connecting again");
        wait_before_reconnecting(Duration::ZERO).await;
        Ok(())
    }

    async fn open(&self, purpose: Purpose, queues: &[Queue]) -> Result<Link, BrokerError> {
        let opening = async {
            let link = self.open_bare(purpose).await?;
            self.declare_all(&link, queues).await?;
            Ok(link)
        };
        tokio::time::timeout(self.timeout * 2, opening)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(&"declaring the topology takes too long")))
    }

    /// Connects once, declaring nothing.
    pub(super) async fn open_bare(&self, purpose: Purpose) -> Result<Link, BrokerError> {
        let name = format!("{} {purpose:?}", self.name).to_lowercase();
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        match tokio::time::timeout(self.timeout, self.dial(properties)).await {
            Ok(Ok(connection)) => Ok(Link::new(connection)),
            Ok(Err(error)) => Err(self.classify(&error)),
            Err(_) => Err(self.unreachable(&format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn dial(&self, properties: ConnectionProperties) -> lapin::Result<Connection> {
        let Some(connector) = self.connector.clone() else {
            return Connection::connect_uri(self.uri.clone(), properties).await;
        };
        // lapin's own way to name ca_certificates adds them to the system's.
        let dial = async move |uri: AMQPUri, runtime| {
            let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
            Ok(stream.into_rustls(&connector, host).await?)
        };
        Connection::connector(self.uri.clone(), default_runtime()?, dial, properties).await
    }

    async fn declare_all(&self, link: &Link, queues: &[Queue]) -> Result<(), BrokerError> {
        let channel = link.channel().await.map_err(|error| self.classify(&error))?;
        for exchange in topology::exchanges() {
            let declared = declare_exchange(&channel, &exchange).await;
            declared.map_err(|error| self.classify_declaration(&exchange.name, &error))?;
        }
        for queue in topology::queues().iter().chain(queues) {
            let declared = declare_queue(&channel, queue).await;
            declared.map_err(|error| self.classify_declaration(&queue.name, &error))?;
        }
        channel.close(200, "OK".into()).await.map_err(|error| self.classify(&error))
    }

    fn classify_declaration(&self, name: &str, error: &lapin::Error) -> BrokerError {
        match refusal(error) {
            Some((PRECONDITION_FAILED, reason)) => BrokerError::Mismatch { name: name.to_owned(), reason },
            _ => self.classify(error),
        }
    }

    pub(super) fn classify(&self, error: &lapin::Error) -> BrokerError {
        let (address, user) = (self.address(), self.uri.authority.userinfo.username.clone());
        match refusal(error) {
            Some((NOT_ALLOWED, reason)) if reason.contains("not found") => {
                BrokerError::VhostMissing { address, vhost: self.uri.vhost.clone() }
            }
            Some((ACCESS_REFUSED | NOT_ALLOWED, reason)) => BrokerError::Denied { address, user, reason },
            // What rustls says of a certificate it does not accept.
            None if matches!(error.kind(), ErrorKind::IOError(error) if error.kind() == io::ErrorKind::InvalidData) => {
                BrokerError::Untrusted { address, reason: error.to_string() }
            }
            _ => self.unreachable(error),
        }
    }

    pub(super) fn unreachable(&self, reason: &dyn ToString) -> BrokerError {
        BrokerError::Unreachable { address: self.address(), reason: reason.to_string() }
    }
}

/// Rests after a connection that did not live long, so that one that is lost over and over is not
/// replaced in a busy loop.
pub(super) async fn wait_before_reconnecting(life: Duration) {
    if life < SHORT_LIFE {
        tokio::time::sleep(RECONNECT_WAIT.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// The broker's reply code and words, where the error is its refusal.
fn refusal(error: &lapin::Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}

/// The pause after the `attempt`-th failure, counted from 0; `jitter` keeps a fleet from returning at once.
fn pause(attempt: u32, jitter: f64) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(LONGEST_PAUSE).mul_f64(jitter)
}

pub(super) async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    let kind = match exchange.kind {
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    };
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(exchange.name.as_str().into(), kind, options, FieldTable::default()).await
}

pub(super) async fn declare_queue(channel: &Channel, queue: &Queue) -> lapin::Result<()> {
    let name = queue.name.as_str();
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), table(&queue.arguments)).await?;
    for binding in &queue.bindings {
        let (exchange, routing_key) = (binding.exchange.as_str().into(), binding.routing_key.as_str().into());
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(name.into(), exchange, routing_key, options, arguments).await?;
    }
    Ok(())
}

fn table(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        table.insert((*name).into(), value);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, BrokerError> {
        Endpoint::new(&BrokerConfig::new(url.into(), "test"))
    }

    #[test]
    fn addresses_name_host_and_port_alone() {
        let check = |url: &str, want: &str| assert_eq!(endpoint(url).unwrap().address(), want);
        check("amqp://me:hunter2@rabbit:5673/jobs", "rabbit:5673");
        check("amqp://rabbit", "rabbit:5672");
        check("amqps://rabbit/%2f", "rabbit:5671");
        check("amqp://me:hunter2@[::1]:5672", "[::1]:5672");
        check("amqp://127.0.0.1:1/", "127.0.0.1:1");
    }

    #[test]
    fn bad_urls_are_refused_without_printing_them() {
        for url in [
            "",
            "rabbit:5672",
            "http://me:hunter2@rabbit/",
            "amqp:me:hunter2",
            "amqp://me:hunter2@rabbit?heartbeat=x",
        ] {
            let error = endpoint(url).unwrap_err();
            assert!(!error.is_retryable(), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn vhosts_are_decoded_and_default_to_the_root() {
        let check = |url: &str, want: &str| assert_eq!(endpoint(url).unwrap().uri.vhost, want);
        check("amqp://rabbit", "/");
        check("amqp://rabbit/", "/");
        check("amqp://rabbit/%2f", "/");
        check("amqp://rabbit/team%20a", "team a");
    }

    #[test]
    fn heartbeats_are_asked_for_unless_the_url_has_its_own() {
        let check = |url: &str, want| assert_eq!(endpoint(url).unwrap().uri.query.heartbeat, Some(want));
        check("amqp://rabbit", 15);
        check("amqp://rabbit?heartbeat=5", 5);
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let check = |attempt, want_ms| assert_eq!(pause(attempt, 1.0), Duration::from_millis(want_ms));
        check(0, 100);
        check(1, 200);
        check(5, 3200);
        check(6, 5000);
        check(u32::MAX, 5000);
        assert_eq!(pause(0, 0.5), Duration::from_millis(50));
    }
}
