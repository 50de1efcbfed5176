//! What the broker is asked to declare: exchanges, and queues with their arguments and bindings.

/// The exchange jobs are published to.
pub const JOBS: &str = "subwatch.jobs";
/// The exchange discarded jobs are published to, by workers and by the broker.
pub const DEAD: &str = "subwatch.dead";
/// The routing key that workers give discarded jobs; their exchange is a fanout, so it is for people.
pub const DEAD_ROUTING_KEY: &str = "dead.v1";

/// Bytes a queue of waiting jobs, or of dead ones, may hold: over a million jobs of usual size.
pub(super) const MAX_QUEUE_BYTES: i64 = 1 << 30;
/// Requeues after which the broker itself discards a job: a backstop behind the poison rule. Never −1,
/// with which RabbitMQ 3.10 drops a message at its first requeue; never absent, for which 4.x takes 20.
pub(super) const DELIVERY_LIMIT: i64 = 50;
/// How an exchange chooses among the queues bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExchangeKind {
    /// By routing key.
    Topic,
    /// All of them, whatever the routing key.
    Fanout,
}

/// A durable exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
}

/// The value of a queue argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Argument {
    /// A string.
    Text(String),
    /// A number.
    Number(i64),
}

/// A durable queue with its arguments and bindings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The `x-…` arguments it is declared with. Declaring it again with others is an error.
    pub arguments: Vec<(&'static str, Argument)>,
    /// What is routed to it.
    pub bindings: Vec<Binding>,
}

/// What is routed to a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// From which exchange.
    pub exchange: String,
    /// Under which routing key; empty for a fanout exchange.
    pub routing_key: String,
}

/// Arguments of a queue that holds messages for `ttl_ms` and then hands them to the exchange `to`, under
/// the routing key they came with.
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
