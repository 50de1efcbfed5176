//! Shutdown, stalled consumers, hung models, and how workers are listed meanwhile.

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

/// A grace period longer than any test.
const LONG_GRACE: (&str, &str) = ("SUBWATCH_SHUTDOWN_GRACE_SECONDS", "600");

#[tokio::test]
async fn second_signal_ends_a_worker_and_its_jobs_run_elsewhere() {
    let mut cluster = Cluster::start_with(1, &[(LONG_GRACE.0, LONG_GRACE.1.to_owned())]).await;
    let dataset = cluster.sample(640).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let in_flight = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    cluster.workers[0].send_sigterm();
    cluster.workers[0].resume();
    eventually("the worker is shown as draining", || async { states(&cluster).await == ["draining"] }).await;
    let shown = workers_table(&cluster).await;
    assert!(shown.contains("draining") && shown.contains(&instance(&cluster.workers[0])), "{shown}");

    let status = cluster.workers[0].terminate().await;
    let log = cluster.workers[0].log();
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    assert_eq!(
        log.matches("second signal received before the graceful shutdown was complete;").count(),
        1,
        "{log}"
    );
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    let released = statuses.values().filter(|status| status.state == JobState::Available).count();
    tests::print_line(&format!(
        "second signal: {released} jobs released; {in_flight:?} were in flight at the first"
    ));
    assert!(released > 0, "{statuses:?}");
    assert!(!statuses.values().any(|status| status.state == JobState::Started), "{statuses:?}");
    assert!(states(&cluster).await.is_empty(), "the worker has deregistered");

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
    let in_flight = cluster.pause_worker_with_job_in_flight(id, 0, |_| true).await;
    cluster.workers[0].send_sigterm();
    cluster.workers[0].resume();
    let status = cluster.workers[0].wait().await;
    assert!(status.success(), "{status}: {}", cluster.workers[0].log());
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    let done = in_flight.iter().filter(|name| statuses[*name].state == JobState::Done).count();
    assert_eq!(done, in_flight.len(), "in flight were {in_flight:?}: {statuses:?}");
    assert!(
        !cluster.submission(id).await.state.is_terminal(),
        "the submission was complete before the shutdown"
    );

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (640, 0), "{ended:?}");
    assert!(no_crashes(&cluster.store.job_statuses(id).await.unwrap()));
    cluster.finish().await;
}

#[tokio::test]
async fn second_signal_ends_a_draining_coordinator() {
    let mut cluster = Cluster::start(0).await;
    // A request without its body keeps the coordinator draining.
    let mut client = TcpStream::connect(cluster.url().trim_start_matches("http://")).await.unwrap();
    let head = "POST /v1/submissions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");

    cluster.coordinator.send_sigterm();
    eventually("the coordinator drains", || async {
        cluster.coordinator.log().contains("received SIGTERM: shutting down gracefully")
    })
    .await;
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
    eventually("one worker is lost and one is live", || async { states(&cluster).await == ["live", "lost"] })
        .await;
    let shown = workers_table(&cluster).await;
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
    eventually("three jobs are finished and none is in flight", || async {
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
    let (mut cluster, relay) = start_behind_relay().await;
    relay.drop_deliveries(0);
    let dataset = cluster.sample(300).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (300, 0), "{ended:?}");
    let log = cluster.workers[0].log();
    assert!(log.contains("jobs wait but this consumer receives none; reconnecting"), "{log}");
    assert!(!cluster.workers[0].has_ended(), "the worker process ended");
    assert_eq!(probe(&cluster.workers[0]).await, (200, "ok\n".to_owned()));
    cluster.finish().await;
}

#[tokio::test]
async fn consumer_that_stays_stalled_fails_the_liveness_probe() {
    let (cluster, relay) = start_behind_relay().await;
    let worker = &cluster.workers[0];
    assert_eq!(probe(worker).await, (200, "ok\n".to_owned()));
    // The first new connection receives no deliveries either.
    relay.drop_deliveries(1);
    let dataset = cluster.sample(300).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("the probe fails", || async { probe(worker).await.0 == 503 }).await;
    // The next connection works again, possibly before this probe.
    let (status, text) = probe(worker).await;
    assert!(status == 200 || text.starts_with("the consumer of subwatch.embed."), "{text}");
    assert_eq!(cluster.wait_for_end(id).await.succeeded, 300);
    eventually("the probe succeeds again", || async { probe(worker).await.0 == 200 }).await;
    cluster.finish().await;
}

