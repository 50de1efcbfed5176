//! How a worker ends, what it notices of itself, and how it is shown meanwhile.

use common::{
    ids::SubmissionId,
    store::{JobState, JobStatus, RegisteredWorker, Store},
};
use tests::{
    amqp_relay::AmqpRelay,
    cluster::{Cluster, eventually},
    process::Process,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A grace period that no test waits for.
const LONG_GRACE: (&str, &str) = ("SUBWATCH_SHUTDOWN_GRACE_SECONDS", "600");

#[tokio::test]
async fn second_signal_ends_a_worker_and_its_jobs_run_elsewhere() {
    let mut cluster = Cluster::start_with(1, &[(LONG_GRACE.0, LONG_GRACE.1.to_owned())]).await;
    let dataset = cluster.sample(640).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let held = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    cluster.workers[0].send_sigterm();
    cluster.workers[0].resume();
    eventually("the worker is shown as draining", || async { states(&cluster).await == ["draining"] }).await;
    let shown = table_of_workers(&cluster).await;
    assert!(shown.contains("draining") && shown.contains(&instance(&cluster.workers[0])), "{shown}");

    let status = cluster.workers[0].terminate().await;
    let log = cluster.workers[0].log();
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    assert_eq!(log.matches("second signal received before the graceful shutdown was complete;").count(), 1, "{log}");
    let marks = cluster.store.job_statuses(id).await.unwrap();
    let released = marks.values().filter(|mark| mark.state == JobState::Retryable).count();
    tests::print_line(&format!("a second signal: {released} jobs released, {held:?} were held at the first"));
    assert!(released > 0, "{marks:?}");
    assert!(!marks.values().any(|mark| mark.state == JobState::Started), "{marks:?}");
    assert!(states(&cluster).await.is_empty(), "it has signed off");

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (640, 0), "{ended:?}");
    assert!(no_crashes(&cluster.store.job_statuses(id).await.unwrap()));
    cluster.finish().await;
}

#[tokio::test]
async fn sigterm_lets_a_worker_finish_its_jobs_in_flight() {
    let mut cluster = Cluster::start_with(1, &[(LONG_GRACE.0, LONG_GRACE.1.to_owned())]).await;
    let dataset = cluster.sample(640).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let held = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    cluster.workers[0].send_sigterm();
    cluster.workers[0].resume();
    let status = cluster.workers[0].wait().await;
    assert!(status.success(), "{status}: {}", cluster.workers[0].log());
    let marks = cluster.store.job_statuses(id).await.unwrap();
    let done = held.iter().filter(|name| marks[*name].state == JobState::Done).count();
    assert_eq!(done, held.len(), "{held:?} were held: {marks:?}");
    assert!(!cluster.submission(id).await.state.is_terminal(), "there was nothing left to leave alone");

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (640, 0), "{ended:?}");
    assert!(no_crashes(&cluster.store.job_statuses(id).await.unwrap()));
    cluster.finish().await;
}

#[tokio::test]
async fn second_signal_ends_a_draining_coordinator() {
    let mut cluster = Cluster::start(0).await;
    // A request whose body never comes: the coordinator would wait for it for a while.
    let mut client = TcpStream::connect(cluster.url().trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/submissions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    cluster.coordinator.send_sigterm();
    eventually("it drains", || async { cluster.coordinator.log().contains("SIGTERM: draining") }).await;
    let status = cluster.coordinator.terminate().await;
    let log = cluster.coordinator.log();
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    assert!(log.contains("ended before the graceful shutdown was complete"), "{log}");
    cluster.restart_coordinator().await;
    cluster.finish().await;
}

#[tokio::test]
async fn killed_worker_is_listed_as_lost() {
    let mut cluster = Cluster::start(2).await;
    let dead = instance(&cluster.workers[0]);
    cluster.workers[0].kill().await;
    eventually("one is lost and one is live", || async { states(&cluster).await == ["live", "lost"] }).await;
    let shown = table_of_workers(&cluster).await;
    let row = shown.lines().find(|line| line.contains(&dead)).unwrap();
    assert!(
        row.contains("lost") && row.contains("cpu") && row.contains("embed train-epoch predict"),
        "{row}"
    );
    cluster.finish().await;
}

#[tokio::test]
async fn worker_reports_finished_jobs() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(130).await.display().to_string();
    cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    eventually("three jobs are finished and none is held", || async {
        let workers = cluster.store.workers().await.unwrap();
        let counts: Vec<_> =
            workers.iter().map(|w| (w.record.jobs_in_flight, w.record.jobs_finished)).collect();
        counts == [(Some(0), Some(3))]
    })
    .await;
    cluster.finish().await;
}

#[tokio::test]
async fn stalled_consumer_reconnects_and_receives_jobs() {
    let (mut cluster, relay) = behind_a_relay().await;
    relay.drop_deliveries(0);
    let dataset = cluster.sample(300).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (300, 0), "{ended:?}");
    let log = cluster.workers[0].log();
    assert!(log.contains("jobs wait but this consumer receives none; reconnecting"), "{log}");
    assert!(!cluster.workers[0].has_ended(), "the same process went on");
    assert_eq!(probe(&cluster.workers[0]).await, (200, "ok\n".to_owned()));
    cluster.finish().await;
}

