//! Several coordinators: one drives, all answer, and another takes over when it dies.

use std::time::Instant;

use serde_json::Value;
use tests::cluster::{Cluster, eventually};

const TRAIN: [&str; 4] = ["--epochs", "100", "--batch-size", "20"];

/// Starts a second coordinator and a run, whose first epochs are through.
async fn run_under_way(cluster: &mut Cluster) -> (Value, common::ids::SubmissionId, String) {
    let dataset = cluster.sample(160).await.display().to_string();
    let mut train = vec!["train", dataset.as_str()];
    train.extend(TRAIN);
    let mut undisturbed = train.clone();
    undisturbed.extend(["-o", "json"]);
    let undisturbed = cluster.json(&undisturbed, &[0]).await;
    let deputy = cluster.add_deputy().await;
    let run = cluster.detach(&train).await;
    eventually("some epochs are through", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        view["epochs"].as_array().is_some_and(|epochs| epochs.len() >= 2)
    })
    .await;
    assert!(!cluster.submission(run).await.state.is_terminal(), "the run was over too early");
    (undisturbed["weights_sha256"].clone(), run, deputy)
}

#[tokio::test]
async fn a_deputy_takes_over_within_seconds_and_trains_the_same_bits() {
    let mut cluster = Cluster::start(1).await;
    let (weights, run, deputy) = run_under_way(&mut cluster).await;
    cluster.coordinator.kill().await;
    let killed = Instant::now();
    cluster.speak_to(&deputy);
    eventually("the deputy leads", || async { cluster.deputies[0].log().contains("this coordinator is the leader now") })
        .await;
    tests::say(&format!(
        "a deputy took over {:.1} s after the leader was killed",
        killed.elapsed().as_secs_f64()
    ));
    assert!(cluster.ended(run).await.error.is_none());
    let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(view["weights_sha256"], weights);
    cluster.finish().await;
}

#[tokio::test]
async fn a_leader_that_was_suspended_finds_itself_replaced_and_changes_nothing() {
    let mut cluster = Cluster::start(1).await;
    let (weights, run, deputy) = run_under_way(&mut cluster).await;
    cluster.coordinator.pause();
    let first = cluster.url().to_owned();
    cluster.speak_to(&deputy);
    eventually("the deputy leads", || async { cluster.deputies[0].log().contains("this coordinator is the leader now") })
        .await;
    cluster.coordinator.resume();
    eventually("the former leader knows", || async {
        cluster.coordinator.log().contains("stopping this coordinator's tasks")
    })
    .await;
    assert!(cluster.ended(run).await.error.is_none());
    // Both answer, and agree.
    for url in [first, deputy] {
        cluster.speak_to(&url);
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        assert_eq!(view["weights_sha256"], weights);
    }
    cluster.finish().await;
}

#[tokio::test]
async fn what_any_coordinator_takes_in_is_driven_by_the_one_that_leads() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(64).await.display().to_string();
    let deputy = cluster.add_deputy().await;
    assert!(!cluster.deputies[0].log().contains("this coordinator is the leader now"));
    cluster.speak_to(&deputy);
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], 64);
    assert!(!cluster.deputies[0].log().contains("this coordinator is the leader now"));
    // Ended in order, the leader gives the lease back at once.
    assert!(cluster.coordinator.terminate().await.success());
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!((&embedded["succeeded"], &embedded["cached"]), (&64.into(), &64.into()));
    cluster.finish().await;
}
