//! Submissions share a queue in turns, and the queue holds few of their jobs.

use std::path::Path;

use common::{
    embedding::Space,
    ids::SubmissionId,
    store::{State, Submission},
    topology::Route,
};
use serde_json::{Value, json};
use tests::cluster::{Cluster, eventually};

/// Items that are queued while no worker is connected.
const QUEUED_ITEMS: u32 = 256;
/// Jobs that a worker runs at a time.
const PREFETCH: u32 = 4;

/// Starts a cluster without a worker, and returns the space of a worker that has been there.
async fn start(job_items: u32) -> (Cluster, Space) {
    let settings =
        [("SUBWATCH_CHUNK_ITEMS", job_items.to_string()), ("SUBWATCH_RESCUE_AFTER_SECONDS", "2".to_owned())];
    let mut cluster = Cluster::start_with(1, &settings).await;
    let space = cluster.store.workers().await.unwrap()[0].record.space.clone().unwrap();
    assert!(cluster.workers[0].terminate().await.success());
    (cluster, space)
}

async fn submit(cluster: &Cluster, space: &Space, folder: &Path) -> SubmissionId {
    cluster.detach(&["embed", &folder.display().to_string(), "--space", &space.0]).await
}

/// Waits until `jobs` jobs of a submission are published.
async fn published(cluster: &Cluster, id: SubmissionId, jobs: u32) -> Submission {
    eventually("jobs are published", || async { cluster.submission(id).await.jobs_published == jobs }).await;
    cluster.submission(id).await
}

#[tokio::test]
async fn small_submission_ends_while_a_large_one_before_it_has_hardly_begun() {
    let (mut cluster, space) = start(16).await;
    let (large, small) = (cluster.sample(960).await, cluster.sample(48).await);
    let large = submit(&cluster, &space, &large).await;
    published(&cluster, large, QUEUED_ITEMS / 16).await;

    let small = submit(&cluster, &space, &small).await;
    let interactive = embed_upload(&cluster, &space).await;
    published(&cluster, interactive, 1).await;
    eventually("the small submission is open", || async {
        cluster.submission(small).await.state == State::Running
    })
    .await;
    let jobs =
        [cluster.submission(large).await.jobs_published, cluster.submission(small).await.jobs_published];
    assert_eq!(jobs, [QUEUED_ITEMS / 16, 0], "no worker takes jobs");

    cluster.add_worker();
    let ended = cluster.wait_for_end(small).await;
    let meanwhile = cluster.submission(large).await;
    assert_eq!((ended.succeeded, ended.jobs), (48, 3), "{ended:?}");
    // The queued jobs are first. Then the large one has a turn for each of the small one's, and a few more until this test
    // looks.
    let most = QUEUED_ITEMS / 16 + 2 * PREFETCH + 2 * ended.jobs;
    assert!(meanwhile.jobs_finished <= most, "{} of {} jobs", meanwhile.jobs_finished, meanwhile.jobs);
    assert_eq!((meanwhile.state, meanwhile.jobs), (State::Running, 60));

    let ended = cluster.wait_for_end(large).await;
    assert_eq!((ended.succeeded, ended.jobs_published), (960, 60), "{ended:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn next_leader_continues_where_the_last_one_stopped_feeding() {
    let (mut cluster, space) = start(1).await;
    let dataset = cluster.sample(280).await;
    let id = submit(&cluster, &space, &dataset).await;
    published(&cluster, id, QUEUED_ITEMS).await;
    let jobs = cluster.json(&["jobs", &id.to_string(), "-o", "json"], &[0]).await;
    let states: Vec<&str> =
        jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!((states[255], states[256]), ("queued", "unpublished"));

    cluster.coordinator.kill().await;
    cluster.vhost.delete_queue(&Route::Embed(Some(space)).queue_name()).await;
    cluster.restart_coordinator().await;
    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (280, 0), "{ended:?}");
    cluster.finish().await;
}

/// Submits an uploaded image and returns the submission's ID.
async fn embed_upload(cluster: &Cluster, space: &Space) -> SubmissionId {
    let client = tests::http();
    let image = std::fs::read(cluster.folder().join("sample-48/thumbnails/s0-000001.jpg")).unwrap();
    let sent = client.post(format!("{}/v1/images", cluster.url())).body(image).send().await.unwrap();
    let uploaded: Value = sent.json().await.unwrap();
    let images = json!([{"item": "one", "sha256": uploaded["sha256"]}]);
    let request = json!({"kind": "embed", "images": images, "space": space});
    let sent = client.post(format!("{}/v1/submissions", cluster.url())).json(&request).send().await.unwrap();
    let view: Value = sent.json().await.unwrap();
    view["submission"].as_str().unwrap().parse().unwrap()
}