#[tokio::test]
async fn consumer_that_stays_stalled_fails_the_liveness_probe() {
    let (cluster, relay) = behind_a_relay().await;
    let worker = &cluster.workers[0];
    assert_eq!(probe(worker).await, (200, "ok\n".to_owned()));
    // The first new connection is deaf as well.
    relay.drop_deliveries(1);
    let dataset = cluster.sample(300).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("the probe fails", || async { probe(worker).await.0 == 503 }).await;
    // It is served over the connection after that, unless it was before this line.
    let (status, text) = probe(worker).await;
    assert!(
        status == 200 || text.starts_with("the consumer of subwatch.embed.v1 is stalled"),
        "{text}"
    );
    assert_eq!(cluster.wait_for_end(id).await.succeeded, 300);
    eventually("the probe is content", || async { probe(worker).await.0 == 200 }).await;
    cluster.finish().await;
}

#[tokio::test]
async fn worker_with_a_hung_model_exits_and_leaves_its_jobs_started() {
    let mut cluster = Cluster::start_with(0, &[("SUBWATCH_PREFETCH", "2".to_owned())]).await;
    cluster.add_worker_with(&[("SUBWATCH_JOB_TIMEOUT_SECONDS", "40".to_owned())]);
    cluster.wait_for_workers(1).await;
    // Twelve jobs: enough to be caught at one of them.
    let dataset = cluster.sample(768).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("it works", || async { !cluster.in_flight(id, 0).await.is_empty() }).await;
    let worker = &mut cluster.workers[0];
    // Caught between two batches the thread would hang at nothing, so it is tried until it is caught in one.
    let status = loop {
        eventually("the model computes", || async { worker.thread_computes("model") }).await;
        let finished = finished_jobs(&cluster.store, id).await;
        let frozen = worker.freeze_thread("model");
        let ended = tokio::time::timeout(std::time::Duration::from_secs(25), worker.wait()).await;
        drop(frozen);
        if let Ok(status) = ended {
            break status;
        }
        // What it holds has little time left by now; what it takes next has all of it.
        eventually("what it held is finished", || async {
            finished_jobs(&cluster.store, id).await >= finished + 2
        })
        .await;
    };
    let log = cluster.workers[0].log();
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    assert!(log.contains("subwatch-worker: the model has been computing one batch for"), "{log}");
    let marks = cluster.store.job_statuses(id).await.unwrap();
    let suspects: Vec<_> = marks.iter().filter(|(_, mark)| mark.state == JobState::Started).collect();
    tests::print_line(&format!("a hanging model: the worker ended, suspecting {suspects:?}"));
    assert!(!suspects.is_empty(), "{marks:?}");
    assert!(states(&cluster).await.is_empty(), "it has signed off");

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (768, 0), "{ended:?}");
    let after = cluster.store.job_statuses(id).await.unwrap();
    let crashed = after.values().filter(|mark| mark.crashes == 1).count();
    assert_eq!(crashed, suspects.len(), "each of them ran alone: {after:?}");
    cluster.finish().await;
}

async fn finished_jobs(store: &Store, id: SubmissionId) -> u32 {
    store.submission(id).await.unwrap().unwrap().jobs_finished
}

/// A cluster whose only worker reaches RabbitMQ through a relay and answers probes.
async fn behind_a_relay() -> (Cluster, AmqpRelay) {
    let mut cluster = Cluster::start(0).await;
    let relay = AmqpRelay::start(&cluster.vhost.amqp_url()).await;
    let settings =
        [("SUBWATCH_AMQP_URL", relay.url()), ("SUBWATCH_HEALTH_ADDRESS", "127.0.0.1:0".to_owned())];
    cluster.add_worker_with(&settings);
    cluster.wait_for_workers(1).await;
    (cluster, relay)
}

/// What `/healthz` of a worker answers.
async fn probe(worker: &Process) -> (u16, String) {
    let address = worker.logged("serving health probes", "address").unwrap();
    let answer = reqwest::get(format!("http://{}/healthz", address.as_str().unwrap())).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn states(cluster: &Cluster) -> Vec<String> {
    let workers: Vec<RegisteredWorker> = cluster.store.workers().await.unwrap();
    let mut states: Vec<String> = workers.iter().map(|worker| worker.state.to_string()).collect();
    states.sort();
    states
}

async fn table_of_workers(cluster: &Cluster) -> String {
    String::from_utf8(cluster.cli(&["workers"]).await.stdout).unwrap()
}

fn instance(worker: &Process) -> String {
    worker.logged("worker is consuming jobs", "instance").unwrap().as_str().unwrap().to_owned()
}

fn no_crashes(marks: &std::collections::HashMap<String, JobStatus>) -> bool {
    marks.values().all(|mark| mark.crashes == 0)
}
