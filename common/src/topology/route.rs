//! Routes: the routing key and queue of each kind of job.

use super::declaration::{
    Binding, DEAD_LETTER_EXCHANGE, DELIVERY_LIMIT, JOB_EXCHANGE, MAX_QUEUE_BYTES, Queue, arguments,
};
use crate::{
    digest::Digest, embedding::Space, job::kind::Kind, priority::Priority, training::protocol::Fingerprint,
};

const INTERACTIVE: &str = "predict.interactive";
/// Longest word of a routing key; RabbitMQ allows 255 bytes for the name of a queue.
const MAX_WORD: usize = 128;

/// Where jobs wait. Those that need the model wait for a worker that serves their embedding space; those of earlier
/// versions name none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Route {
    Embed(Option<Space>),
    /// Predict jobs of larger submissions.
    Predict(Option<Space>),
    /// Predict and embed jobs of a few images, for users who wait for the result.
    Interactive(Option<Space>),
    Crawl,
    /// Jobs of runs with this numerics fingerprint.
    Train(Fingerprint),
}

impl Route {
    /// Returns every route: those of earlier versions, those of each space, and one for training per fingerprint.
    #[must_use]
    pub fn all(fingerprints: &[Fingerprint], spaces: &[Space]) -> Vec<Self> {
        let mut routes: Vec<Self> =
            with_none(spaces).flat_map(|space| Self::of_space(space.as_ref())).collect();
        routes.extend(fingerprints.iter().cloned().map(Self::Train));
        routes.push(Self::Crawl);
        routes
    }

    /// Returns the routes of the jobs of one space.
    #[must_use]
    pub fn of_space(space: Option<&Space>) -> [Self; 3] {
        [Self::Embed, Self::Predict, Self::Interactive].map(|route| route(space.cloned()))
    }

    #[must_use]
    pub fn exchange(&self) -> &'static str {
        JOB_EXCHANGE
    }

    /// Returns the queue's name without the prefix `subwatch.`.
    #[must_use]
    pub fn routing_key(&self) -> String {
        match self {
            Self::Embed(space) => key_of("embed", space.as_ref()),
            Self::Predict(space) => key_of("predict", space.as_ref()),
            Self::Interactive(space) => key_of(INTERACTIVE, space.as_ref()),
            Self::Crawl => "crawl.v1".to_owned(),
            Self::Train(fingerprint) => format!("train.{}.v1", routing_key_word(&fingerprint.0)),
        }
    }

    #[must_use]
    pub fn queue_name(&self) -> String {
        format!("subwatch.{}", self.routing_key())
    }

    #[must_use]
    pub fn queue(&self) -> Queue {
        queue_of_key(&self.routing_key())
    }

    /// Returns the routes that a worker of `kinds` consumes if it serves `spaces`.
    #[must_use]
    pub fn for_kinds(kinds: &[Kind], fingerprints: &[Fingerprint], spaces: &[Space]) -> Vec<Self> {
        let mut routes = Vec::new();
        for kind in kinds {
            match kind {
                Kind::Embed => routes.extend(with_none(spaces).map(Self::Embed)),
                Kind::Predict => {
                    routes.extend(with_none(spaces).map(Self::Interactive));
                    routes.extend(with_none(spaces).map(Self::Predict));
                }
                Kind::Crawl => routes.push(Self::Crawl),
                Kind::TrainEpoch => routes.extend(fingerprints.iter().cloned().map(Self::Train)),
            }
        }
        routes
    }
}

/// Returns the queue of the jobs with a routing key.
pub(super) fn queue_of_key(routing_key: &str) -> Queue {
    Queue {
        name: format!("subwatch.{routing_key}"),
        arguments: arguments(MAX_QUEUE_BYTES, DELIVERY_LIMIT, Some(DEAD_LETTER_EXCHANGE)),
        bindings: vec![Binding { exchange: JOB_EXCHANGE.to_owned(), routing_key: routing_key.to_owned() }],
    }
}

/// Returns the priority of jobs with a routing key.
#[must_use]
pub fn priority(routing_key: &str) -> Priority {
    if routing_key.starts_with(&format!("{INTERACTIVE}.")) { Priority::Interactive } else { Priority::Bulk }
}

fn with_none(spaces: &[Space]) -> impl Iterator<Item = Option<Space>> {
    std::iter::once(None).chain(spaces.iter().cloned().map(Some))
}

