//! Embedding spaces on mixed fleets: workers of different precisions and weights side by side.

use std::path::PathBuf;

use common::{
    embedding::{DeviceClass, Space},
    ids::SubmissionId,
};
use serde_json::{Value, json};
use tests::cluster::{Cluster, eventually};

const IMAGES: u64 = 60;

/// The space of the worker with this index.
async fn space_of(cluster: &Cluster, worker: usize) -> (Space, DeviceClass) {
    let instance = cluster.workers[worker].logged("worker is consuming jobs", "instance").unwrap();
    let workers = cluster.store.workers().await.unwrap();
    let mut records = workers.into_iter().map(|worker| worker.record);
    let record = records.find(|record| instance == record.instance.to_string()).unwrap();
    (record.space.unwrap(), record.device_class.unwrap())
}

async fn embeddings(cluster: &Cluster, space: &Space) -> u64 {
    cluster.store.bucket_sizes(space).await.unwrap().iter().sum()
}

async fn sample(cluster: &Cluster) -> (PathBuf, String) {
    let dataset = cluster.sample(IMAGES as u32).await;
    let path = dataset.display().to_string();
    (dataset, path)
}

/// Waits for the end of a submission, and returns its status.
async fn ended(cluster: &Cluster, id: SubmissionId) -> Value {
    cluster.wait_for_end(id).await;
    cluster.json(&["status", &id.to_string(), "-o", "json"], &[0]).await
}

/// What the status says that a submission waits for.
async fn waiting(cluster: &Cluster, id: SubmissionId) -> Option<Value> {
    let status = cluster.json(&["status", "-o", "json"], &[0]).await;
    let waiting = status["waiting"].as_array().unwrap();
    waiting.iter().find(|view| view["submission"] == json!(id)).map(|view| view["waiting"].clone())
}

