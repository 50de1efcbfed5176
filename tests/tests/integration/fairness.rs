//! Submissions share a queue in turns, and the queue holds few of their jobs.

use common::{ids::SubmissionId, store::State};
use tests::cluster::{Cluster, eventually};

/// Items per job.
const JOB_ITEMS: u64 = 16;
/// Jobs that are queued while no worker is connected.
const QUEUED: u32 = 256 / JOB_ITEMS as u32;
/// Jobs that a worker runs at a time.
const PREFETCH: u32 = 4;

#[tokio::test]
async fn small_submission_ends_while_a_large_one_before_it_has_hardly_begun() {
    let mut cluster = Cluster::start_with(0, &[("SUBWATCH_CHUNK_ITEMS", JOB_ITEMS.to_string())]).await;
    let (large, small) = (cluster.sample(960).await, cluster.sample(48).await);
    let submit = async |folder: &std::path::Path| -> SubmissionId {
        cluster.detach(&["embed", &folder.display().to_string()]).await
    };
    let large = submit(&large).await;
    let published = async |id| cluster.submission(id).await.jobs_published;
    eventually("the queue has its jobs", || async { published(large).await == QUEUED }).await;

    let small = submit(&small).await;
    let interactive = embed_upload(&cluster).await;
    eventually("the interactive job does not wait", || async { published(interactive).await == 1 }).await;
    eventually("the small submission is open", || async {
        cluster.submission(small).await.state == State::Running
    })
    .await;
    assert_eq!((published(large).await, published(small).await), (QUEUED, 0), "no worker takes jobs");

    cluster.add_worker();
    let ended = cluster.wait_for_end(small).await;
    let meanwhile = cluster.submission(large).await;
    assert_eq!((ended.succeeded, ended.jobs), (48, 3), "{ended:?}");
    // The queued jobs are first. Then the large one has a turn for each of the small
    // one's, and a few until this test looks.
    let most = QUEUED + 2 * PREFETCH + 2 * ended.jobs;
    assert!(meanwhile.jobs_finished <= most, "{} of {} jobs", meanwhile.jobs_finished, meanwhile.jobs);
    assert_eq!((meanwhile.state, meanwhile.jobs), (State::Running, 60));

    let ended = cluster.wait_for_end(large).await;
    assert_eq!((ended.succeeded, ended.jobs_published), (960, 60), "{ended:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn next_leader_continues_where_the_last_one_stopped_feeding() {
    let settings =
        [("SUBWATCH_CHUNK_ITEMS", "1".to_owned()), ("SUBWATCH_RESCUE_AFTER_SECONDS", "2".to_owned())];
    let mut cluster = Cluster::start_with(0, &settings).await;
    let dataset = cluster.sample(280).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("the queue has its jobs", || async { cluster.submission(id).await.jobs_published == 256 })
        .await;
    let jobs = cluster.json(&["jobs", &id.to_string(), "-o", "json"], &[0]).await;
    let states: Vec<&str> =
        jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!((states[255], states[256]), ("queued", "unpublished"));

    cluster.coordinator.kill().await;
    cluster.vhost.delete_queue("subwatch.embed.v1").await;
    cluster.restart_coordinator().await;
    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (280, 0), "{ended:?}");
    cluster.finish().await;
}

/// Submits an uploaded image and returns the submission's ID.
async fn embed_upload(cluster: &Cluster) -> SubmissionId {
    let client = tests::http();
    let image = std::fs::read(cluster.folder().join("sample-48/thumbnails/s0-000001.jpg")).unwrap();
    let sent = client.post(format!("{}/v1/images", cluster.url())).body(image).send().await.unwrap();
    let uploaded: serde_json::Value = sent.json().await.unwrap();
    let images = serde_json::json!([{"item": "one", "sha256": uploaded["sha256"]}]);
    let request = serde_json::json!({"kind": "embed", "images": images});
    let sent = client.post(format!("{}/v1/submissions", cluster.url())).json(&request).send().await.unwrap();
    let view: serde_json::Value = sent.json().await.unwrap();
    view["submission"].as_str().unwrap().parse().unwrap()
}
