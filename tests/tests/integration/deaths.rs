//! Crashes of workers and coordinators: nothing is lost, and effects are applied once.

use tests::cluster::Cluster;

/// Enough epochs to kill a process during the run.
const EPOCHS: &str = "60";

#[tokio::test]
async fn killed_worker_loses_no_embeddings() {
    let mut cluster = Cluster::start(2).await;
    let dataset = cluster.sample(500).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let in_flight = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    tests::print_line(&format!(
        "killing a worker with {} deliveries in flight: jobs {in_flight:?}",
        in_flight.len()
    ));
    assert!(!in_flight.is_empty());
    cluster.workers[0].kill().await;

    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (500, 0), "{ended:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn killed_worker_changes_no_trained_bit() {
    let mut cluster = Cluster::start(2).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", EPOCHS, "--batch-size", "20", "-o", "json"];
    let undisturbed = cluster.json(&train, &[0]).await;

    let run = cluster.detach(&train[..train.len() - 2]).await;
    let in_flight = cluster.pause_worker_with_job_in_flight(run, 0, |_| true).await;
    tests::print_line(&format!(
        "killing a worker with {} deliveries in flight: jobs {in_flight:?}",
        in_flight.len()
    ));
    assert!(!in_flight.is_empty());
    cluster.workers[0].kill().await;

    assert!(cluster.wait_for_end(run).await.error.is_none());
    let disturbed = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(disturbed["weights_sha256"], undisturbed["weights_sha256"]);
    cluster.finish().await;
}

#[tokio::test]
async fn killed_coordinator_resumes_training_to_the_same_bits() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", EPOCHS, "--batch-size", "20", "-o", "json"];
    let undisturbed = cluster.json(&train, &[0]).await;

    let run = cluster.detach(&train[..train.len() - 2]).await;
    tests::cluster::eventually("two epochs are complete", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        view["epochs"].as_array().is_some_and(|epochs| epochs.len() >= 2)
    })
    .await;
    cluster.coordinator.kill().await;
    assert!(
        !cluster.submission(run).await.state.is_terminal(),
        "the run ended before the coordinator was killed"
    );
    cluster.restart_coordinator().await;

    assert!(cluster.wait_for_end(run).await.error.is_none());
    let resumed = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(resumed["weights_sha256"], undisturbed["weights_sha256"]);
    cluster.finish().await;
}

#[tokio::test]
async fn poison_job_is_discarded_without_blaming_others() {
    let mut cluster = Cluster::start(1).await;
    let dataset = cluster.sample(320).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    // Job 2 is poison: every worker that starts it is killed.
    let mut deaths = 0;
    while !cluster.submission(id).await.state.is_terminal() {
        let worker = cluster.workers.len() - 1;
        if !cluster.in_flight(id, worker).await.contains(&"2".to_owned()) {
            continue;
        }
        cluster.workers[worker].kill().await;
        deaths += 1;
        assert!(deaths < 10, "the job was not recognised as poison");
        cluster.add_worker();
    }
    tests::print_line(&format!("a poison job killed {deaths} workers"));

    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (256, 64), "{ended:?}");
    let results = cluster.store.results(id, 128, 64).await.unwrap();
    for result in results.into_iter().flatten() {
        let common::job::outcome::ItemResult::Failed(failure) = result else {
            panic!("{result:?} is not a failure")
        };
        assert_eq!(failure.reason, common::job::outcome::FailureReason::Poison);
    }
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 1);
    cluster.finish().await;
}
