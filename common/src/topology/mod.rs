//! The shape of the queues: exchanges, queues with their arguments, bindings, and the routes through them.
//!
//! Owns every name and argument the broker holds for this program; does not own how they are declared
//! (see [`crate::broker`]). It is pure data, the same on every connect and in every process.
//! Invariants: every queue is a durable quorum queue with a length, so that `reject-publish` can fire;
//! every dead-lettering is at-least-once, which needs `reject-publish` and a bound target; a delay tier
//! keeps the routing key it was given, so the job comes back under its own route.
//!
//! `route` says where a job is published and which queue it waits in, `tier` how long it rests before it comes back,
//! and `declaration` what the broker is asked to declare for that. The queue of dead letters is below.

mod declaration;
mod route;
mod tier;

pub(crate) use self::declaration::delay_arguments;
use self::declaration::{MAX_QUEUE_BYTES, arguments};
pub use self::{
    declaration::{Argument, Binding, DEAD, DEAD_ROUTING_KEY, Exchange, ExchangeKind, JOBS, Queue},
    route::Route,
    tier::Tier,
};

/// The same for dead letters, which go nowhere from their queue: more requeues than will ever happen.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Returns the exchanges every process declares.
#[must_use]
pub fn exchanges() -> Vec<Exchange> {
    let mut exchanges = vec![
        Exchange { name: JOBS.to_owned(), kind: ExchangeKind::Topic },
        Exchange { name: DEAD.to_owned(), kind: ExchangeKind::Fanout },
    ];
    exchanges.extend(Tier::ALL.map(|tier| Exchange { name: tier.name(), kind: ExchangeKind::Fanout }));
    exchanges
}

/// Returns the queues every process declares. Those of a fingerprint are declared by the workers that
/// have it, so that a run without workers is refused when it is published, not silently kept.
#[must_use]
pub fn queues() -> Vec<Queue> {
    let mut queues = vec![dead_queue()];
    queues.extend(Route::all(&[]).iter().map(Route::queue));
    queues.extend(Tier::ALL.map(Tier::queue));
    queues
}

/// Returns the queue of discarded jobs.
#[must_use]
pub fn dead_queue() -> Queue {
    Queue {
        name: format!("subwatch.{DEAD_ROUTING_KEY}"),
        arguments: arguments(MAX_QUEUE_BYTES, DEAD_DELIVERY_LIMIT, None),
        bindings: vec![Binding { exchange: DEAD.to_owned(), routing_key: String::new() }],
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
        assert_eq!(dead_queue().name, "subwatch.dead.v1");
        assert_eq!(Tier::TwoMinutes.queue().name, "subwatch.delay.2m");
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
                assert_eq!(queue, dead_queue(), "only dead letters go nowhere");
                continue;
            };
            assert!(known.contains(&target), "{}", queue.name);
            assert_eq!(argument(&queue, "x-dead-letter-strategy"), text("at-least-once"), "{}", queue.name);
            assert_eq!(
                argument(&queue, "x-dead-letter-routing-key"),
                None,
                "{} keeps the job's own",
                queue.name
            );
        }
    }
}