fn precision(name: &str) -> [(&'static str, String); 1] {
    [("SUBWATCH_MODEL_PRECISION", name.to_owned())]
}

fn weights(name: &str) -> [(&'static str, String); 1] {
    [("SUBWATCH_MODEL_WEIGHTS", name.to_owned())]
}

#[tokio::test]
async fn workers_of_two_precisions_compute_each_submission_in_one_space() {
    let mut cluster = Cluster::start(0).await;
    for name in ["fp32", "bf16"] {
        cluster.add_worker_with(&precision(name));
    }
    cluster.wait_for_workers(2).await;
    let (fp32, class) = space_of(&cluster, 0).await;
    let (bf16, _) = space_of(&cluster, 1).await;
    assert_ne!(fp32, bf16);
    let (_, path) = sample(&cluster).await;

    // Both workers are live, but only that of the space takes part.
    let embed = cluster.json(&["embed", &path, "--space", &bf16.0, "-o", "json"], &[0]).await;
    assert_eq!(embed["space"], json!(bf16.0));
    assert_eq!(embed["computed_on"], json!({class.to_string(): IMAGES}));
    assert_eq!((embeddings(&cluster, &bf16).await, embeddings(&cluster, &fp32).await), (IMAGES, 0));

    // Each run has the features of its space, whoever computes the gradients, and predicts in that space.
    let mut runs = Vec::new();
    for space in [&bf16, &fp32] {
        let train = ["train", &path, "--epochs", "2", "--space", &space.0, "-o", "json"];
        let (run, again) = (cluster.json(&train, &[0]).await, cluster.json(&train, &[0]).await);
        assert_eq!(run["space"], json!(space.0));
        for field in ["features_sha256", "weights_sha256"] {
            assert!(run[field].is_string() && run[field] == again[field], "{field}: {run} {again}");
        }
        runs.push(run);
    }
    assert_ne!(runs[0]["features_sha256"], runs[1]["features_sha256"]);
    for (run, space) in runs.iter().zip([&bf16, &fp32]) {
        let run = run["run"].as_str().unwrap();
        let id = cluster.detach(&["predict", &path, "--run", run]).await;
        let predicted = ended(&cluster, id).await;
        assert_eq!((&predicted["space"], &predicted["cached"]), (&json!(space.0), &json!(IMAGES)));
    }

    // A space of one device class is filled by devices of that class, without the embeddings of others.
    let uniform = bf16.of_class(&class);
    let arguments = ["embed", &path, "--space", &bf16.0, "--uniform-hardware", "-o", "json"];
    let embed = cluster.json(&arguments, &[0]).await;
    assert_eq!((&embed["space"], &embed["cached"]), (&json!(uniform.0), &json!(0)));
    assert_eq!(embeddings(&cluster, &uniform).await, IMAGES);
    let run = runs[0]["run"].as_str().unwrap();
    let id = cluster.detach(&["predict", &path, "--run", run, "--uniform-hardware"]).await;
    let predicted = ended(&cluster, id).await;
    assert_eq!((&predicted["space"], &predicted["cached"]), (&json!(uniform.0), &json!(IMAGES)));

    let unknown = cluster.cli(&["embed", &path, "--space", "resnet34-unknown"]).await;
    assert_eq!(unknown.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("'resnet34-unknown' does not exist"));
    cluster.finish().await;
}

#[tokio::test]
async fn weights_are_replaced_while_submissions_of_both_spaces_are_in_progress() {
    let mut cluster = Cluster::start(0).await;
    let (_, path) = sample(&cluster).await;
    // Without a worker, no space is chosen.
    let early = cluster.detach(&["embed", &path]).await;
    let reason = waiting(&cluster, early).await.unwrap();
    assert!(reason.as_str().unwrap().starts_with("no live worker runs embed jobs"), "{reason}");

    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    cluster.wait_for_end(early).await;
    let (old, _) = space_of(&cluster, 0).await;
    let train = ["train", &path, "--epochs", "2", "-o", "json"];
    let run = cluster.json(&train, &[0]).await;
    let id = run["run"].as_str().unwrap().to_owned();
    assert_eq!(run["space"], json!(old.0));

    // The workers are replaced by others with new weights.
    assert!(cluster.workers[0].terminate().await.success());
    cluster.add_worker_with(&weights("random:1"));
    cluster.wait_for_workers(1).await;
    let (new, _) = space_of(&cluster, 1).await;
    assert_ne!(old, new);
    let predict = cluster.detach(&["predict", &path, "--run", &id]).await;
    let embed = cluster.json(&["embed", &path, "-o", "json"], &[0]).await;
    assert_eq!((&embed["space"], &embed["cached"]), (&json!(new.0), &json!(0)));
    let reason = waiting(&cluster, predict).await.unwrap();
    assert!(reason.as_str().unwrap().contains(&old.0), "{reason}");
    let text = cluster.cli(&["status"]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains(&format!("submission {predict} waits: no live worker runs predict jobs")),
        "{text}"
    );
    let of_new: Value = cluster.json(&train, &[0]).await;
    assert_eq!(of_new["space"], json!(new.0));

    let waiting_run = cluster.detach(&["train", &path, "--epochs", "1", "--space", &old.0]).await;
    let why = format!("waiting: no live worker runs embed jobs in embedding space {}", old.0);
    eventually("the run names what it waits for", async || {
        let run = cluster.json(&["status", &waiting_run.to_string(), "-o", "json"], &[0]).await;
        run["progress"].as_str().unwrap().contains(&why)
    })
    .await;

    // A worker with the old weights comes back.
    cluster.add_worker();
    cluster.wait_for_workers(2).await;
    assert_eq!(ended(&cluster, waiting_run).await["space"], json!(old.0));
    let predicted = ended(&cluster, predict).await;
    assert_eq!((&predicted["space"], &predicted["cached"]), (&json!(old.0), &json!(IMAGES)));
    assert_eq!(waiting(&cluster, predict).await, None);

    // Computed again, the features have the same bits, and so has the head.
    cluster.json(&["spaces", "drop", &old.0, "--force", "-o", "json"], &[0]).await;
    let again = ["train", &path, "--epochs", "2", "--space", &old.0, "-o", "json"];
    eventually("the worker registers its space again", async || {
        cluster.store.spaces().await.unwrap().contains_key(&old.0)
    })
    .await;
    let again = cluster.json(&again, &[0]).await;
    for field in ["features_sha256", "weights_sha256"] {
        assert_eq!(again[field], run[field], "{field}");
    }
    cluster.finish().await;
}
