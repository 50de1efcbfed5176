//! Failed attempts, discarded jobs and requeueing.

use std::path::{Path, PathBuf};

use common::{
    broker::{BrokerConfig, Publisher},
    ids::{JobId, SubmissionId},
    job::{
        args::{Chunk, EmbedArgs, JobArgs, TrainEpochArgs},
        envelope::Envelope,
        kind::Kind,
        outcome::{FailureReason, ItemResult},
    },
    store::State,
    topology::Route,
    training::{protocol::Phase, tree::Node},
};
use serde_json::{Value, json};
use tests::cluster::{Cluster, eventually};
use url::Url;

/// Makes a file unreadable for a while: reading it fails as on a faulty disk.
struct Unreadable {
    file: PathBuf,
    aside: PathBuf,
}

impl Unreadable {
    fn make(file: &Path) -> Self {
        let aside = file.with_extension("aside");
        std::fs::rename(file, &aside).unwrap();
        // Opening a link to itself fails, but not with "not found".
        std::os::unix::fs::symlink(file, file).unwrap();
        Self { file: file.to_owned(), aside }
    }

    fn restore(self) {
        std::fs::rename(self.aside, self.file).unwrap();
    }
}

/// Submits 128 images and makes the second unreadable once the manifest is written.
async fn embed_with_one_unreadable(cluster: &Cluster) -> (SubmissionId, Unreadable) {
    let dataset = cluster.sample(128).await;
    cluster.workers[0].pause();
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    eventually("both jobs are published", || async { cluster.submission(id).await.jobs_published == 2 })
        .await;
    let unreadable = Unreadable::make(&dataset.join("thumbnails/s0-000001.jpg"));
    cluster.workers[0].resume();
    (id, unreadable)
}

async fn dead_letters(cluster: &Cluster, arguments: &[&str]) -> Value {
    let mut all = vec!["dead-letters"];
    all.extend(arguments);
    all.extend(["-o", "json"]);
    cluster.json(&all, &[0]).await
}

#[tokio::test]
async fn unreadable_item_is_retried_without_delaying_others() {
    let cluster = Cluster::start(1).await;
    let (id, unreadable) = embed_with_one_unreadable(&cluster).await;
    eventually("all other items are resolved", || async { cluster.submission(id).await.succeeded == 127 })
        .await;
    assert_eq!(cluster.submission(id).await.state, State::Running);
    let mark = cluster.store.job_status(id, "0").await.unwrap().unwrap();
    assert!(mark.history[0].error.contains("1 of 64 items unresolved: thumbnails/s0-000001.jpg"), "{mark:?}");
    assert!(mark.history[0].worker.is_some());
    unreadable.restore();

    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (128, 0), "{ended:?}");
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn job_out_of_attempts_is_dead_lettered_and_can_be_requeued() {
    let cluster = Cluster::start_with(1, &[("SUBWATCH_EMBED_ATTEMPTS", "1".to_owned())]).await;
    let (id, unreadable) = embed_with_one_unreadable(&cluster).await;
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.succeeded, ended.failed), (State::CompletedWithErrors, 127, 1));
    let results = cluster.store.results(id, 1, 1).await.unwrap();
    let Some(ItemResult::Failed(failure)) = &results[0] else { panic!("{results:?}") };
    assert_eq!(failure.reason, FailureReason::Discarded);

    let letters = dead_letters(&cluster, &["list", "--reason", "attempts", "--kind", "embed"]).await;
    assert_eq!(letters.as_array().map(Vec::len), Some(1), "{letters}");
    let letter_id = letters[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(dead_letters(&cluster, &["list", "--reason", "poison"]).await, json!([]));
    let letter = dead_letters(&cluster, &["show", &letter_id]).await;
    assert_eq!(letter["submission"], json!(id.to_string()));
    assert_eq!((&letter["job"], &letter["attempts"]), (&json!("0"), &json!(1)));
    assert!(letter["error"].as_str().unwrap().contains("attempt 1 of 1: 1 of 64 items"), "{letter}");
    assert_eq!(letter["attempt_errors"].as_array().map(Vec::len), Some(1), "{letter}");
    assert!(letter["payload"].as_str().unwrap().contains("\"first_item\":0"), "{letter}");
    assert_eq!(letter["queue"], json!(cluster.queue(Route::Embed).await));

    unreadable.restore();
    let outcome = dead_letters(&cluster, &["requeue", &letter_id]).await;
    assert_eq!((&outcome["processed"], &outcome["restored_items"]), (&json!(1), &json!(1)), "{outcome}");
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.succeeded, ended.failed), (State::Succeeded, 128, 0), "{ended:?}");
    assert_eq!(dead_letters(&cluster, &["list"]).await, json!([]));

    // A delivery of the old generation is acknowledged without effect.
    let broker = BrokerConfig::new(cluster.vhost.amqp_url().into(), "test");
    let publisher = Publisher::connect(&broker).await.unwrap();
    let part = cluster.folder().join(format!("artifacts/manifests/{id}/00000.jsonl"));
    let chunk = Chunk {
        part: Url::from_file_path(part).unwrap(),
        range: None,
        dataset: None,
        index: 0,
        first_item: 0,
        items: 64,
    };
    let stale = Envelope {
        job: JobId::derive(id, Kind::Embed, "0"),
        submission: id,
        attempt: 1,
        max_attempts: 1,
        generation: 0,
        deadline_ms: None,
        traceparent: None,
        args: JobArgs::Embed(EmbedArgs { chunk, space: None }),
    };
    publisher.publish(&stale, &Route::Embed(None)).await.unwrap();
    cluster.finish().await;
}