fn key_of(queue: &str, space: Option<&Space>) -> String {
    space.map_or_else(|| format!("{queue}.v1"), |space| format!("{queue}.{}.v1", routing_key_word(&space.0)))
}

/// Returns the text if it is valid as one word of a routing key, else its digest.
fn routing_key_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@".contains(&byte);
    // `interactive` is a word of another queue.
    if (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(plain) && text != "interactive" {
        text.to_owned()
    } else {
        Digest::of(text.as_bytes()).prefix(32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn routes_keep_their_names() {
        let check = |route: Route, routing_key: &str| {
            assert_eq!(route.routing_key(), routing_key);
            assert_eq!(route.queue_name(), format!("subwatch.{routing_key}"));
            assert_eq!(
                route.queue().bindings,
                [Binding { exchange: JOB_EXCHANGE.to_owned(), routing_key: routing_key.to_owned() }]
            );
        };
        check(Route::Embed(None), "embed.v1");
        check(Route::Predict(None), "predict.v1");
        check(Route::Interactive(None), "predict.interactive.v1");
        let space = || Some(Space("resnet34-0f-p3-k2-bf16-cpu@avx512-bf16".to_owned()));
        check(Route::Embed(space()), "embed.resnet34-0f-p3-k2-bf16-cpu@avx512-bf16.v1");
        check(Route::Predict(space()), "predict.resnet34-0f-p3-k2-bf16-cpu@avx512-bf16.v1");
        check(Route::Interactive(space()), "predict.interactive.resnet34-0f-p3-k2-bf16-cpu@avx512-bf16.v1");
        check(Route::Crawl, "crawl.v1");
        check(Route::Train(Fingerprint("avx512-bf16".to_owned())), "train.avx512-bf16.v1");
    }

    #[test]
    fn interactive_jobs_have_priority() {
        let space = Space("interactive".to_owned());
        for space in [None, Some(space)] {
            let check = |route: fn(Option<Space>) -> Route, want| {
                assert_eq!(priority(&route(space.clone()).routing_key()), want);
            };
            check(Route::Interactive, Priority::Interactive);
            check(Route::Predict, Priority::Bulk);
            check(Route::Embed, Priority::Bulk);
        }
    }

    #[test]
    fn unusual_fingerprints_become_one_routing_key_word() {
        for unusual in ["a.b", "#", "*", "", "two words", &"x".repeat(300)] {
            let key = Route::Train(Fingerprint(unusual.to_owned())).routing_key();
            assert_eq!(key.split('.').count(), 3, "{key}");
            assert!(key.len() < 100 && !key.contains(['#', '*', ' ']), "{key}");
        }
        let key = |text: &str| Route::Train(Fingerprint(text.to_owned())).routing_key();
        assert_ne!(key("a.b"), key("a.c"));
        let named = Route::Predict(Some(Space("interactive".to_owned())));
        assert_ne!(named.routing_key(), Route::Interactive(None).routing_key());
    }

    #[test]
    fn every_route_is_consumed_by_some_kind_of_worker() {
        let fingerprints = ["f", "g"].map(|text| Fingerprint(text.to_owned()));
        let spaces = ["s", "s@c"].map(|text| Space(text.to_owned()));
        let consumed = Route::for_kinds(&Kind::ALL, &fingerprints, &spaces);
        let all = Route::all(&fingerprints, &spaces);
        assert_eq!(consumed.len(), all.len());
        assert_eq!(HashSet::<Route>::from_iter(consumed), HashSet::from_iter(all));
    }

    #[test]
    fn workers_consume_the_queues_of_their_kinds() {
        let fingerprint = Fingerprint("f".to_owned());
        let space = Space("s".to_owned());
        let kinds = [Kind::Predict, Kind::TrainEpoch];
        let routes =
            Route::for_kinds(&kinds, std::slice::from_ref(&fingerprint), std::slice::from_ref(&space));
        assert_eq!(
            routes,
            [
                Route::Interactive(None),
                Route::Interactive(Some(space.clone())),
                Route::Predict(None),
                Route::Predict(Some(space)),
                Route::Train(fingerprint)
            ]
        );
        assert_eq!(Route::for_kinds(&[Kind::TrainEpoch], &[], &[]), []);
    }
}
