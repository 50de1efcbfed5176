//! The broker: jobs in flight, over RabbitMQ.
//!
//! Owns connections, publishing, consuming and the declaration of the [topology](crate::topology), and is the only
//! module that names the `lapin` crate. Does not own what a job means, when it is retried or how its result is stored.
//! Invariants: delivery is at least once; publishing and consuming have a connection each, since a blocked publisher
//! would stop acknowledgements too; every connect declares the topology and sets the prefetch anew; a lost connection
//! is replaced here, never by lapin's own recovery; the password is never printed.
//!
//! - Connections: `connection` opens one and declares the topology over it, `link` knows when it is lost, and
//!   `self_test` probes at start that the broker does what the job protocol needs.
//! - Publishing: `publisher` is the handle, `confirms` the task behind it, which pairs confirms with publishes, and
//!   `returns` finds out which of them no queue took.
//! - Consuming: `consumer` makes one stream of several queues, `delivery` is a received message until its
//!   acknowledgement.
//! - Messages: `message` holds properties, headers and body, `codec` makes a job of it and back, and `dead_letter` the
//!   message that hands a discarded job over.

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

use crate::{certificate_authorities::Authorities, job::envelope::EnvelopeError};

pub use self::{
    consumer::{Consumer, Renewal, Subscription},
    dead_letter::DeadNote,
    delivery::{Delivery, DeliveryLost, Receipt},
    message::Message,
    publisher::Publisher,
    self_test::probe,
};

/// Where RabbitMQ is and how patient to be with it.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `amqp://` or `amqps://` URL, with credentials and virtual host.
    pub url: SecretString,
    /// Who must vouch for the broker over `amqps://`; those of the system where none are given.
    pub authorities: Option<Authorities>,
    /// Name of this program: the messages' `app_id`, and part of the connections' names.
    pub name: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a publish may take, waiting for a broker that is down or blocked included.
    pub publish_timeout: Duration,
    /// How many publishes may be in flight at once.
    pub publish_window: usize,
}

impl BrokerConfig {
    /// Makes a configuration with the usual time-outs (10 s to connect, 30 s to publish) and a window of 1024.
    #[must_use]
    pub fn new(url: SecretString, name: impl Into<String>) -> Self {
        Self {
            url,
            authorities: None,
            name: name.into(),
            connect_timeout: Duration::from_secs(10),
            publish_timeout: Duration::from_secs(30),
            publish_window: 1024,
        }
    }

    /// Trusts these authorities alone, where some are given.
    #[must_use]
    pub fn trusting(self, authorities: Option<Authorities>) -> Self {
        Self { authorities, ..self }
    }
}

/// Why there is no usable connection.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL is none.
    #[error("the RabbitMQ URL is not usable: {0} (it looks like amqp://user:password@host:5672/vhost)")]
    Url(String),
    /// The broker refuses the user, the password or the user's access to the virtual host.
    #[error("RabbitMQ at {address} refuses user '{user}': {reason}")]
    Denied {
        /// Host and port.
        address: String,
        /// The user refused.
        user: String,
        /// The broker's words.
        reason: String,
    },
    /// The broker's certificate is not signed by anybody this machine trusts, or not for this host.
    #[error(
        "RabbitMQ at {address} is not trusted: {reason} (SUBWATCH_AMQP_CA_FILE names the file of an authority that vouches for it)"
    )]
    Untrusted {
        /// Host and port.
        address: String,
        /// What the TLS library says.
        reason: String,
    },
    /// The virtual host does not exist.
    #[error("RabbitMQ at {address} has no virtual host '{vhost}': create it, or name another in the URL")]
    VhostMissing {
        /// Host and port.
        address: String,
        /// The virtual host asked for.
        vhost: String,
    },
    /// An exchange or a queue exists with other properties than ours.
    #[error(
        "'{name}' exists on RabbitMQ with other properties ({reason}): drain and delete it, then start again"
    )]
    Mismatch {
        /// The exchange or queue.
        name: String,
        /// The broker's words.
        reason: String,
    },
    /// The broker cannot be reached, or closes the connection; it may come back.
    #[error("RabbitMQ at {address} is not reachable: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What failed.
        reason: String,
    },
    /// The broker does not do what the job protocol needs.
    #[error(
        "RabbitMQ at {address} is not usable: {what}; version 3.10 or later with quorum queues is needed"
    )]
    Unfit {
        /// Host and port.
        address: String,
        /// What it does not do.
        what: String,
    },
}

impl BrokerError {
    /// Whether connecting again later may succeed without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Why a publish failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PublishError {
    /// The job is too large to publish.
    #[error("the job is not published: {0}")]
    Oversized(EnvelopeError),
    /// No queue is bound for it: nobody consumes this route.
    #[error("no queue takes '{routing_key}' from exchange '{exchange}'")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// The queue is full.
    #[error("the queue for '{routing_key}' on exchange '{exchange}' takes no more messages: it is full")]
    Full {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// The broker did not confirm in time. The message may yet arrive.
    #[error("RabbitMQ did not confirm within {0:?}")]
    Timeout(Duration),
    /// The connection was lost before the broker confirmed. The message may have arrived.
    #[error("the connection to RabbitMQ was lost before it confirmed")]
    Disconnected,
}

impl PublishError {
    /// Whether the same publish may succeed later without anybody's help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Timeout(_) | Self::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passing_failures_are_retryable() {
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
