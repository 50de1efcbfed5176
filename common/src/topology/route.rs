//! Routes: the routing key and queue of each kind of job.

use super::declaration::{
    Binding, DEAD_LETTER_EXCHANGE, DELIVERY_LIMIT, JOB_EXCHANGE, MAX_QUEUE_BYTES, Queue, arguments,
};
use crate::{digest::Digest, job::kind::Kind, training::protocol::Fingerprint};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Route {
    Embed,
    /// Predict jobs of larger submissions.
    Predict,
    /// Predict and embed jobs of a few images, for users who wait for the result.
    Interactive,
    Crawl,
    /// Jobs of runs with this numerics fingerprint.
    Train(Fingerprint),
}

impl Route {
    /// Returns every route, including one training route per fingerprint.
    #[must_use]
    pub fn all(fingerprints: &[Fingerprint]) -> Vec<Self> {
        let mut routes = vec![Self::Embed, Self::Predict, Self::Interactive];
        routes.extend(fingerprints.iter().cloned().map(Self::Train));
        routes.push(Self::Crawl);
        routes
    }

    #[must_use]
    pub fn exchange(&self) -> &'static str {
        JOB_EXCHANGE
    }

    /// Returns the queue's name without the prefix `subwatch.`.
    #[must_use]
    pub fn routing_key(&self) -> String {
        match self {
            Self::Embed => "embed.v1".to_owned(),
            Self::Predict => "predict.v1".to_owned(),
            Self::Interactive => "predict.interactive.v1".to_owned(),
            Self::Crawl => "crawl.v1".to_owned(),
            Self::Train(fingerprint) => format!("train.{}.v1", routing_key_word(fingerprint)),
        }
    }

    #[must_use]
    pub fn queue_name(&self) -> String {
        format!("subwatch.{}", self.routing_key())
    }

    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue {
            name: self.queue_name(),
            arguments: arguments(MAX_QUEUE_BYTES, DELIVERY_LIMIT, Some(DEAD_LETTER_EXCHANGE)),
            bindings: vec![Binding { exchange: JOB_EXCHANGE.to_owned(), routing_key: self.routing_key() }],
        }
    }

    /// Returns the routes that a worker of `kinds` consumes, interactive ones first.
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

/// Returns the fingerprint if it is valid as one word of a routing key, else its digest.
fn routing_key_word(fingerprint: &Fingerprint) -> String {
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
                [Binding { exchange: JOB_EXCHANGE.to_owned(), routing_key: routing_key.to_owned() }]
            );
        };
        check(Route::Embed, "embed.v1");
        check(Route::Predict, "predict.v1");
        check(Route::Interactive, "predict.interactive.v1");
        check(Route::Crawl, "crawl.v1");
        check(Route::Train(Fingerprint("avx512-bf16".to_owned())), "train.avx512-bf16.v1");
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
    }

    #[test]
    fn every_route_is_consumed_by_some_kind_of_worker() {
        let fingerprints = ["f", "g"].map(|text| Fingerprint(text.to_owned()));
        let consumed: HashSet<Route> = Route::for_kinds(&Kind::ALL, &fingerprints).into_iter().collect();
        assert_eq!(consumed, Route::all(&fingerprints).into_iter().collect());
        assert_eq!(consumed.len(), Route::all(&fingerprints).len());
    }

    #[test]
    fn workers_consume_the_queues_of_their_kinds() {
        let fingerprint = Fingerprint("f".to_owned());
        let routes = Route::for_kinds(&[Kind::Predict, Kind::TrainEpoch], std::slice::from_ref(&fingerprint));
        assert_eq!(routes, [Route::Interactive, Route::Predict, Route::Train(fingerprint)]);
        assert_eq!(Route::for_kinds(&[Kind::TrainEpoch], &[]), []);
    }
}
