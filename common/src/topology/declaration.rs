//! Declarations of exchanges, and of queues with their arguments and bindings.

/// The exchange that jobs are published to.
pub const JOB_EXCHANGE: &str = "subwatch.jobs";
/// The exchange that workers and RabbitMQ publish discarded jobs to.
pub const DEAD_LETTER_EXCHANGE: &str = "subwatch.dead";
/// The routing key of discarded jobs. The exchange is a fanout, so the key is only informative.
pub const DEAD_LETTER_ROUTING_KEY: &str = "dead.v1";

/// Length limit of a queue: over a million jobs of typical size.
pub(crate) const MAX_QUEUE_BYTES: i64 = 1 << 30;
/// Redeliveries after which RabbitMQ discards a job: a backstop behind the poison limit. Do not set −1, with which
/// RabbitMQ 3.10 drops a message at its first requeue, and do not omit it: 4.x defaults to 20.
pub(super) const DELIVERY_LIMIT: i64 = 50;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExchangeKind {
    Topic,
    Fanout,
}

/// A durable exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    pub name: String,
    pub kind: ExchangeKind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Argument {
    Text(String),
    Number(i64),
}

/// A durable queue with its arguments and bindings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    pub name: String,
    /// The `x-…` arguments. RabbitMQ rejects redeclaring a queue with different ones.
    pub arguments: Vec<(&'static str, Argument)>,
    pub bindings: Vec<Binding>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    pub exchange: String,
    /// Empty for a fanout exchange.
    pub routing_key: String,
}

/// Arguments of a queue that delays messages by `ttl_ms`, then routes them to the exchange `to` with their
/// original routing key.
pub(crate) fn delay_arguments(ttl_ms: i64, to: &str, max_bytes: i64) -> Vec<(&'static str, Argument)> {
    let mut arguments = arguments(max_bytes, DELIVERY_LIMIT, Some(to));
    arguments.push(("x-message-ttl", Argument::Number(ttl_ms)));
    arguments
}

pub(super) fn arguments(
    max_bytes: i64,
    delivery_limit: i64,
    dead_letter_to: Option<&str>,
) -> Vec<(&'static str, Argument)> {
    let text = |value: &str| Argument::Text(value.to_owned());
    let mut arguments = vec![
        ("x-queue-type", text("quorum")),
        ("x-max-length-bytes", Argument::Number(max_bytes)),
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", Argument::Number(delivery_limit)),
    ];
    if let Some(exchange) = dead_letter_to {
        arguments.push(("x-dead-letter-exchange", text(exchange)));
        arguments.push(("x-dead-letter-strategy", text("at-least-once")));
    }
    arguments
}
