//! The shape of the queues: exchanges, queues with their arguments, bindings, and the routes through them.
//!
//! Owns every name and argument the broker holds for this program; does not own how they are declared
//! (see [`crate::broker`]). It is pure data, the same on every connect and in every process.
//! Invariants: every queue is a durable quorum queue with a length, so that `reject-publish` can fire;
//! every dead-lettering is at-least-once, which needs `reject-publish` and a bound target; a delay tier
//! keeps the routing key it was given, so the job comes back under its own route.

use std::{fmt, time::Duration};

use crate::{digest::Digest, job::kind::Kind, training::protocol::Fingerprint};

/// The exchange jobs are published to.
pub const JOBS: &str = "subwatch.jobs";
/// The exchange discarded jobs are published to, by workers and by the broker.
pub const DEAD: &str = "subwatch.dead";

/// Bytes a queue of waiting jobs, or of dead ones, may hold: over a million jobs of usual size.
const MAX_QUEUE_BYTES: i64 = 1 << 30;
/// Requeues after which the broker itself discards a job: a backstop behind the poison rule. Never −1,
/// with which RabbitMQ 3.10 drops a message at its first requeue; never absent, for which 4.x takes 20.
const DELIVERY_LIMIT: i64 = 50;
/// The same for dead letters, which go nowhere from their queue: more requeues than will ever happen.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Where a job is published, and which queue it waits in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Route {
    /// Embed jobs.
    Embed,
    /// Predict jobs of many images.
    Predict,
    /// Predict and embed jobs of a few images that somebody is waiting for.
    Interactive,
    /// Crawl jobs. Workers of versions that know none do not consume their queue.
    Crawl,
    /// Jobs of a run bound to one numerics fingerprint.
    Train(Fingerprint),
}

impl Route {
    /// Returns the exchange.
    #[must_use]
    pub fn exchange(&self) -> &'static str {
        JOBS
    }

    /// Returns the routing key: the queue's name without the program's.
    #[must_use]
    pub fn routing_key(&self) -> String {
        match self {
            Self::Embed => "embed.v1".to_owned(),
            Self::Predict => "predict.v1".to_owned(),
            Self::Interactive => "predict.interactive.v1".to_owned(),
            Self::Crawl => "crawl.v1".to_owned(),
            Self::Train(fingerprint) => format!("train.{}.v1", routing_word(fingerprint)),
        }
    }

    /// Returns the name of the queue.
    #[must_use]
    pub fn queue_name(&self) -> String {
        format!("subwatch.{}", self.routing_key())
    }

    /// Returns the queue's declaration.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue {
            name: self.queue_name(),
            arguments: arguments(MAX_QUEUE_BYTES, DELIVERY_LIMIT, Some(DEAD)),
            bindings: vec![Binding { exchange: JOBS.to_owned(), routing_key: self.routing_key() }],
        }
    }

    /// Returns the queues a worker of `kinds` consumes, the ones somebody waits for first.
    #[must_use]
    pub fn for_kinds(kinds: &[Kind], fingerprints: &[Fingerprint]) -> Vec<Self> {
        let mut routes = Vec::new();
        for kind in kinds {
            match kind {
                Kind::Embed => routes.push(Self::Embed),
                Kind::Predict => routes.extend([Self::Interactive, Self::Predict]),
                Kind::Crawl => routes.push(Self::Crawl),
                Kind::TrainEpoch => routes.extend(fingerprints.iter().cloned().map(Self::Train)),
            }
        }
        routes
    }
}

/// A fingerprint as one word of a routing key: itself where that is a short plain word, else its digest.
fn routing_word(fingerprint: &Fingerprint) -> String {
    let text = &fingerprint.0;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        text.clone()
    } else {
        Digest::of(text.as_bytes()).prefix(32)
    }
}

/// How long a job rests before it comes back to its own queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tier {
    /// One second.
    OneSecond,
    /// Five seconds.
    FiveSeconds,
    /// Thirty seconds.
    ThirtySeconds,
    /// Two minutes.
    TwoMinutes,
    /// Ten minutes.
    TenMinutes,
}

impl Tier {
    /// Every tier, shortest first.
    pub const ALL: [Self; 5] =
        [Self::OneSecond, Self::FiveSeconds, Self::ThirtySeconds, Self::TwoMinutes, Self::TenMinutes];

    /// Returns the tier that a job rests in after its `attempt`-th attempt, counted from 1.
    #[must_use]
    pub fn after_attempt(attempt: u32) -> Self {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        Self::ALL[index.min(Self::ALL.len() - 1)]
    }

    /// Returns how long a job rests here.
    #[must_use]
    pub fn delay(self) -> Duration {
        Duration::from_secs(match self {
            Self::OneSecond => 1,
            Self::FiveSeconds => 5,
            Self::ThirtySeconds => 30,
            Self::TwoMinutes => 120,
            Self::TenMinutes => 600,
        })
    }

