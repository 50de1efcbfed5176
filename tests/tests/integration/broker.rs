//! The broker's promises, over a real RabbitMQ: a vhost per test, no coordinator and no workers.

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
        BrokerConfig, BrokerError, Consumer, DeadLetterInfo, Delivery, PublishError, Publisher, Subscription,
        probe,
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

/// Longest a delivery that should come is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing must come where nothing should.
const QUIET: Duration = Duration::from_millis(300);

/// A vhost with a publisher.
struct Bench {
    vhost: Vhost,
    config: BrokerConfig,
    publisher: Publisher,
}

impl Bench {
    async fn new() -> Self {
        let name = format!("test-{}", Uuid::now_v7().simple());
        let vhost = Vhost::create(&Servers::from_environment(), &name).await;
        let config = BrokerConfig::new(vhost.amqp_url().into(), "test");
        let publisher = Publisher::connect(&config).await.expect("RabbitMQ answers");
        Self { vhost, config, publisher }
    }

    async fn consume(&self, route: &Route, prefetch: u16) -> (Consumer, CancellationToken) {
        self.consume_queue(route.queue(), prefetch).await
    }

    async fn consume_queue(&self, queue: topology::Queue, prefetch: u16) -> (Consumer, CancellationToken) {
        let cancel = CancellationToken::new();
        let consumer =
            Consumer::connect(&self.config, vec![Subscription { queue, prefetch }], cancel.clone()).await;
        (consumer.expect("RabbitMQ answers"), cancel)
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
    let chunk = Chunk { part, dataset: None, index, first_item: 0, items: 64 };
    let submission = SubmissionId::now();
    Envelope {
        job: JobId::derive(submission, Kind::Embed, &index.to_string()),
        submission,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: Some(1_800_000_000_123),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        args: JobArgs::Embed(EmbedArgs { chunk }),
    }
}

async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery comes")
        .expect("the consumer is not cancelled")
}

async fn assert_quiet(consumer: &mut Consumer) {
    let delivery = timeout(QUIET, consumer.next()).await;
    assert!(delivery.is_err(), "an unexpected delivery: {delivery:?}");
}

#[tokio::test]
async fn a_job_arrives_as_it_was_published() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Embed, 4).await;
    let job = envelope(7);
    bench.publisher.publish(&job, &Route::Embed).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.job.as_ref(), Ok(&job));
    assert_eq!((&*delivery.queue, delivery.routing_key.as_str()), ("subwatch.embed.v1", "embed.v1"));
    assert_eq!((delivery.redelivered, delivery.delivery_count), (false, 0));
    delivery.ack().await.unwrap();
    assert!(delivery.ack().await.is_err(), "a delivery is answered once");
    assert_quiet(&mut consumer).await;
    bench.finish().await;
}

#[tokio::test]
async fn the_broker_is_fit() {
    let bench = Bench::new().await;
    let took = probe(&bench.config).await.unwrap();
    tests::say(&format!("the probe took {took:?}"));
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("the probe leaves nothing behind", || async {
        !bench.vhost.queue_counts().await.keys().any(|queue| queue.contains("probe"))
    })
    .await;
    bench.finish().await;
}

#[tokio::test]
async fn a_retry_copy_comes_back_under_its_own_route() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Interactive, 1).await;
    bench.publisher.publish(&envelope(0), &Route::Interactive).await.unwrap();
    for attempt in 1..=2 {
        let delivery = next(&mut consumer).await;
        let mut job = delivery.job.clone().unwrap();
        assert_eq!(job.attempt, attempt);
        job.attempt += 1;
        let started = Instant::now();
        bench.publisher.delay(&job, DelayTier::OneSecond, &delivery.routing_key).await.unwrap();
        delivery.ack().await.unwrap();
        let copy = next(&mut consumer).await;
        assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
        assert_eq!((copy.job.as_ref(), copy.routing_key.as_str()), (Ok(&job), "predict.interactive.v1"));
        assert_eq!((copy.redelivered, copy.delivery_count), (false, 0));
        copy.release().await.unwrap();
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_dead_letter_says_why() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Embed, 1).await;
    let (mut dead, _cancel_dead) = bench.consume_queue(topology::dead_letter_queue(), 4).await;
    let job = envelope(3);
    bench.publisher.publish(&job, &Route::Embed).await.unwrap();
    let delivery = next(&mut consumer).await;
    let note = DeadLetterInfo {
        reason: DiscardReason::Attempts,
        error: "attempt 5 of 5: the disk is full".to_owned(),
        worker: Some("host:17".to_owned()),
        origin: Some(delivery.queue.to_string()),
    };
    bench.publisher.dead_letter(&delivery.message, &note).await.unwrap();
    delivery.ack().await.unwrap();
    let letter = next(&mut dead).await;
    assert_eq!(letter.message.dead_letter_info(), note);
    assert_eq!(letter.job.as_ref(), Ok(&job));
    letter.ack().await.unwrap();
    bench.finish().await;
}

