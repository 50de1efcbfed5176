//! Routes: where a job is published, and which queue it waits in.

use super::declaration::{Binding, DEAD, DELIVERY_LIMIT, JOBS, MAX_QUEUE_BYTES, Queue, arguments};
use crate::{digest::Digest, job::kind::Kind, training::protocol::Fingerprint};

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
    /// Returns every route, with one of training for each of `fingerprints`.
    #[must_use]
    pub fn all(fingerprints: &[Fingerprint]) -> Vec<Self> {
        let mut routes = vec![Self::Embed, Self::Predict, Self::Interactive];
        routes.extend(fingerprints.iter().cloned().map(Self::Train));
        routes.push(Self::Crawl);
        routes
    }

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
                [Binding { exchange: JOBS.to_owned(), routing_key: routing_key.to_owned() }]
            );
        };
        check(Route::Embed, "embed.v1");
        check(Route::Predict, "predict.v1");
        check(Route::Interactive, "predict.interactive.v1");
        check(Route::Crawl, "crawl.v1");
        check(Route::Train(Fingerprint("avx512-bf16".to_owned())), "train.avx512-bf16.v1");
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
    fn some_kind_of_worker_consumes_each_route() {
        let fingerprints = ["f", "g"].map(|text| Fingerprint(text.to_owned()));
        let consumed: HashSet<Route> = Route::for_kinds(&Kind::ALL, &fingerprints).into_iter().collect();
        assert_eq!(consumed, Route::all(&fingerprints).into_iter().collect());
        assert_eq!(consumed.len(), Route::all(&fingerprints).len());
    }

    #[test]
    fn workers_consume_what_their_kinds_need() {
        let fingerprint = Fingerprint("f".to_owned());
        let routes = Route::for_kinds(&[Kind::Predict, Kind::TrainEpoch], std::slice::from_ref(&fingerprint));
        assert_eq!(routes, [Route::Interactive, Route::Predict, Route::Train(fingerprint)]);
        assert_eq!(Route::for_kinds(&[Kind::TrainEpoch], &[]), []);
    }
}
