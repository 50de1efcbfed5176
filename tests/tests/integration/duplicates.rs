//! Duplicate deliveries: effects are applied once.

use common::{
    broker::{BrokerConfig, Publisher},
    ids::JobId,
    job::{
        args::{Chunk, EmbedArgs, JobArgs},
        envelope::Envelope,
        kind::Kind,
    },
    topology::Route,
};
use dataset::files::parts;
use tests::cluster::{Cluster, eventually};
use url::Url;

#[tokio::test]
async fn redelivered_job_is_applied_once() {
    let cluster = Cluster::start(2).await;
    let dataset = cluster.sample(128).await;
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    let part = cluster.folder().join(format!("artifacts/manifests/{id}/00000.jsonl"));
    eventually("the submission is open", || async { cluster.submission(id).await.jobs == 2 }).await;
    let index =
        parts::read_index(&Url::from_directory_path(part.parent().unwrap()).unwrap(), 0).await.unwrap();

    let broker = BrokerConfig::new(cluster.vhost.amqp_url().into(), "test");
    let publisher = Publisher::connect(&broker).await.unwrap();
    let chunk = Chunk {
        part: Url::from_file_path(&part).unwrap(),
        range: parts::range_of(&index, 0),
        dataset: Some(Url::from_directory_path(&dataset).unwrap()),
        index: 0,
        first_item: 0,
        items: 64,
    };
    let duplicate = Envelope {
        job: JobId::derive(id, Kind::Embed, "0"),
        submission: id,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: None,
        traceparent: None,
        args: JobArgs::Embed(EmbedArgs { chunk, space: None }),
    };
    for _ in 0..10 {
        publisher.publish(&duplicate, &Route::Embed(None)).await.unwrap();
    }
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed, ended.jobs_finished), (128, 0, 2), "{ended:?}");
    // A duplicate after the submission has ended.
    publisher.publish(&duplicate, &Route::Embed(None)).await.unwrap();
    let before = cluster.submission(id).await;
    eventually("the late duplicate is consumed", || async {
        cluster.vhost.queue_counts().await.values().all(|count| *count == 0)
    })
    .await;
    assert_eq!(cluster.submission(id).await.succeeded, before.succeeded);
    cluster.finish().await;
}
