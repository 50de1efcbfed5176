//! The broker: publishing and consuming jobs over RabbitMQ.
//!
//! Owns connections, publishing, consuming and the declaration of the [topology](crate::topology), and is the only
//! module that uses the `lapin` crate. It does not decide when a job is retried or how its result is stored.
//!
//! Invariants:
//! - Delivery is at least once.
//! - Publishing and consuming have separate connections: RabbitMQ blocks a connection that publishes during a memory
//!   or disk alarm, and acknowledgements must still get through.
//! - Every connect declares the topology and sets the prefetch.
//! - Lost connections are replaced here, not by lapin's automatic recovery.
//! - The password is never printed.
//!
//! Connections: `connection` opens them and declares the topology, `link` detects their loss, and `self_test` checks at
//! start that the broker supports the job protocol. Publishing: `publisher` is the handle, `confirms` the task behind
//! it, and `returns` finds unroutable publishes. Consuming: `consumer` merges several queues into one stream, and
//! `delivery` acknowledges. Messages: `message`, its encoding of jobs in `codec`, and `dead_letter`.

mod codec;
mod confirms;
mod connection;
mod consumer;
mod dead_letter;
mod delivery;
mod link;
mod message;
mod publisher;
mod returns;
mod self_test;

use std::time::Duration;

use secrecy::SecretString;

use crate::{ca_certificates::CaCertificates, job::envelope::EnvelopeError};

pub use self::{
    consumer::{Consumer, ReconnectHandle, Subscription},
    dead_letter::DeadLetterInfo,
    delivery::{Delivery, DeliveryLost, Receipt},
    message::Message,
    publisher::{Publisher, QueueLoad},
    self_test::probe,
};

/// Connection settings.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `amqp://` or `amqps://` URL, with credentials and virtual host.
    pub url: SecretString,
    /// CA certificates to verify the broker with over `amqps://`; `None` uses the system's.
    pub ca_certificates: Option<CaCertificates>,
    /// Name of this program: `app_id` of its messages, and part of its connections' names.
    pub name: String,
    /// Time limit for opening a connection.
    pub connect_timeout: Duration,
    /// Time limit of a publish, including the wait for a broker that is unreachable or blocks publishers.
    pub publish_timeout: Duration,
    /// Maximum number of publishes in flight.
    pub publish_window: usize,
}

impl BrokerConfig {
    /// Uses the default timeouts (10 s to connect, 30 s to publish) and a window of 1024.
    #[must_use]
    pub fn new(url: SecretString, name: impl Into<String>) -> Self {
        Self {
            url,
            ca_certificates: None,
            name: name.into(),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            publish_window: 1024,
        }
    }

    /// Trusts only these CA certificates, if given.
    #[must_use]
    pub fn with_ca_certificates(self, ca_certificates: Option<CaCertificates>) -> Self {
        Self { ca_certificates, ..self }
    }
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL is invalid.
    #[error("the RabbitMQ URL is invalid: {0} (expected amqp://USER:PASSWORD@HOST:5672/VHOST)")]
    Url(String),
    /// The broker rejects the user, the password or the user's access to the virtual host.
    #[error("RabbitMQ at {address} rejected user '{user}': {reason}")]
    Denied {
        /// Host and port.
        address: String,
        user: String,
        reason: String,
    },
    /// The broker's certificate is not signed by a trusted CA, or is for another host.
    #[error(
        "the TLS certificate of RabbitMQ at {address} is not trusted: {reason} (set SUBWATCH_AMQP_CA_FILE to the PEM \
         file of its CA)"
    )]
    Untrusted {
        /// Host and port.
        address: String,
        /// Error of the TLS library.
        reason: String,
    },
    /// The virtual host does not exist.
    #[error("RabbitMQ at {address} has no virtual host '{vhost}': create it, or change SUBWATCH_AMQP_URL")]
    VhostMissing {
        /// Host and port.
        address: String,
        vhost: String,
    },
    /// An exchange or a queue exists with other arguments.
    #[error(
        "'{name}' exists on RabbitMQ with other arguments ({reason}): drain and delete it, then start again"
    )]
    Mismatch { name: String, reason: String },
    /// The broker is unreachable or closed the connection. Retryable.
    #[error("RabbitMQ at {address} is unreachable: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        reason: String,
    },
    /// The broker lacks a capability that the job protocol needs.
    #[error("RabbitMQ at {address} is not supported: {reason}; use version 3.10 or later with quorum queues")]
    Unsupported {
        /// Host and port.
        address: String,
        /// The missing capability.
        reason: String,
    },
}

impl BrokerError {
    /// Whether a later attempt may succeed without an operator's action.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Why a publish failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublishError {
    /// The job is too large to publish.
    #[error("the job cannot be published: {0}")]
    Oversized(EnvelopeError),
    /// No queue is bound: no worker consumes this route.
    #[error("no queue is bound to exchange '{exchange}' for '{routing_key}'")]
    Unroutable { exchange: String, routing_key: String },
    /// The queue is full.
    #[error("the queue for '{routing_key}' on exchange '{exchange}' is full")]
    Full { exchange: String, routing_key: String },
    /// The broker did not confirm in time. The message may still arrive.
    #[error("RabbitMQ did not confirm the publish within {0:?}")]
    Timeout(Duration),
    /// The connection was lost before the broker confirmed. The message may have arrived.
    #[error("the connection to RabbitMQ was lost before the publish was confirmed")]
    Disconnected,
}

impl PublishError {
    /// Whether the same publish may succeed later without an operator's action.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Timeout(_) | Self::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_failures_are_retryable() {
        let (exchange, routing_key) = ("subwatch.jobs".to_owned(), "embed.v1".to_owned());
        let check = |error: PublishError, want| assert_eq!(error.is_retryable(), want, "{error}");
        check(PublishError::Oversized(EnvelopeError::TooLarge { bytes: 1 << 20 }), false);
        check(
            PublishError::Unroutable { exchange: exchange.clone(), routing_key: routing_key.clone() },
            false,
        );
        check(PublishError::Full { exchange, routing_key }, true);
        check(PublishError::Timeout(Duration::from_secs(30)), true);
        check(PublishError::Disconnected, true);
    }
}
