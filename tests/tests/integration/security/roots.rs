//! Workers check the roots themselves: neither a job nor a changed dataset makes them read other files.

use std::{fs, os::unix::fs::symlink};

use common::{
    broker::{BrokerConfig, Publisher},
    ids::JobId,
    job::{
        args::{Chunk, EmbedArgs, JobArgs},
        envelope::Envelope,
        kind::Kind,
    },
    store::State,
    topology::Route,
};
use serde_json::json;
use tests::cluster::{Cluster, eventually};
use url::Url;

/// Starts like a password file, which is not an image.
const SECRET: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n";

#[tokio::test]
async fn dataset_that_became_a_link_is_not_read() {
    let mut cluster = Cluster::start_with_known_space(&[]).await;
    let outside = tempfile::tempdir().unwrap();
    let dataset = cluster.folder().join("set");
    for folder in [dataset.as_path(), outside.path()] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("a.jpg"), SECRET).unwrap();
    }
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    let published = || async { cluster.submission(id).await.jobs_published == 1 };
    eventually("the job is published", published).await;
    fs::remove_dir_all(&dataset).unwrap();
    symlink(outside.path(), &dataset).unwrap();

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.failed), (State::CompletedWithErrors, 1), "{ended:?}");
    let failures = format!("{:?}", cluster.store.results(id, 0, 1).await.unwrap());
    assert!(failures.contains("it points outside the dataset"), "{failures}");
    assert!(!failures.contains("72 6f 6f 74") && !failures.contains("root"), "{failures}");
    cluster.finish().await;
}

#[tokio::test]
async fn job_with_another_folder_or_part_is_discarded_unread() {
    let mut cluster = Cluster::start_with_known_space(&[]).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.jpg"), SECRET).unwrap();
    fs::write(outside.path().join("00000.jsonl"), SECRET).unwrap();
    let outside = Url::from_directory_path(outside.path()).unwrap();
    let dataset = cluster.folder().join("set");
    fs::create_dir(&dataset).unwrap();
    fs::write(dataset.join("a.jpg"), SECRET).unwrap();

    let broker = BrokerConfig::new(cluster.vhost.amqp_url().into(), "test");
    let publisher = Publisher::connect(&broker).await.unwrap();
    for forges_part in [false, true] {
        let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
        let published = || async { cluster.submission(id).await.jobs_published == 1 };
        eventually("the job is published", published).await;
        // Only the forged job is left.
        cluster.vhost.delete_queue(&cluster.queue(Route::Embed).await).await;
        let part = cluster.folder().join(format!("artifacts/manifests/{id}/00000.jsonl"));
        let chunk = Chunk {
            part: if forges_part {
                outside.join("00000.jsonl").unwrap()
            } else {
                Url::from_file_path(&part).unwrap()
            },
            range: None,
            dataset: Some(if forges_part {
                Url::from_directory_path(&dataset).unwrap()
            } else {
                outside.clone()
            }),
            index: 0,
            first_item: 0,
            items: 1,
        };
        let forged = Envelope {
            job: JobId::derive(id, Kind::Embed, "0"),
            submission: id,
            attempt: 1,
            max_attempts: 1,
            generation: 0,
            deadline_ms: None,
            traceparent: None,
            args: JobArgs::Embed(EmbedArgs { chunk, space: None }),
        };
        publisher.publish(&forged, &Route::Embed(None)).await.unwrap();
        let worker = cluster.add_worker();
        let ended = cluster.wait_for_end(id).await;
        assert_eq!((ended.state, ended.failed), (State::CompletedWithErrors, 1), "{ended:?}");
        let letters = cluster.json(&["dead-letters", "list", "-o", "json"], &[0]).await;
        let error = letters[0]["error"].as_str().unwrap();
        let setting = if forges_part { "SUBWATCH_ARTIFACTS" } else { "SUBWATCH_DATASET_ROOTS" };
        assert!(error.contains(&format!("is outside the {setting} of this process")), "{error}");
        assert!(!error.contains("root:x") && !error.contains("72 6f"), "{error}");
        assert_eq!(letters.as_array().map(Vec::len), Some(1), "{letters}");
        let purged = cluster.json(&["dead-letters", "purge", "--all", "-o", "json"], &[0]).await;
        assert_eq!(purged["processed"], json!(1), "{purged}");
        cluster.workers[worker].terminate().await;
    }
    cluster.finish().await;
}
