//! Guarantees of `common::broker` with a real RabbitMQ: one vhost per test, without coordinator or workers.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use common::{
    broker::{
        BrokerConfig, BrokerError, Consumer, DeadLetterInfo, Delivery, PublishError, Publisher, QueueLoad,
        Subscription, probe,
    },
    ids::{JobId, SubmissionId},
    job::{
        args::{Chunk, EmbedArgs, JobArgs},
        discard::DiscardReason,
        envelope::{Envelope, EnvelopeError},
        kind::Kind,
    },
    topology::{self, DelayTier, Route},
    training::protocol::Fingerprint,
};
use futures::future::join_all;
use serde_json::json;
use tests::{broker_admin::Vhost, cluster::eventually, environment::Servers};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longest wait for an expected delivery.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a consumer is watched for unexpected deliveries.
const QUIET: Duration = Duration::from_millis(300);

/// A vhost with a publisher.
struct Fixture {
    vhost: Vhost,
    config: BrokerConfig,
    publisher: Publisher,
}

impl Fixture {
    async fn new() -> Self {
        let name = format!("test-{}", Uuid::now_v7().simple());
        let vhost = Vhost::create(&Servers::from_environment(), &name).await;
        let config = BrokerConfig::new(vhost.amqp_url().into(), "test");
        let publisher = Publisher::connect(&config).await.expect("RabbitMQ is available");
        Self { vhost, config, publisher }
    }

    async fn consume(&self, route: &Route, prefetch: u16) -> (Consumer, CancellationToken) {
        self.consume_queue(route.queue(), prefetch).await
    }

    async fn consume_queue(&self, queue: topology::Queue, prefetch: u16) -> (Consumer, CancellationToken) {
        let cancel = CancellationToken::new();
        let consumer =
            Consumer::connect(&self.config, vec![Subscription { queue, prefetch }], cancel.clone()).await;
        (consumer.expect("RabbitMQ is available"), cancel)
    }

    async fn depth(&self, route: &Route) -> Option<u32> {
        self.publisher.queue_depth(&route.queue_name()).await
    }

    async fn finish(self) {
        drop(self.publisher);
        self.vhost.delete().await;
    }
}

fn envelope(index: u32) -> Envelope {
    let part = "file:///manifests/0.jsonl".parse().expect("the literal is a URL");
    let chunk = Chunk { part, range: None, dataset: None, index, first_item: 0, items: 64 };
    let submission = SubmissionId::now();
    Envelope {
        job: JobId::derive(submission, Kind::Embed, &index.to_string()),
        submission,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: Some(1_800_000_000_123),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        args: JobArgs::Embed(EmbedArgs { chunk, space: None }),
    }
}

async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(TIMEOUT, consumer.next())
        .await
        .expect("a delivery arrives")
        .expect("the consumer is not cancelled")
}

async fn assert_quiet(consumer: &mut Consumer) {
    let delivery = timeout(QUIET, consumer.next()).await;
    assert!(delivery.is_err(), "an unexpected delivery: {delivery:?}");
}

#[tokio::test]
async fn published_job_arrives_unchanged() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Embed(None), 4).await;
    let job = envelope(7);
    fixture.publisher.publish(&job, &Route::Embed(None)).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.job.as_ref(), Ok(&job));
    assert_eq!((&*delivery.queue, delivery.routing_key.as_str()), ("subwatch.embed.v1", "embed.v1"));
    assert_eq!((delivery.redelivered, delivery.delivery_count), (false, 0));
    delivery.ack().await.unwrap();
    assert!(delivery.ack().await.is_err(), "a delivery can be acknowledged only once");
    assert_quiet(&mut consumer).await;
    fixture.finish().await;
}

#[tokio::test]
async fn load_of_a_queue_is_known_if_it_is_missing_and_after_a_reconnect() {
    let fixture = Fixture::new().await;
    let (route, publisher) = (Route::Embed(None), &fixture.publisher);
    publisher.publish(&envelope(0), &route).await.unwrap();
    let load = async |queue: String| publisher.queue_load(&queue).await;
    let ready = |ready| Some(QueueLoad { ready, consumers: 0 });
    for _ in 0..2 {
        assert_eq!(load("subwatch.missing".to_owned()).await, ready(0));
        assert_eq!(load(route.queue_name()).await, ready(1));
    }
    assert_eq!(fixture.depth(&Route::Train(Fingerprint("missing".to_owned()))).await, None);
    eventually("the connection is closed", || async { fixture.vhost.close_all_connections().await > 0 })
        .await;
    eventually("the load is known again", || async { load(route.queue_name()).await == ready(1) }).await;
    fixture.finish().await;
}

