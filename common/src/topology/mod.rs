//! The RabbitMQ topology: exchanges, queues with their arguments, bindings and routes.
//!
//! Pure data, the same in every process; [`crate::broker`] declares it.
//! Invariants: every queue is a durable quorum queue with a length limit and `reject-publish`; dead-lettering is
//! at-least-once, which requires both of these and a bound target exchange; delay tiers keep the routing key, so
//! a job returns to its own queue.
//!
//! `route` has the routing keys and queues of jobs, `delay_tier` the delays between attempts, `declaration` the arguments
//! of queues and exchanges, and `policy` what operators may set beside them.

mod declaration;
mod delay_tier;
mod policy;
mod route;

pub(crate) use self::declaration::{MAX_QUEUE_BYTES, delay_arguments};
use self::{declaration::arguments, route::queue_of_key};
pub use self::{
    declaration::{
        Argument, Binding, DEAD_LETTER_EXCHANGE, DEAD_LETTER_ROUTING_KEY, Exchange, ExchangeKind,
        JOB_EXCHANGE, Queue,
    },
    delay_tier::DelayTier,
    policy::Policy,
    route::{Route, priority},
};

/// The delivery limit of the dead-letter queue, practically unlimited: beyond it RabbitMQ would drop messages.
const DEAD_LETTER_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Returns the exchanges that every process declares.
#[must_use]
pub fn exchanges() -> Vec<Exchange> {
    let mut exchanges = vec![
        Exchange { name: JOB_EXCHANGE.to_owned(), kind: ExchangeKind::Topic },
        Exchange { name: DEAD_LETTER_EXCHANGE.to_owned(), kind: ExchangeKind::Fanout },
    ];
    exchanges.extend(DelayTier::ALL.map(|tier| Exchange { name: tier.name(), kind: ExchangeKind::Fanout }));
    exchanges
}

/// Returns the queues that every process declares. Those of an embedding space are declared by its workers and before jobs
/// are published; the queue of a fingerprint only by its workers, so that publishing to a run without workers fails
/// instead of queueing silently.
#[must_use]
pub fn queues() -> Vec<Queue> {
    let mut queues = vec![dead_letter_queue()];
    queues.extend(Route::all(&[], &[]).iter().map(Route::queue));
    queues.extend(DelayTier::ALL.map(DelayTier::queue));
    queues
}

/// Returns the queue that a message with this key is in after its publish to this exchange, unless it is one that only
/// workers declare.
#[must_use]
pub fn queue_of(exchange: &str, routing_key: &str) -> Option<Queue> {
    if exchange == JOB_EXCHANGE {
        let is_declared = routing_key.ends_with(".v1") && !routing_key.starts_with("train.");
        return is_declared.then(|| queue_of_key(routing_key));
    }
    queues().into_iter().find(|queue| {
        // The others are fanout exchanges, which ignore the key.
        queue.bindings.iter().any(|to| to.exchange == exchange)
    })
}

#[must_use]
pub fn dead_letter_queue() -> Queue {
    Queue {
        name: format!("subwatch.{DEAD_LETTER_ROUTING_KEY}"),
        arguments: arguments(MAX_QUEUE_BYTES, DEAD_LETTER_DELIVERY_LIMIT, None),
        bindings: vec![Binding { exchange: DEAD_LETTER_EXCHANGE.to_owned(), routing_key: String::new() }],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::training::protocol::Fingerprint;

    fn argument(queue: &Queue, name: &str) -> Option<Argument> {
        queue.arguments.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    }

    fn text(value: &str) -> Option<Argument> {
        Some(Argument::Text(value.to_owned()))
    }

    #[test]
    fn queues_keep_their_names() {
        assert_eq!(dead_letter_queue().name, "subwatch.dead.v1");
        assert_eq!(DelayTier::TwoMinutes.queue().name, "subwatch.delay.2m");
    }

    #[test]
    fn queue_of_a_publish_is_found_unless_it_is_a_fingerprints() {
        let check = |exchange: &str, routing_key: &str, want: Option<&str>| {
            assert_eq!(queue_of(exchange, routing_key).map(|queue| queue.name).as_deref(), want);
        };
        check(JOB_EXCHANGE, "embed.v1", Some("subwatch.embed.v1"));
        check(JOB_EXCHANGE, "predict.space.v1", Some("subwatch.predict.space.v1"));
        check("subwatch.delay.5s", "train.f.v1", Some("subwatch.delay.5s"));
        check(DEAD_LETTER_EXCHANGE, DEAD_LETTER_ROUTING_KEY, Some("subwatch.dead.v1"));
        check(JOB_EXCHANGE, "train.f.v1", None);
        check(JOB_EXCHANGE, "unknown", None);
    }

    #[test]
    fn every_queue_is_bounded_and_replicated() {
        for queue in queues().into_iter().chain([Route::Train(Fingerprint("f".to_owned())).queue()]) {
            assert_eq!(argument(&queue, "x-queue-type"), text("quorum"), "{}", queue.name);
            assert_eq!(argument(&queue, "x-overflow"), text("reject-publish"), "{}", queue.name);
            assert!(
                matches!(argument(&queue, "x-max-length-bytes"), Some(Argument::Number(1..))),
                "{}",
                queue.name
            );
            assert!(
                matches!(argument(&queue, "x-delivery-limit"), Some(Argument::Number(50..))),
                "{}",
                queue.name
            );
            assert!(!queue.bindings.is_empty(), "{}", queue.name);
        }
    }

    #[test]
    fn dead_lettering_is_at_least_once_and_has_a_target() {
        let known: BTreeSet<String> = exchanges().into_iter().map(|exchange| exchange.name).collect();
        for queue in queues() {
            assert!(queue.bindings.iter().all(|binding| known.contains(&binding.exchange)), "{}", queue.name);
            let Some(Argument::Text(target)) = argument(&queue, "x-dead-letter-exchange") else {
                assert_eq!(
                    queue,
                    dead_letter_queue(),
                    "only the dead-letter queue has no dead-letter exchange"
                );
                continue;
            };
            assert!(known.contains(&target), "{}", queue.name);
            assert_eq!(argument(&queue, "x-dead-letter-strategy"), text("at-least-once"), "{}", queue.name);
            assert_eq!(
                argument(&queue, "x-dead-letter-routing-key"),
                None,
                "{} keeps the job's routing key",
                queue.name
            );
        }
    }
}
