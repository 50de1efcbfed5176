//! Policies that an operator sets on RabbitMQ, for other queues, and that match those of jobs.

use common::{
    store::{State, Submission},
    topology::{Policy, Route},
};
use serde_json::{Value, json};
use tests::cluster::{Cluster, eventually};

/// Number of effects of a policy on the queue of embed jobs.
async fn effects(cluster: &Cluster, policy: Policy) -> u64 {
    let effects = cluster.store.policy_effects().await.unwrap();
    let queue = cluster.queue(Route::Embed).await;
    let of_embed = effects.iter().filter(|effect| effect.queue == queue);
    of_embed.filter(|effect| effect.policy == policy).map(|effect| effect.count).sum()
}

/// Returns what doctor says of policies; empty if it says nothing.
async fn doctor(cluster: &Cluster) -> String {
    let report = cluster.json(&["doctor", "-o", "json"], &[0, 1, 3]).await;
    let checks = report["checks"].as_array().or(report.as_array()).cloned().unwrap_or_default();
    let of_policies = checks.iter().find(|check: &&Value| check["name"] == "RabbitMQ policies");
    of_policies.map(|check| check["detail"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// Starts a worker, waits until all items are embedded, and checks that nothing was discarded or blamed on a deadline.
async fn finish(mut cluster: Cluster, submission: &Submission) {
    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    let ended = cluster.wait_for_end(submission.id).await;
    let counts = (ended.state, ended.succeeded, ended.failed);
    assert_eq!(counts, (State::Succeeded, submission.items, 0), "{ended:?}");
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    assert!(!cluster.coordinator.log().contains("deadline"), "{}", cluster.coordinator.log());
    // Copies that wait in a delay queue have no effect, but finish() waits for them.
    cluster.finish().await;
}

#[tokio::test]
async fn jobs_that_a_message_ttl_drops_are_published_again_and_have_not_expired() {
    let cluster = Cluster::start_with_known_space(&[]).await;
    cluster.vhost.set_policy("operator-policies", "^subwatch\\.embed", json!({"message-ttl": 300})).await;
    assert_eq!(doctor(&cluster).await, "");
    let dataset = cluster.sample(100).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("each job was dropped twice", || async { effects(&cluster, Policy::MessageTtl).await >= 4 })
        .await;
    let submission = cluster.submission(id).await;
    assert_eq!((submission.state, submission.failed), (State::Running, 0), "{submission:?}");
    let detail = doctor(&cluster).await;
    assert!(detail.contains("message-ttl dropped") && detail.contains("subwatch.embed."), "{detail}");
    assert!(!detail.contains("deadline"), "{detail}");
    finish(cluster, &submission).await;
}

#[tokio::test]
async fn jobs_with_a_deadline_still_expire_by_it_where_a_message_ttl_drops_them() {
    let cluster = Cluster::start_with_known_space(&[]).await;
    cluster.vhost.set_policy("policies", "^subwatch\\.embed", json!({"message-ttl": 300})).await;
    let dataset = cluster.sample(100).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset, "--deadline", "2"]).await;
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.failed), (State::CompletedWithErrors, 100), "{ended:?}");
    let letters = cluster.json(&["dead-letters", "list", "-o", "json"], &[0]).await;
    let letters = letters.as_array().unwrap();
    assert!(letters.len() == 2 && letters.iter().all(|letter| letter["reason"] == "expired"), "{letters:?}");
    assert!(effects(&cluster, Policy::MessageTtl).await >= 2);
    cluster.finish().await;
}

#[tokio::test]
async fn max_length_delays_jobs_and_loses_none() {
    let cluster = Cluster::start_with_known_space(&[]).await;
    let limit = json!({"max-length": 1, "overflow": "drop-head"});
    cluster.vhost.set_policy("policies", "^subwatch\\.", limit).await;
    let dataset = cluster.sample(320).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("doctor names max-length", || async { doctor(&cluster).await.contains("max-length") }).await;
    tests::print_line(&doctor(&cluster).await);
    let submission = cluster.submission(id).await;
    assert_eq!((submission.state, submission.jobs), (State::Running, 5), "{submission:?}");
    finish(cluster, &submission).await;
}

#[tokio::test]
async fn queues_that_expire_are_declared_again_with_their_jobs() {
    let settings = [("SUBWATCH_RESCUE_AFTER_SECONDS", "2".to_owned())];
    let cluster = Cluster::start_with_known_space(&settings).await;
    cluster.vhost.set_policy("policies", "^subwatch\\.", json!({"expires": 500})).await;
    let queue = cluster.queue(Route::Embed).await;
    let gone = async || !cluster.vhost.queue_counts().await.contains_key(&queue);
    eventually("the queue has expired", gone).await;
    let dataset = cluster.sample(100).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("both jobs are published", || async { cluster.submission(id).await.jobs_published == 2 })
        .await;
    eventually("the queue has expired with its jobs", gone).await;
    let noticed = format!("{queue} was deleted, as expires does");
    eventually("doctor names the queue", || async { doctor(&cluster).await.contains(&noticed) }).await;
    let submission = cluster.submission(id).await;
    finish(cluster, &submission).await;
}
