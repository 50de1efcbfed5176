//! Opening connections and declaring the topology.
//!
//! Owns the URL, the reconnect policy and the classification of lapin's errors. Loss of a connection is detected in
//! `link`.

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

/// Heartbeat interval unless the URL sets one. RabbitMQ considers a peer dead after two missed heartbeats.
const HEARTBEAT_SECONDS: u16 = 15;
/// Bounds of the back-off between attempts to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// After a connection that was open for less than this, reconnecting is delayed by up to [`RECONNECT_DELAY`].
const STABLE_AFTER: Duration = Duration::from_secs(5);
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Interval of the log lines while RabbitMQ is unreachable.
const LOG_EVERY: Duration = Duration::from_secs(5);

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// What a connection is for; part of its name in the management interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Publish,
    Consume,
    Probe,
}

/// What to do about an error that retrying does not fix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReconnectPolicy {
    /// Return it: an operator is starting this program and sees the error.
    ReturnPermanent,
    /// Retry anyway: the program is running, and an operator may fix the cause meanwhile.
    RetryAll,
}

/// How to connect: the configuration, parsed.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: AMQPUri,
    /// Trusts only the configured CA certificates; `None` trusts the system's.
    connector: Option<RustlsConnector>,
    name: String,
    timeout: Duration,
}

/// Not derived: the URI contains the password.
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
        // Errors of lapin's parser may quote the URL with its password, so `url` checks it first.
        let url = Url::parse(text).map_err(|error| BrokerError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "amqp" | "amqps") || url.host().is_none() {
            return Err(BrokerError::Url("scheme or host is missing".to_owned()));
        }
        let mut uri: AMQPUri =
            text.parse().map_err(|_| BrokerError::Url("user, vhost or query is malformed".to_owned()))?;
        if let Some(Host::Ipv6(address)) = url.host() {
            // lapin parses an IPv6 address as a missing host.
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            // A trailing slash names the empty vhost, which is hardly intended.
            uri.vhost.push('/');
        }
        uri.query.heartbeat = uri.query.heartbeat.or(Some(HEARTBEAT_SECONDS));
        let custom = config.ca_certificates.as_ref().filter(|_| uri.scheme == AMQPScheme::AMQPS);
        let connector = custom.map(|ca_certificates| RustlsConnector::from(ca_certificates.client_config()));
        Ok(Self { uri, connector, name: config.name.clone(), timeout: config.connect_timeout })
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        let authority = &self.uri.authority;
        if authority.host.contains(':') {
            format!("[{}]:{}", authority.host, authority.port)
        } else {
            format!("{}:{}", authority.host, authority.port)
        }
    }

    /// Connects and declares the fixed topology and `queues`. Retries while RabbitMQ is unreachable.
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
                        tracing::info!("connected to RabbitMQ at {}", self.address());
                    }
                    return Ok(link);
                }
                Err(error) if error.is_retryable() || policy == ReconnectPolicy::RetryAll => error,
                Err(error) => return Err(error),
            };
            let delay = backoff(attempt, rand::random_range(0.5..1.0));
            attempt = attempt.saturating_add(1);
            if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                tracing::warn!("{error}; retrying in {delay:.1?}");
                logged = Some(Instant::now());
            }
            tokio::time::sleep(delay).await;
        }
    }

    /// Handles an error on a connection that was just opened: returns it if it is permanent and `policy` says so, else
    /// waits before the next attempt.
    pub(super) async fn wait_after_refusal(
        &self,
        error: BrokerError,
        policy: ReconnectPolicy,
    ) -> Result<(), BrokerError> {
        if !error.is_retryable() && policy == ReconnectPolicy::ReturnPermanent {
            return Err(error);
        }
        tracing::warn!("{error}; reconnecting");
        wait_before_reconnecting(Duration::ZERO).await;
        Ok(())
    }

    /// Waits for `calls` on a connection, until it is lost or does not answer in time: lapin's calls may stay pending.
    pub(super) async fn answered<T>(
        &self,
        link: &Link,
        calls: impl Future<Output = T>,
    ) -> Result<T, BrokerError> {
        tokio::select! {
            answer = calls => Ok(answer),
            () = link.lost() => Err(self.unreachable(&link.reason())),
            () = tokio::time::sleep(self.timeout * 2) => {
                Err(self.unreachable(&format!("no answer within {:?}", self.timeout * 2)))
            }
        }
    }

    async fn open(&self, purpose: Purpose, queues: &[Queue]) -> Result<Link, BrokerError> {
        let opening = async {
            let link = self.open_bare(purpose).await?;
            self.declare_all(&link, queues).await?;
            Ok(link)
        };
        tokio::time::timeout(self.timeout * 2, opening).await.unwrap_or_else(|_| {
            Err(self.unreachable(&format!("the topology was not declared within {:?}", self.timeout * 2)))
        })
    }

    /// Connects once, declaring nothing.
    pub(super) async fn open_bare(&self, purpose: Purpose) -> Result<Link, BrokerError> {
        let name = format!("{} {purpose:?}", self.name).to_lowercase();
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        match tokio::time::timeout(self.timeout, self.dial(properties)).await {
            Ok(Ok(connection)) => Ok(Link::new(connection)),
            Ok(Err(error)) => Err(self.classify(&error)),
            Err(_) => Err(self.unreachable(&format!("no response within {:?}", self.timeout))),
        }
    }

    async fn dial(&self, properties: ConnectionProperties) -> lapin::Result<Connection> {
        let Some(connector) = self.connector.clone() else {
            return Connection::connect_uri(self.uri.clone(), properties).await;
        };
        // lapin's own option for CA certificates adds them to the system's.
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
        match protocol_error(error) {
            Some((PRECONDITION_FAILED, reason)) => BrokerError::Mismatch { name: name.to_owned(), reason },
            _ => self.classify(error),
        }
    }

    pub(super) fn classify(&self, error: &lapin::Error) -> BrokerError {
        let (address, user) = (self.address(), self.uri.authority.userinfo.username.clone());
        match protocol_error(error) {
            Some((NOT_ALLOWED, reason)) if reason.contains("not found") => {
                BrokerError::VhostMissing { address, vhost: self.uri.vhost.clone() }
            }
            Some((ACCESS_REFUSED | NOT_ALLOWED, reason)) => BrokerError::Denied { address, user, reason },
            // rustls reports a rejected certificate as `InvalidData`.
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

/// Delays a reconnect after a short-lived connection, so that one that is lost repeatedly causes no busy loop.
pub(super) async fn wait_before_reconnecting(connected_for: Duration) {
    if connected_for < STABLE_AFTER {
        tokio::time::sleep(RECONNECT_DELAY.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

/// Whether the broker answered that a queue or exchange does not exist.
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    protocol_error(error).is_some_and(|(code, _)| code == NOT_FOUND)
}

/// The broker's reply code and text, if it closed the channel or connection.
fn protocol_error(error: &lapin::Error) -> Option<(u16, String)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().to_string())),
        _ => None,
    }
}