#[tokio::test]
async fn what_is_no_job_is_delivered_as_an_error_and_can_be_buried() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Embed, 8).await;
    let (mut dead, _cancel_dead) = bench.consume_queue(topology::dead_letter_queue(), 8).await;
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
        bench.vhost.publish(topology::JOB_EXCHANGE, "embed.v1", properties.clone(), "{\"not\": \"a job\"}").await;
        let delivery = next(&mut consumer).await;
        let error = delivery.job.as_ref().unwrap_err();
        assert!(matches!(
            error,
            EnvelopeError::UnknownType(_)
                | EnvelopeError::InvalidHeader { .. }
                | EnvelopeError::InvalidBody { .. }
        ));
        let note = DeadLetterInfo {
            reason: DiscardReason::Rejected,
            error: error.to_string(),
            worker: None,
            origin: Some(delivery.queue.to_string()),
        };
        bench.publisher.dead_letter(&delivery.message, &note).await.unwrap();
        delivery.ack().await.unwrap();
        let letter = next(&mut dead).await;
        assert_eq!(letter.message.dead_letter_info(), note, "{properties}");
        assert_eq!(letter.message.body(), b"{\"not\": \"a job\"}");
        letter.ack().await.unwrap();
    }
    assert_quiet(&mut consumer).await;
    bench.finish().await;
}