#[tokio::test]
async fn jobs_past_their_deadline_expire_with_or_without_a_worker() {
    let mut cluster = Cluster::start_with_known_space(&[]).await;
    let dataset = cluster.sample(100).await.display().to_string();
    let unmet = cluster.detach(&["embed", &dataset, "--deadline", "1"]).await;
    let ended = cluster.wait_for_end(unmet).await;
    assert_eq!((ended.state, ended.failed), (State::CompletedWithErrors, 100), "{ended:?}");
    let letters = dead_letters(&cluster, &["list", "--reason", "expired"]).await;
    assert_eq!(letters.as_array().map(Vec::len), Some(2), "{letters}");

    // Requeueing removes the deadline.
    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    let outcome = dead_letters(&cluster, &["requeue", "--submission", &unmet.to_string()]).await;
    assert_eq!((&outcome["processed"], &outcome["restored_items"]), (&json!(2), &json!(100)), "{outcome}");
    eventually("the requeued jobs are done", || async {
        cluster.submission(unmet).await.state == State::Succeeded
    })
    .await;

    cluster.workers[0].pause();
    let met = cluster.detach(&["embed", &dataset, "--deadline", "1"]).await;
    let published = || async { cluster.submission(met).await.jobs_published == 2 };
    eventually("the jobs are published", published).await;
    let deadline_ms = cluster.submission(met).await.deadline_ms.unwrap();
    eventually("the deadline passes", || async { cluster.store.now_ms().await.unwrap() > deadline_ms }).await;
    cluster.workers[0].resume();
    let ended = cluster.wait_for_end(met).await;
    assert_eq!((ended.succeeded, ended.failed), (0, 100), "{ended:?}");
    let outcome = dead_letters(&cluster, &["purge", "--all"]).await;
    assert_eq!(outcome["processed"], json!(2), "{outcome}");
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn refused_requeues_are_explained() {
    let cluster = Cluster::start(1).await;
    let properties = json!({"message_id": "strange", "type": "dance.v1"});
    cluster.vhost.publish("subwatch.jobs", "embed.v1", properties, "{}").await;
    eventually("the dead letter is recorded", || async {
        cluster.store.dead_letter_count().await.unwrap() == 1
    })
    .await;
    let refused = cluster.json(&["dead-letters", "requeue", "strange", "absent", "-o", "json"], &[3]).await;
    assert_eq!(refused["processed"], json!(0));
    let reasons: Vec<&str> =
        refused["refused"].as_array().unwrap().iter().map(|r| r["reason"].as_str().unwrap()).collect();
    assert!(reasons[0].contains("not a subwatch job"), "{reasons:?}");
    assert!(reasons[1].contains("dead letter 'absent' does not exist"), "{reasons:?}");

    let nothing = cluster.cli(&["dead-letters", "purge"]).await;
    assert_eq!(nothing.status.code(), Some(2));
    assert_eq!(cluster.cli(&["dead-letters", "show", "absent"]).await.status.code(), Some(5));
    assert_eq!(dead_letters(&cluster, &["purge", "strange"]).await["processed"], json!(1));
    cluster.finish().await;
}

#[tokio::test]
async fn job_over_the_delivery_limit_is_republished_unless_it_is_poison() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(64).await;
    cluster.workers[0].pause();
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    eventually("the job is published", || async { cluster.submission(id).await.jobs_published == 1 }).await;
    // A message as RabbitMQ dead-letters it at the delivery limit.
    let part = cluster.folder().join(format!("artifacts/manifests/{id}/00000.jsonl"));
    let body = json!({"chunk": {
        "part": Url::from_file_path(part).unwrap(), "dataset": Url::from_directory_path(&dataset).unwrap(),
        "index": 0, "first_item": 0, "items": 64,
    }});
    let properties = json!({
        "message_id": JobId::derive(id, Kind::Embed, "0"), "correlation_id": id, "type": "embed.v1",
        "headers": {
            "subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0,
            "x-death": [{"reason": "delivery_limit", "queue": "subwatch.embed.v1", "count": 1}],
        },
    });
    cluster.vhost.publish("subwatch.dead", "embed.v1", properties, &body.to_string()).await;
    eventually("the job is published again", || async {
        cluster.coordinator.log().contains(
            "the job reached RabbitMQ's delivery limit but has not crashed a worker in an exclusive run",
        )
    })
    .await;
    cluster.workers[0].resume();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (64, 0), "{ended:?}");
    assert_eq!(cluster.store.dead_letter_count().await.unwrap(), 0);
    cluster.finish().await;
}