/// The back-off after failure number `attempt`, from 0; `jitter` keeps a fleet from reconnecting in lockstep.
fn backoff(attempt: u32, jitter: f64) -> Duration {
    MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(MAX_BACKOFF).mul_f64(jitter)
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
    fn address_is_host_and_port_only() {
        let check = |url: &str, want: &str| assert_eq!(endpoint(url).unwrap().address(), want);
        check("amqp://me:hunter2@rabbit:5673/jobs", "rabbit:5673");
        check("amqp://rabbit", "rabbit:5672");
        check("amqps://rabbit/%2f", "rabbit:5671");
        check("amqp://me:hunter2@[::1]:5672", "[::1]:5672");
        check("amqp://127.0.0.1:1/", "127.0.0.1:1");
    }

    #[test]
    fn invalid_url_is_rejected_without_being_printed() {
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
    fn vhost_is_decoded_and_defaults_to_slash() {
        let check = |url: &str, want: &str| assert_eq!(endpoint(url).unwrap().uri.vhost, want);
        check("amqp://rabbit", "/");
        check("amqp://rabbit/", "/");
        check("amqp://rabbit/%2f", "/");
        check("amqp://rabbit/team%20a", "team a");
    }

    #[test]
    fn heartbeat_of_the_url_overrides_the_default() {
        let check = |url: &str, want| assert_eq!(endpoint(url).unwrap().uri.query.heartbeat, Some(want));
        check("amqp://rabbit", 15);
        check("amqp://rabbit?heartbeat=5", 5);
    }

    #[test]
    fn backoff_doubles_up_to_a_limit() {
        let check = |attempt, want_ms| assert_eq!(backoff(attempt, 1.0), Duration::from_millis(want_ms));
        check(0, 100);
        check(1, 200);
        check(5, 3200);
        check(6, 5000);
        check(u32::MAX, 5000);
        assert_eq!(backoff(0, 0.5), Duration::from_millis(50));
    }
}