#[tokio::test]
async fn what_the_broker_discards_itself_names_the_queue() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Predict, 1).await;
    let (mut dead, _cancel_dead) = bench.consume_queue(topology::dead_letter_queue(), 1).await;
    let job = envelope(0);
    bench.publisher.publish(&job, &Route::Predict).await.unwrap();
    for count in 0..=50 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.delivery_count, count);
        delivery.release().await.unwrap();
    }
    let letter = next(&mut dead).await;
    let note = letter.message.dead_letter_info();
    assert_eq!(
        (&note.reason, note.origin.as_deref()),
        (&DiscardReason::DeliveryLimit, Some("subwatch.predict.v1"))
    );
    assert_eq!(letter.job.as_ref(), Ok(&job));
    letter.ack().await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_closes_lose_nothing_and_keep_the_prefetch() {
    const CLOSES: usize = 4;
    const PREFETCH: usize = 8;
    let bench = Bench::new().await;
    let (mut consumer, cancel) = bench.consume(&Route::Embed, PREFETCH as u16).await;
    let (closed, published) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let publishing = async {
        for index in 0.. {
            if closed.load(Relaxed) >= CLOSES {
                return;
            }
            let job = envelope(index);
            // A publish that a close interrupted is repeated, as the coordinator does.
            while let Err(error) = bench.publisher.publish(&job, &Route::Embed).await {
                assert!(error.is_retryable(), "{error}");
            }
            published.lock().unwrap().insert(job.job);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closing = async {
        while closed.load(Relaxed) < CLOSES {
            tokio::time::sleep(Duration::from_millis(500)).await;
            closed.fetch_add(bench.vhost.close_all_connections().await, Relaxed);
        }
    };
    // Fills the prefetch, looks whether more comes, then acknowledges all of it.
    let mut acknowledged = BTreeSet::new();
    let consuming = async {
        let mut held: Vec<Delivery> = Vec::new();
        loop {
            let more = timeout(QUIET / 3, consumer.next()).await;
            held.retain(|held| held.receipt.is_usable());
            let quiet = more.is_err();
            held.extend(more.ok().flatten());
            assert!(
                held.len() <= PREFETCH,
                "{} deliveries are held under a prefetch of {PREFETCH}",
                held.len()
            );
            if quiet {
                for delivery in held.drain(..) {
                    if delivery.ack().await.is_ok() {
                        acknowledged.insert(delivery.job.unwrap().job);
                    }
                }
                let done =
                    closed.load(Relaxed) >= CLOSES && published.lock().unwrap().is_subset(&acknowledged);
                if done && bench.depth(&Route::Embed).await == Some(0) {
                    return;
                }
            }
        }
    };
    let all = async { tokio::join!(publishing, closing, consuming) };
    timeout(Duration::from_secs(90), all).await.expect("every published job is delivered and acknowledged");
    eventually("the prefetch is set on the new connection", || async {
        bench.vhost.prefetches().await == [("subwatch.embed.v1".to_owned(), PREFETCH as u64)]
    })
    .await;
    cancel.cancel();
    bench.finish().await;
}

#[tokio::test]
async fn a_deleted_queue_is_declared_and_consumed_again() {
    let bench = Bench::new().await;
    let route = Route::Train(Fingerprint("bits-1".to_owned()));
    let (mut consumer, _cancel) = bench.consume(&route, 1).await;
    bench.vhost.delete_queue(&route.queue_name()).await;
    eventually("the queue is there again", || async { bench.depth(&route).await.is_some() }).await;
    eventually("it is bound again", || async { bench.publisher.publish(&envelope(1), &route).await.is_ok() })
        .await;
    next(&mut consumer).await.ack().await.unwrap();
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_unroutable_are_refused_among_many() {
    let bench = Bench::new().await;
    let nobody = Route::Train(Fingerprint("nobody-has-it".to_owned()));
    let publishing = (0..600).map(|index| {
        let (publisher, nobody) = (bench.publisher.clone(), nobody.clone());
        tokio::spawn(async move {
            let route = if index % 3 == 0 { &nobody } else { &Route::Embed };
            (index, publisher.publish(&envelope(index), route).await)
        })
    });
    for published in join_all(publishing).await {
        let (index, result) = published.unwrap();
        let (exchange, routing_key) = (topology::JOB_EXCHANGE.to_owned(), nobody.routing_key());
        let want =
            if index % 3 == 0 { Err(PublishError::Unroutable { exchange, routing_key }) } else { Ok(()) };
        assert_eq!(result, want, "job {index}");
    }
    assert_eq!(bench.depth(&Route::Embed).await, Some(400));
    assert_eq!(bench.depth(&nobody).await, None);
    bench.finish().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
    let bench = Bench::new().await;
    bench.vhost.limit_queues("^subwatch.embed", 1000).await;
    eventually("the queue is full", || async {
        match bench.publisher.publish(&envelope(0), &Route::Embed).await {
            Ok(()) => false,
            Err(error) => {
                assert!(matches!(error, PublishError::Full { .. }) && error.is_retryable(), "{error}");
                true
            }
        }
    })
    .await;
    bench.publisher.publish(&envelope(0), &Route::Predict).await.expect("another queue is not concerned");
    let (mut consumer, _cancel) = bench.consume(&Route::Embed, 100).await;
    let draining = async {
        loop {
            next(&mut consumer).await.ack().await.unwrap();
        }
    };
    let room = eventually("there is room again", || async {
        bench.publisher.publish(&envelope(0), &Route::Embed).await.is_ok()
    });
    tokio::select! {
        () = draining => unreachable!("draining does not end"),
        () = room => {}
    }
    bench.finish().await;
}

#[tokio::test]
async fn refused_credentials_and_missing_vhosts_end_at_once() {
    let servers = Servers::from_environment();
    let check = async |url: String| {
        let config = BrokerConfig::new(url.into(), "test");
        let error = timeout(Duration::from_secs(10), Publisher::connect(&config))
            .await
            .expect("it ends at once")
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
async fn a_broker_that_is_down_is_waited_for() {
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = BrokerConfig::new(format!("amqp://guest:hunter2@127.0.0.1:{port}/%2f").into(), "test");
    let connecting = timeout(Duration::from_secs(2), Publisher::connect(&config)).await;
    assert!(connecting.is_err(), "{connecting:?}");
}

#[tokio::test]
async fn cancelling_releases_what_nobody_took_and_keeps_what_is_held() {
    let bench = Bench::new().await;
    let (mut consumer, cancel) = bench.consume(&Route::Embed, 10).await;
    for index in 0..20 {
        bench.publisher.publish(&envelope(index), &Route::Embed).await.unwrap();
    }
    let (done, kept, dropped) =
        (next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await);
    cancel.cancel();
    assert!(consumer.next().await.is_none());
    let closed = tokio::spawn(consumer.closed());
    eventually("what nobody took is back", || async { bench.depth(&Route::Embed).await == Some(17) }).await;
    assert!(!closed.is_finished(), "deliveries are still held");
    done.ack().await.expect("a held delivery can be acknowledged after cancellation");
    kept.release().await.expect("a held delivery can be released after cancellation");
    drop(dropped);
    timeout(PATIENCE, closed).await.expect("the consumer closes").unwrap();
    eventually("the rest is back", || async { bench.depth(&Route::Embed).await == Some(19) }).await;
    bench.finish().await;
}

#[tokio::test]
async fn an_answer_over_a_lost_connection_is_an_error() {
    let bench = Bench::new().await;
    let (mut consumer, _cancel) = bench.consume(&Route::Embed, 1).await;
    bench.publisher.publish(&envelope(0), &Route::Embed).await.unwrap();
    let delivery = next(&mut consumer).await;
    eventually("the connections are known and closed", || async {
        bench.vhost.close_all_connections().await;
        !delivery.receipt.is_usable()
    })
    .await;
    assert!(delivery.ack().await.is_err());
    let again = next(&mut consumer).await;
    assert!(again.redelivered);
    again.ack().await.unwrap();
    bench.finish().await;
}