#[tokio::test]
async fn broker_passes_the_probe() {
    let fixture = Fixture::new().await;
    let took = probe(&fixture.config).await.unwrap();
    tests::print_line(&format!("the probe took {took:?}"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("the probe leaves nothing behind", || async {
        !fixture.vhost.queue_counts().await.keys().any(|queue| queue.contains("probe"))
    })
    .await;
    fixture.finish().await;
}

#[tokio::test]
async fn delayed_retry_returns_to_its_own_route() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Interactive(None), 1).await;
    fixture.publisher.publish(&envelope(0), &Route::Interactive(None)).await.unwrap();
    for attempt in 1..=2 {
        let delivery = next(&mut consumer).await;
        let mut job = delivery.job.clone().unwrap();
        assert_eq!(job.attempt, attempt);
        job.attempt += 1;
        let started = Instant::now();
        fixture.publisher.delay(&job, DelayTier::OneSecond, &delivery.routing_key).await.unwrap();
        delivery.ack().await.unwrap();
        let copy = next(&mut consumer).await;
        assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
        assert_eq!((copy.job.as_ref(), copy.routing_key.as_str()), (Ok(&job), "predict.interactive.v1"));
        assert_eq!((copy.redelivered, copy.delivery_count), (false, 0));
        copy.release().await.unwrap();
    }
    fixture.finish().await;
}

#[tokio::test]
async fn dead_letter_carries_its_reason() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Embed(None), 1).await;
    let (mut dead, _cancel_dead) = fixture.consume_queue(topology::dead_letter_queue(), 4).await;
    let job = envelope(3);
    fixture.publisher.publish(&job, &Route::Embed(None)).await.unwrap();
    let delivery = next(&mut consumer).await;
    let info = DeadLetterInfo {
        reason: DiscardReason::Attempts,
        error: "attempt 5 of 5: the disk is full".to_owned(),
        worker: Some("host:17".to_owned()),
        origin: Some(delivery.queue.to_string()),
    };
    fixture.publisher.dead_letter(&delivery.message, &info).await.unwrap();
    delivery.ack().await.unwrap();
    let letter = next(&mut dead).await;
    assert_eq!(letter.message.dead_letter_info(), info);
    assert_eq!(letter.job.as_ref(), Ok(&job));
    letter.ack().await.unwrap();
    fixture.finish().await;
}