    /// Returns the longest tier that is over before `wait` is; the shortest where none is.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self::ALL.into_iter().rfind(|tier| tier.delay() <= wait).unwrap_or(Self::OneSecond)
    }

    /// Returns the name of the tier's fanout exchange, which is its queue's name too.
    #[must_use]
    pub fn name(self) -> String {
        format!("subwatch.delay.{self}")
    }

    /// Returns the declaration of the tier's queue. Published to through its exchange only: the default
    /// exchange would replace the routing key, and the job would come back under the tier's name.
    #[must_use]
    pub fn queue(self) -> Queue {
        let ttl = i64::try_from(self.delay().as_millis()).expect("the tiers are minutes long");
        Queue {
            name: self.name(),
            arguments: delay_arguments(ttl, JOBS, MAX_QUEUE_BYTES),
            bindings: vec![Binding { exchange: self.name(), routing_key: String::new() }],
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneSecond => "1s",
            Self::FiveSeconds => "5s",
            Self::ThirtySeconds => "30s",
            Self::TwoMinutes => "2m",
            Self::TenMinutes => "10m",
        })
    }
}

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
    queues.extend([Route::Embed, Route::Predict, Route::Interactive, Route::Crawl].iter().map(Route::queue));
    queues.extend(Tier::ALL.map(Tier::queue));
    queues
}

/// Returns the queue of discarded jobs.
#[must_use]
pub fn dead_queue() -> Queue {
    Queue {
        name: format!("{DEAD}.v1"),
        arguments: arguments(MAX_QUEUE_BYTES, DEAD_DELIVERY_LIMIT, None),
        bindings: vec![Binding { exchange: DEAD.to_owned(), routing_key: String::new() }],
    }
}

/// Arguments of a queue that holds messages for `ttl_ms` and then hands them to the exchange `to`, under
/// the routing key they came with.
pub(crate) fn delay_arguments(ttl_ms: i64, to: &str, max_bytes: i64) -> Vec<(&'static str, Argument)> {
    let mut arguments = arguments(max_bytes, DELIVERY_LIMIT, Some(to));
    arguments.push(("x-message-ttl", Argument::Number(ttl_ms)));
    arguments
}

fn arguments(
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn argument(queue: &Queue, name: &str) -> Option<Argument> {
        queue.arguments.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    }

    fn text(value: &str) -> Option<Argument> {
        Some(Argument::Text(value.to_owned()))
    }

    #[test]
    fn routes_keep_their_names() {
        let check = |route: Route, routing_key: &str| {
            assert_eq!(route.routing_key(), routing_key);
            assert_eq!(route.queue_name(), format!("subwatch.{routing_key}"));
            assert_eq!(
                route.queue().bindings,
                [Binding { exchange: JOBS.to_owned(), routing_key: routing_key.to_owned() }]
            );
        };
        check(Route::Embed, "embed.v1");
        check(Route::Predict, "predict.v1");
        check(Route::Interactive, "predict.interactive.v1");
        check(Route::Crawl, "crawl.v1");
        check(Route::Train(Fingerprint("avx512-bf16".to_owned())), "train.avx512-bf16.v1");
        assert_eq!(dead_queue().name, "subwatch.dead.v1");
        assert_eq!(Tier::TwoMinutes.queue().name, "subwatch.delay.2m");
    }

    #[test]
    fn odd_fingerprints_become_one_plain_word() {
        for odd in ["a.b", "#", "*", "", "two words", &"x".repeat(300)] {
            let key = Route::Train(Fingerprint(odd.to_owned())).routing_key();
            assert_eq!(key.split('.').count(), 3, "{key}");
            assert!(key.len() < 100 && !key.contains(['#', '*', ' ']), "{key}");
        }
        let key = |text: &str| Route::Train(Fingerprint(text.to_owned())).routing_key();
        assert_ne!(key("a.b"), key("a.c"));
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

    #[test]
    fn tiers_grow_and_end_at_the_longest() {
        assert!(Tier::ALL.windows(2).all(|pair| pair[0].delay() < pair[1].delay()));
        let check = |attempt, tier| assert_eq!(Tier::after_attempt(attempt), tier);
        check(0, Tier::OneSecond);
        check(1, Tier::OneSecond);
        check(2, Tier::FiveSeconds);
        check(5, Tier::TenMinutes);
        check(u32::MAX, Tier::TenMinutes);
    }

    #[test]
    fn a_job_that_is_to_rest_for_a_while_never_oversleeps_by_more_than_a_second() {
        let check = |seconds, tier| assert_eq!(Tier::within(Duration::from_secs(seconds)), tier);
        check(0, Tier::OneSecond);
        check(4, Tier::OneSecond);
        check(119, Tier::ThirtySeconds);
        check(120, Tier::TwoMinutes);
        check(24 * 3600, Tier::TenMinutes);
    }

    #[test]
    fn workers_consume_what_their_kinds_need() {
        let fingerprint = Fingerprint("f".to_owned());
        let routes = Route::for_kinds(&[Kind::Predict, Kind::TrainEpoch], std::slice::from_ref(&fingerprint));
        assert_eq!(routes, [Route::Interactive, Route::Predict, Route::Train(fingerprint)]);
        assert_eq!(Route::for_kinds(&[Kind::TrainEpoch], &[]), []);
    }
}