#[tokio::test]
async fn run_with_a_dead_lettered_job_resumes_to_the_same_bits() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(160).await.display().to_string();
    let train = ["train", dataset.as_str(), "--epochs", "100", "--batch-size", "20", "-o", "json"];
    let undisturbed = cluster.json(&train, &[0]).await;

    let run = cluster.detach(&train[..train.len() - 2]).await;
    eventually("two epochs are complete", || async {
        let view = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
        view["epochs"].as_array().is_some_and(|epochs| epochs.len() >= 2)
    })
    .await;
    // Dead-letter a job of a completed step, then one of the current step.
    cluster.workers[0].pause();
    let record_dead_letter = async |version| {
        let args = JobArgs::TrainEpoch(TrainEpochArgs {
            phase: Phase::Train,
            epoch: 3,
            step: 1,
            version,
            node: Node::root(16),
        });
        let properties = json!({
            "message_id": JobId::derive(run, Kind::TrainEpoch, &args.name()), "correlation_id": run,
            "type": "train-epoch.v1",
            "headers": {
                "subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0,
                "subwatch-dead-reason": "poison", "subwatch-dead-error": "the job crashed three workers",
            },
        });
        let body = serde_json::to_string(&args).unwrap();
        cluster.vhost.publish("subwatch.dead", "dead.v1", properties, &body).await;
    };
    record_dead_letter(1).await;
    let version = || async { cluster.store.parameters(run).await.unwrap().map(|now| now.version) };
    // The step at which the worker was paused may have completed.
    while !cluster.submission(run).await.state.is_terminal() {
        let recorded = version().await.expect("the run continues");
        record_dead_letter(recorded).await;
        eventually("the run fails or advances", || async {
            cluster.submission(run).await.state.is_terminal() || version().await != Some(recorded)
        })
        .await;
    }
    let failed = cluster.submission(run).await;
    assert_eq!(failed.state, State::Failed, "{failed:?}");
    assert!(failed.error.unwrap().contains("subwatch resume"));
    cluster.workers[0].resume();
    let letters = dead_letters(&cluster, &["list", "--kind", "train-epoch"]).await;
    assert_eq!(letters.as_array().map(Vec::len), Some(1), "{letters}");
    let outcome = dead_letters(&cluster, &["requeue", "--all"]).await;
    assert_eq!(outcome["processed"], json!(1), "{outcome}");

    let ended = cluster.wait_for_end(run).await;
    assert_eq!(ended.state, State::Succeeded, "{ended:?}");
    let resumed = cluster.json(&["status", &run.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(resumed["weights_sha256"], undisturbed["weights_sha256"]);
    cluster.finish().await;
}

#[tokio::test]
async fn job_with_out_of_range_arguments_is_dead_lettered() {
    let cluster = Cluster::start(1).await;
    let id = SubmissionId::now();
    let chunk = |part: &str, items: u32| {
        json!({"chunk": {"part": part, "index": 0, "first_item": 0, "items": items}}).to_string()
    };
    let named =
        |exchange: &str, number: usize| JobId::derive(id, Kind::Embed, &format!("{exchange}/{number}"));
    for (number, body) in [chunk("file:///m/0", u32::MAX), chunk("mailto:x", 1)].iter().enumerate() {
        for exchange in ["subwatch.dead", "subwatch.jobs"] {
            let properties = json!({
                "message_id": named(exchange, number), "correlation_id": id, "type": "embed.v1",
                "headers": {"subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0},
            });
            cluster.vhost.publish(exchange, "embed.v1", properties, body).await;
        }
    }
    eventually("all four dead letters are recorded", || async {
        cluster.store.dead_letter_count().await.unwrap() == 4
    })
    .await;
    let letter = dead_letters(&cluster, &["show", &named("subwatch.jobs", 0).to_string()]).await;
    let error = letter["error"].as_str().unwrap();
    assert!(error.contains("chunk.items is 4294967295; it must be between 1 and 1024"), "{error}");
    assert_eq!(dead_letters(&cluster, &["purge", "--all"]).await["processed"], json!(4));
    cluster.finish().await;
}

#[tokio::test]
async fn job_is_retried_until_the_worker_sees_the_dataset() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(64).await;
    cluster.workers[0].pause();
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    eventually("the job is published", || async { cluster.submission(id).await.jobs_published == 1 }).await;
    let aside = dataset.with_extension("aside");
    std::fs::rename(&dataset, &aside).unwrap();
    cluster.workers[0].resume();
    eventually("the attempt fails", || async {
        let mark = cluster.store.job_status(id, "0").await.unwrap();
        mark.is_some_and(|mark| mark.history.iter().any(|m| m.error.contains("is its volume mounted")))
    })
    .await;
    std::fs::rename(&aside, &dataset).unwrap();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (64, 0), "{ended:?}");
    cluster.finish().await;
}
