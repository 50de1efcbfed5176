//! Idempotency keys, the limit on active submissions, cancellation and job time limits.

use std::time::{Duration, Instant};

use common::store::State;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    http,
};

#[tokio::test]
async fn repeated_request_with_an_idempotency_key_returns_the_first_submission() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(40).await.display().to_string();
    let other = cluster.sample(41).await.display().to_string();
    let embed = ["embed", dataset.as_str(), "--idempotency-key", "nightly-7"];
    let first = cluster.detach(&embed).await;
    assert_eq!(cluster.detach(&embed).await, first);
    cluster.coordinator.kill().await;
    cluster.restart_coordinator().await;
    assert_eq!(cluster.detach(&embed).await, first, "the key survives a coordinator's crash");

    let conflict = cluster.cli(&["embed", &other, "--idempotency-key", "nightly-7"]).await;
    assert_eq!(conflict.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&conflict.stderr).into_owned();
    assert!(stderr.contains("this idempotency key was used for another request"), "{stderr}");
    let train = ["train", dataset.as_str(), "--epochs", "1", "--idempotency-key", "run-1"];
    let run = cluster.detach(&train).await;
    assert_eq!(cluster.detach(&train).await, run);
    let bad = cluster.cli(&["embed", &dataset, "--idempotency-key", "two words"]).await;
    assert_eq!(bad.status.code(), Some(2));

    cluster.wait_for_end(first).await;
    cluster.wait_for_end(run).await;
    assert_eq!(cluster.detach(&embed).await, first, "the key outlives its submission");
    // The run, its own embed submission and the user's.
    assert_eq!(cluster.store.submissions(None, 10).await.unwrap().len(), 3);
    cluster.finish().await;
}

#[tokio::test]
async fn requests_over_the_active_limit_are_refused_until_one_ends() {
    let mut cluster = Cluster::start_with(0, &[("SUBWATCH_MAX_ACTIVE", "1".to_owned())]).await;
    let dataset = cluster.sample(20).await.display().to_string();
    let first = cluster.detach(&["embed", &dataset]).await;
    let submit = || async {
        let request = http().post(format!("{}/v1/submissions", cluster.url()));
        let request = request.header("idempotency-key", "later");
        request.json(&json!({"kind": "embed", "dataset": dataset})).send().await.unwrap()
    };
    let refused = submit().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "10");
    let problem: Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("SUBWATCH_MAX_ACTIVE"), "{problem}");
    assert_eq!(cluster.cli(&["train", &dataset]).await.status.code(), Some(1));

    cluster.json(&["cancel", &first.to_string(), "-o", "json"], &[0]).await;
    eventually("a submission is accepted", || async { submit().await.status() == StatusCode::ACCEPTED })
        .await;
    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    eventually("the submission succeeds", || async {
        cluster.store.submissions(None, 1).await.unwrap()[0].state == State::Succeeded
    })
    .await;
    cluster.finish().await;
}

#[tokio::test]
async fn cancelling_stops_jobs_in_flight() {
    let cluster = Cluster::start_with(1, &[("SUBWATCH_CHUNK_ITEMS", "1024".to_owned())]).await;
    let dataset = cluster.sample(1500).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let in_flight = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    cluster.workers[0].resume();
    cluster.json(&["cancel", &id.to_string(), "-o", "json"], &[0]).await;
    let (cancelled, cancelled_ms) = (Instant::now(), cluster.store.now_ms().await.unwrap());
    eventually("the jobs in flight are dropped", || async {
        let workers = cluster.store.workers().await.unwrap();
        workers
            .iter()
            .all(|worker| worker.record.seen_ms > cancelled_ms && worker.record.jobs_in_flight == Some(0))
    })
    .await;
    tests::print_line(&format!(
        "cancellation: {} jobs of up to 1024 images in flight were dropped within {:.1} s",
        in_flight.len(),
        cancelled.elapsed().as_secs_f64()
    ));
    let ended = cluster.submission(id).await;
    assert_eq!(ended.state, State::Cancelled);
    assert!(ended.succeeded < 1500, "the submission was complete before it was cancelled: {ended:?}");
    let again = cluster.cli(&["cancel", &id.to_string()]).await;
    assert_eq!(again.status.code(), Some(1));
    cluster.finish().await;
}

#[tokio::test]
async fn stuck_worker_exits_and_only_the_slow_job_is_poison() {
    // One job of 1024 images, which exceeds the time limit, and one of 6.
    let settings =
        [("SUBWATCH_CHUNK_ITEMS", "1024".to_owned()), ("SUBWATCH_JOB_TIMEOUT_SECONDS", "3".to_owned())];
    let mut cluster = Cluster::start_with(1, &settings).await;
    let dataset = cluster.sample(1030).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let mut ends = 0;
    while !cluster.submission(id).await.state.is_terminal() {
        let last = cluster.workers.len() - 1;
        if cluster.workers[last].has_ended() {
            let log = cluster.workers[last].log();
            // On a slow machine a single batch may take too long.
            let messages = ["exceeded its time limit of 3s", "the model has been computing one batch"];
            assert!(messages.iter().any(|message| log.contains(message)), "{log}");
            ends += 1;
            assert!(ends < 12, "the job was not recognised as poison");
            cluster.add_worker();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tests::print_line(&format!("a job over its time limit ended {ends} workers"));
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (6, 1024), "{ended:?}");
    let letters = cluster.json(&["dead-letters", "list", "-o", "json"], &[0]).await;
    assert_eq!((&letters[0]["reason"], &letters[0]["job"]), (&json!("poison"), &json!("0")), "{letters}");
    cluster.finish().await;
}
