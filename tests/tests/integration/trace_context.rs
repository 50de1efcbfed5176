//! A request's trace context is passed to its submission and jobs.

use std::time::Duration;

use common::{
    broker::{BrokerConfig, Consumer, DeadLetterInfo, Delivery, Publisher, Subscription},
    ids::SubmissionId,
    job::discard::DiscardReason,
    store::State,
    topology::{DelayTier, Route},
};
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    http,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn submit(cluster: &Cluster, path: &str, request: Value, traceparent: &str) -> SubmissionId {
    let request = http().post(format!("{}{path}", cluster.url())).json(&request);
    let answer = request.header("traceparent", traceparent).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let view: Value = answer.json().await.unwrap();
    let id = view.get("submission").or(view.get("run")).and_then(Value::as_str);
    id.unwrap().parse().unwrap()
}

async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = timeout(Duration::from_secs(30), consumer.next()).await;
    delivery.expect("a delivery arrives").expect("the consumer is not cancelled")
}

#[tokio::test]
async fn traceparent_survives_retry_and_requeue() {
    let mut cluster = Cluster::start_with_known_space(&[]).await;
    let dataset = cluster.sample(20).await.display().to_string();
    let broker = BrokerConfig::new(cluster.vhost.amqp_url().into(), "test");
    let publisher = Publisher::connect(&broker).await.unwrap();
    let cancel = CancellationToken::new();
    let space = cluster.store.last_space().await.unwrap();
    let subscription = Subscription { queue: Route::Embed(space).queue(), prefetch: 1 };
    let mut consumer = Consumer::connect(&broker, vec![subscription], cancel.clone()).await.unwrap();

    let id =
        submit(&cluster, "/v1/submissions", json!({"kind": "embed", "dataset": dataset}), TRACEPARENT).await;
    let published = next(&mut consumer).await;
    let mut job = published.job.clone().unwrap();
    assert_eq!((job.submission, job.traceparent.as_deref()), (id, Some(TRACEPARENT)));

    job.attempt += 1;
    publisher.delay(&job, DelayTier::OneSecond, &published.routing_key).await.unwrap();
    published.ack().await.unwrap();
    let retried = next(&mut consumer).await;
    assert_eq!(retried.job.as_ref(), Ok(&job));

    let note = DeadLetterInfo {
        reason: DiscardReason::Attempts,
        error: "out of attempts".to_owned(),
        worker: None,
        origin: Some(retried.queue.to_string()),
    };
    publisher.dead_letter(&retried.message, &note).await.unwrap();
    retried.ack().await.unwrap();
    assert_eq!(cluster.wait_for_end(id).await.failed, 20);
    eventually("the dead letter is listed", || async {
        cluster.store.dead_letter_count().await.unwrap() == 1
    })
    .await;
    cluster.json(&["dead-letters", "requeue", "--submission", &id.to_string(), "-o", "json"], &[0]).await;
    let requeued = next(&mut consumer).await;
    let job = requeued.job.as_ref().unwrap();
    assert_eq!((job.generation, job.traceparent.as_deref()), (1, Some(TRACEPARENT)));
    requeued.release().await.unwrap();
    drop(requeued);
    cancel.cancel();
    consumer.closed().await;

    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    eventually("the requeued job is done", || async {
        cluster.submission(id).await.state == State::Succeeded
    })
    .await;
    cluster.finish().await;
}

#[tokio::test]
async fn run_passes_its_traceparent_on_and_malformed_ones_are_ignored() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(40).await.display().to_string();
    let run = submit(&cluster, "/v1/runs", json!({"dataset": dataset, "epochs": 1}), TRACEPARENT).await;
    assert_eq!(cluster.wait_for_end(run).await.traceparent.as_deref(), Some(TRACEPARENT));
    let submissions = cluster.store.submissions(None, 10).await.unwrap();
    let embed = submissions.iter().find(|submission| submission.parent == Some(run)).unwrap();
    assert_eq!(embed.traceparent.as_deref(), Some(TRACEPARENT));

    let request = json!({"kind": "embed", "dataset": dataset});
    let untraced = submit(&cluster, "/v1/submissions", request, "00-not-a-trace").await;
    assert_eq!(cluster.wait_for_end(untraced).await.traceparent, None);
    cluster.finish().await;
}