#[tokio::test]
async fn worker_with_a_hung_model_exits_and_leaves_its_jobs_started() {
    let mut cluster = Cluster::start_with(0, &[("SUBWATCH_PREFETCH", "2".to_owned())]).await;
    cluster.add_worker_with(&[("SUBWATCH_JOB_TIMEOUT_SECONDS", "40".to_owned())]);
    cluster.wait_for_workers(1).await;
    // Twelve jobs: enough to freeze the model during one of them.
    let dataset = cluster.sample(768).await.display().to_string();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("a job is in flight", || async { !cluster.in_flight(id, 0).await.is_empty() }).await;
    let worker = &mut cluster.workers[0];
    // Between two batches a frozen thread blocks nothing, so retry until it is frozen in a batch.
    let status = loop {
        eventually("the model computes", || async { worker.thread_is_running("model") }).await;
        let finished = finished_jobs(&cluster.store, id).await;
        let frozen = worker.freeze_thread("model");
        let ended = tokio::time::timeout(std::time::Duration::from_secs(25), worker.wait()).await;
        drop(frozen);
        if let Ok(status) = ended {
            break status;
        }
        // Jobs in flight now are close to their time limit; wait for new ones.
        eventually("the jobs in flight are finished", || async {
            finished_jobs(&cluster.store, id).await >= finished + 2
        })
        .await;
    };
    let log = cluster.workers[0].log();
    assert_eq!(status.code(), Some(1), "{status}: {log}");
    assert!(log.contains("subwatch-worker: the model has been computing one batch for"), "{log}");
    let statuses = cluster.store.job_statuses(id).await.unwrap();
    let suspects: Vec<_> = statuses.iter().filter(|(_, status)| status.state == JobState::Started).collect();
    tests::print_line(&format!("hung model: the worker exited, suspecting {suspects:?}"));
    assert!(!suspects.is_empty(), "{statuses:?}");
    assert!(states(&cluster).await.is_empty(), "the worker has deregistered");

    cluster.add_worker();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.succeeded, ended.failed), (768, 0), "{ended:?}");
    let after = cluster.store.job_statuses(id).await.unwrap();
    let crashed = after.values().filter(|status| status.crashes == 1).count();
    assert_eq!(crashed, suspects.len(), "each suspect counts one crash: {after:?}");
    cluster.finish().await;
}

async fn finished_jobs(store: &Store, id: SubmissionId) -> u32 {
    store.submission(id).await.unwrap().unwrap().jobs_finished
}

/// Starts a cluster whose only worker connects to RabbitMQ through a relay and serves probes.
async fn start_behind_relay() -> (Cluster, AmqpRelay) {
    let mut cluster = Cluster::start(0).await;
    let relay = AmqpRelay::start(&cluster.vhost.amqp_url()).await;
    let settings =
        [("SUBWATCH_AMQP_URL", relay.url()), ("SUBWATCH_HEALTH_ADDRESS", "127.0.0.1:0".to_owned())];
    cluster.add_worker_with(&settings);
    cluster.wait_for_workers(1).await;
    (cluster, relay)
}

/// Returns status and body of a worker's `/healthz`.
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

async fn workers_table(cluster: &Cluster) -> String {
    String::from_utf8(cluster.cli_with(&["workers"], &[("COLUMNS", "300")]).await.stdout).unwrap()
}

fn instance(worker: &Process) -> String {
    worker.logged("worker is consuming jobs", "instance").unwrap().as_str().unwrap().to_owned()
}

fn no_crashes(statuses: &std::collections::HashMap<String, JobStatus>) -> bool {
    statuses.values().all(|status| status.crashes == 0)
}
