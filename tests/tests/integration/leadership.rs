//! Several coordinators: all serve requests, one leads, and a standby takes over when the leader dies.

use std::time::Instant;

use serde_json::Value;
use tests::cluster::{Cluster, eventually};

const TRAIN: [&str; 4] = ["--epochs", "100", "--batch-size", "20"];

/// Starts a second coordinator and a run, and waits until two epochs are complete.
async fn start_run(cluster: &mut Cluster) -> (Value, common::ids::SubmissionId, String) {
    let dataset = cluster.sample(160).await.display().to_string();
    let mut train = vec!["train", dataset.as_str()];
    train.extend(TRAIN);
    let mut undisturbed = train.clone();
    undisturbed.extend(["-o", "json"]);
    let undisturbed = cluster.json(&undisturbed, &[0]).await;
    let standby = cluster.add_standby().await;
    let run = cluster.detach(&train).await;
    eventually("two epochs are complete", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        view["epochs"].as_array().is_some_and(|epochs| epochs.len() >= 2)
    })
    .await;
    assert!(!cluster.submission(run).await.state.is_terminal(), "the run ended too early");
    (undisturbed["weights_sha256"].clone(), run, standby)
}

#[tokio::test]
async fn standby_takes_over_and_trains_the_same_bits() {
    let mut cluster = Cluster::start(1).await;
    let (weights, run, standby) = start_run(&mut cluster).await;
    cluster.coordinator.kill().await;
    let killed = Instant::now();
    cluster.use_coordinator(&standby);
    eventually("the standby leads", || async {
        cluster.standbys[0].log().contains("this coordinator is the leader now")
    })
    .await;
    tests::print_line(&format!(
        "a standby took over {:.1} s after the leader was killed",
        killed.elapsed().as_secs_f64()
    ));
    assert!(cluster.wait_for_end(run).await.error.is_none());
    let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(view["weights_sha256"], weights);
    cluster.finish().await;
}

#[tokio::test]
async fn suspended_leader_steps_down_once_replaced() {
    let mut cluster = Cluster::start(1).await;
    let (weights, run, standby) = start_run(&mut cluster).await;
    cluster.coordinator.pause();
    let first = cluster.url().to_owned();
    cluster.use_coordinator(&standby);
    eventually("the standby leads", || async {
        cluster.standbys[0].log().contains("this coordinator is the leader now")
    })
    .await;
    cluster.coordinator.resume();
    eventually("the former leader stops its tasks", || async {
        cluster.coordinator.log().contains("stopping this coordinator's tasks")
    })
    .await;
    assert!(cluster.wait_for_end(run).await.error.is_none());
    // Both serve the same result.
    for url in [first, standby] {
        cluster.use_coordinator(&url);
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        assert_eq!(view["weights_sha256"], weights);
    }
    cluster.finish().await;
}

#[tokio::test]
async fn submission_to_any_coordinator_is_driven_by_the_leader() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(64).await.display().to_string();
    let standby = cluster.add_standby().await;
    assert!(!cluster.standbys[0].log().contains("this coordinator is the leader now"));
    cluster.use_coordinator(&standby);
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], 64);
    assert!(!cluster.standbys[0].log().contains("this coordinator is the leader now"));
    // A graceful shutdown releases the leader's lease immediately.
    assert!(cluster.coordinator.terminate().await.success());
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!((&embedded["succeeded"], &embedded["cached"]), (&64.into(), &64.into()));
    cluster.finish().await;
}
