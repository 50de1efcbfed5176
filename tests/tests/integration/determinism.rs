//! Trained weights are independent of the number of workers.

use tests::cluster::Cluster;

/// Trains on a small sample with `workers` workers in a fresh system and returns the weights' digest. Every
/// worker must take part.
async fn weights_of(workers: usize) -> String {
    let mut cluster = Cluster::start(workers).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let run =
        cluster.json(&["train", &dataset, "--epochs", "3", "--batch-size", "20", "-o", "json"], &[0]).await;
    for worker in &mut cluster.workers {
        assert!(worker.terminate().await.success());
        let deliveries = worker.logged("worker stopped", "train_epoch").and_then(|count| count.as_u64());
        assert!(
            deliveries.is_some_and(|count| count > 0),
            "a worker took no part in training: {}",
            worker.log()
        );
    }
    cluster.finish().await;
    run["weights_sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn weights_are_the_same_for_one_two_and_four_workers() {
    let one = weights_of(1).await;
    assert_eq!(one, weights_of(2).await);
    assert_eq!(one, weights_of(4).await);
}