#[tokio::test]
async fn invalid_message_is_delivered_as_an_error_and_can_be_dead_lettered() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Embed(None), 8).await;
    let (mut dead, _cancel_dead) = fixture.consume_queue(topology::dead_letter_queue(), 8).await;
    let good_headers = json!({"subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0});
    let ids = ("0198a1b2-0000-7000-8000-000000000001", "0198a1b2-0000-7000-8000-000000000002");
    let garbage = [
        json!({}),
        json!({"type": "dance.v1", "message_id": ids.0}),
        json!({"type": "embed.v1", "message_id": "no uuid", "expiration": "600000"}),
        json!({"type": "embed.v1", "message_id": ids.0, "correlation_id": ids.1, "headers": good_headers}),
        json!({"type": "embed.v1", "message_id": ids.0, "correlation_id": ids.1,
               "headers": {"subwatch-attempt": "one", "CC": ["embed.v1"], "x-delivery-count": "many"}}),
    ];
    for properties in garbage {
        fixture
            .vhost
            .publish(topology::JOB_EXCHANGE, "embed.v1", properties.clone(), "{\"not\": \"a job\"}")
            .await;
        let delivery = next(&mut consumer).await;
        let error = delivery.job.as_ref().unwrap_err();
        assert!(matches!(
            error,
            EnvelopeError::UnknownType(_)
                | EnvelopeError::InvalidHeader { .. }
                | EnvelopeError::InvalidBody { .. }
        ));
        let info = DeadLetterInfo {
            reason: DiscardReason::Rejected,
            error: error.to_string(),
            worker: None,
            origin: Some(delivery.queue.to_string()),
        };
        fixture.publisher.dead_letter(&delivery.message, &info).await.unwrap();
        delivery.ack().await.unwrap();
        let letter = next(&mut dead).await;
        assert_eq!(letter.message.dead_letter_info(), info, "{properties}");
        assert_eq!(letter.message.body(), b"{\"not\": \"a job\"}");
        letter.ack().await.unwrap();
    }
    assert_quiet(&mut consumer).await;
    fixture.finish().await;
}

#[tokio::test]
async fn message_over_the_delivery_limit_names_its_queue() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Predict(None), 1).await;
    let (mut dead, _cancel_dead) = fixture.consume_queue(topology::dead_letter_queue(), 1).await;
    let job = envelope(0);
    fixture.publisher.publish(&job, &Route::Predict(None)).await.unwrap();
    for count in 0..=50 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.delivery_count, count);
        delivery.release().await.unwrap();
    }
    let letter = next(&mut dead).await;
    let info = letter.message.dead_letter_info();
    assert_eq!(
        (&info.reason, info.origin.as_deref()),
        (&DiscardReason::DeliveryLimit, Some("subwatch.predict.v1"))
    );
    assert_eq!(letter.job.as_ref(), Ok(&job));
    letter.ack().await.unwrap();
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_connection_closes_lose_no_job_and_keep_the_prefetch() {
    const CLOSES: usize = 4;
    const PREFETCH: usize = 8;
    let fixture = Fixture::new().await;
    let (mut consumer, cancel) = fixture.consume(&Route::Embed(None), PREFETCH as u16).await;
    let (closed, published) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let publishing = async {
        for index in 0.. {
            if closed.load(Relaxed) >= CLOSES {
                return;
            }
            let job = envelope(index);
            // Repeat publishes that a close interrupted, as the coordinator does.
            while let Err(error) = fixture.publisher.publish(&job, &Route::Embed(None)).await {
                assert!(error.is_retryable(), "{error}");
            }
            published.lock().unwrap().insert(job.job);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closing = async {
        while closed.load(Relaxed) < CLOSES {
            tokio::time::sleep(Duration::from_millis(500)).await;
            closed.fetch_add(fixture.vhost.close_all_connections().await, Relaxed);
        }
    };
    // Fill the prefetch, check that no more arrives, then acknowledge all.
    let mut acknowledged = BTreeSet::new();
    let consuming = async {
        let mut in_flight: Vec<Delivery> = Vec::new();
        loop {
            let more = timeout(QUIET / 3, consumer.next()).await;
            in_flight.retain(|delivery| delivery.receipt.is_usable());
            let quiet = more.is_err();
            in_flight.extend(more.ok().flatten());
            assert!(
                in_flight.len() <= PREFETCH,
                "{} deliveries are in flight with a prefetch of {PREFETCH}",
                in_flight.len()
            );
            if quiet {
                for delivery in in_flight.drain(..) {
                    if delivery.ack().await.is_ok() {
                        acknowledged.insert(delivery.job.unwrap().job);
                    }
                }
                let done =
                    closed.load(Relaxed) >= CLOSES && published.lock().unwrap().is_subset(&acknowledged);
                if done && fixture.depth(&Route::Embed(None)).await == Some(0) {
                    return;
                }
            }
        }
    };
    let all = async { tokio::join!(publishing, closing, consuming) };
    timeout(Duration::from_secs(90), all).await.expect("every published job is delivered and acknowledged");
    eventually("the prefetch is set on the new connection", || async {
        fixture.vhost.prefetches().await == [("subwatch.embed.v1".to_owned(), PREFETCH as u64)]
    })
    .await;
    cancel.cancel();
    fixture.finish().await;
}

#[tokio::test]
async fn deleted_queue_is_redeclared_and_consumed() {
    let fixture = Fixture::new().await;
    let route = Route::Train(Fingerprint("bits-1".to_owned()));
    let (mut consumer, _cancel) = fixture.consume(&route, 1).await;
    fixture.vhost.delete_queue(&route.queue_name()).await;
    eventually("the queue exists again", || async { fixture.depth(&route).await.is_some() }).await;
    eventually("the queue is bound again", || async {
        fixture.publisher.publish(&envelope(1), &route).await.is_ok()
    })
    .await;
    next(&mut consumer).await.ack().await.unwrap();
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_unroutable_messages_are_refused() {
    let fixture = Fixture::new().await;
    let unbound = Route::Train(Fingerprint("unbound".to_owned()));
    let publishing = (0..600).map(|index| {
        let (publisher, unbound) = (fixture.publisher.clone(), unbound.clone());
        tokio::spawn(async move {
            let route = if index % 3 == 0 { &unbound } else { &Route::Embed(None) };
            (index, publisher.publish(&envelope(index), route).await)
        })
    });
    for published in join_all(publishing).await {
        let (index, result) = published.unwrap();
        let (exchange, routing_key) = (topology::JOB_EXCHANGE.to_owned(), unbound.routing_key());
        let want =
            if index % 3 == 0 { Err(PublishError::Unroutable { exchange, routing_key }) } else { Ok(()) };
        assert_eq!(result, want, "job {index}");
    }
    assert_eq!(fixture.depth(&Route::Embed(None)).await, Some(400));
    assert_eq!(fixture.depth(&unbound).await, None);
    fixture.finish().await;
}

#[tokio::test]
async fn full_queue_refuses_until_it_has_room() {
    let fixture = Fixture::new().await;
    fixture.vhost.limit_queues("^subwatch.embed", 1000).await;
    eventually("the queue is full", || async {
        match fixture.publisher.publish(&envelope(0), &Route::Embed(None)).await {
            Ok(()) => false,
            Err(error) => {
                assert!(matches!(error, PublishError::Full { .. }) && error.is_retryable(), "{error}");
                true
            }
        }
    })
    .await;
    fixture
        .publisher
        .publish(&envelope(0), &Route::Predict(None))
        .await
        .expect("another queue accepts publishes");
    let (mut consumer, _cancel) = fixture.consume(&Route::Embed(None), 100).await;
    let draining = async {
        loop {
            next(&mut consumer).await.ack().await.unwrap();
        }
    };
    let room = eventually("there is room again", || async {
        fixture.publisher.publish(&envelope(0), &Route::Embed(None)).await.is_ok()
    });
    tokio::select! {
        () = draining => unreachable!("draining never ends"),
        () = room => {}
    }
    fixture.finish().await;
}

#[tokio::test]
async fn rejected_credentials_and_missing_vhosts_fail_immediately() {
    let servers = Servers::from_environment();
    let check = async |url: String| {
        let config = BrokerConfig::new(url.into(), "test");
        let error = timeout(Duration::from_secs(10), Publisher::connect(&config))
            .await
            .expect("connecting fails immediately")
            .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2") && !error.is_retryable(), "{text}");
        error
    };
    let mut url: reqwest::Url = servers.amqp_url.parse().unwrap();
    url.set_path("/no-such-vhost");
    assert!(
        matches!(check(url.to_string()).await, BrokerError::VhostMissing { vhost, .. } if vhost == "no-such-vhost")
    );
    url.set_path("/%2f");
    url.set_password(Some("hunter2")).unwrap();
    assert!(
        matches!(check(url.to_string()).await, BrokerError::Denied { user, .. } if user == url.username())
    );
}

#[tokio::test]
async fn publisher_waits_for_an_unavailable_broker() {
    // A port without a listener.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = BrokerConfig::new(format!("amqp://guest:hunter2@127.0.0.1:{port}/%2f").into(), "test");
    let connecting = timeout(Duration::from_secs(2), Publisher::connect(&config)).await;
    assert!(connecting.is_err(), "{connecting:?}");
}

#[tokio::test]
async fn cancelled_consumer_releases_buffered_deliveries_and_keeps_those_in_flight() {
    let fixture = Fixture::new().await;
    let (mut consumer, cancel) = fixture.consume(&Route::Embed(None), 10).await;
    for index in 0..20 {
        fixture.publisher.publish(&envelope(index), &Route::Embed(None)).await.unwrap();
    }
    let (acknowledged, released, dropped) =
        (next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await);
    cancel.cancel();
    assert!(consumer.next().await.is_none());
    let closed = tokio::spawn(consumer.closed());
    eventually("buffered deliveries are released", || async {
        fixture.depth(&Route::Embed(None)).await == Some(17)
    })
    .await;
    assert!(!closed.is_finished(), "the consumer closed with deliveries in flight");
    acknowledged.ack().await.expect("a delivery in flight can be acknowledged after cancellation");
    released.release().await.expect("a delivery in flight can be released after cancellation");
    drop(dropped);
    timeout(TIMEOUT, closed).await.expect("the consumer closes").unwrap();
    eventually("the other two are released", || async {
        fixture.depth(&Route::Embed(None)).await == Some(19)
    })
    .await;
    fixture.finish().await;
}

#[tokio::test]
async fn ack_over_a_lost_connection_is_an_error() {
    let fixture = Fixture::new().await;
    let (mut consumer, _cancel) = fixture.consume(&Route::Embed(None), 1).await;
    fixture.publisher.publish(&envelope(0), &Route::Embed(None)).await.unwrap();
    let delivery = next(&mut consumer).await;
    eventually("the connections are listed and closed", || async {
        fixture.vhost.close_all_connections().await;
        !delivery.receipt.is_usable()
    })
    .await;
    assert!(delivery.ack().await.is_err());
    let again = next(&mut consumer).await;
    assert!(again.redelivered);
    again.ack().await.unwrap();
    fixture.finish().await;
}
