//! Processes that die: nothing is lost, every effect is applied once.

use tests::cluster::Cluster;

/// Epochs enough for a run to be caught in the act.
const EPOCHS: &str = "60";

#[tokio::test]
async fn a_worker_killed_while_embedding_loses_nothing() {
    let mut cluster = Cluster::start(2).await;
    let dataset = cluster.sample(500).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let held = cluster.pause_worker_holding(id, 0, |_| true).await;
    tests::say(&format!("a worker is killed while {} deliveries are in flight: jobs {held:?}", held.len()));
    assert!(!held.is_empty());
    cluster.workers[0].kill().await;

    let ended = cluster.ended(id).await;
    assert_eq!((ended.succeeded, ended.failed), (500, 0), "{ended:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn a_worker_killed_while_training_changes_no_bit() {
    let mut cluster = Cluster::start(2).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", EPOCHS, "--batch-size", "20", "-o", "json"];
    let undisturbed = cluster.json(&train, &[0]).await;

    let run = cluster.detach(&train[..train.len() - 2]).await;
    let held = cluster.pause_worker_holding(run, 0, |_| true).await;
    tests::say(&format!("a worker is killed while {} deliveries are in flight: jobs {held:?}", held.len()));
    assert!(!held.is_empty());
    cluster.workers[0].kill().await;

    assert!(cluster.ended(run).await.error.is_none());
    let disturbed = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(disturbed["weights_sha256"], undisturbed["weights_sha256"]);
    cluster.finish().await;
}

#[tokio::test]
async fn a_coordinator_killed_while_training_resumes_to_the_same_bits() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", EPOCHS, "--batch-size", "20", "-o", "json"];
    let undisturbed = cluster.json(&train, &[0]).await;

    let run = cluster.detach(&train[..train.len() - 2]).await;
    tests::cluster::eventually("some epochs are through", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        view["epochs"].as_array().is_some_and(|epochs| epochs.len() >= 2)
    })
    .await;
    cluster.coordinator.kill().await;
    assert!(
        !cluster.submission(run).await.state.is_terminal(),
        "the run was over before the coordinator died"
    );
    cluster.restart_coordinator().await;

    assert!(cluster.ended(run).await.error.is_none());
    let resumed = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(resumed["weights_sha256"], undisturbed["weights_sha256"]);
    cluster.finish().await;
}

#[tokio::test]
async fn a_job_that_kills_its_worker_is_blamed_alone() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(320).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    // Job 2 is poison: whichever worker starts it dies of it.
    let mut deaths = 0;
    while !cluster.submission(id).await.state.is_terminal() {
        let worker = cluster.workers.len() - 1;
        if !cluster.in_flight(id, worker).await.contains(&"2".to_owned()) {
            continue;
        }
        cluster.workers[worker].kill().await;
        deaths += 1;
        assert!(deaths < 10, "the job is not recognised as poison");
        cluster.add_worker();
    }
    tests::say(&format!("a poisoned job: {deaths} workers died of it"));

    let ended = cluster.ended(id).await;
    assert_eq!((ended.succeeded, ended.failed), (256, 64), "{ended:?}");
    let results = cluster.store.results(id, 128, 64).await.unwrap();
    for result in results.into_iter().flatten() {
        let common::job::outcome::ItemResult::Failed(failure) = result else {
            panic!("{result:?} is no failure")
        };
        assert_eq!(failure.reason, common::job::outcome::FailureReason::Poison);
    }
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 1);
    cluster.finish().await;
}
