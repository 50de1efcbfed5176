//! Why a publish failed, and whether it may succeed later.

use std::time::Duration;

use crate::job::envelope::EnvelopeError;

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
