//! A complete system for one test, with its own vhost, key prefix, folder, coordinator and workers.
//!
//! RabbitMQ and Redis are real and shared. [`Cluster::finish`] fails if a queue is not empty or a counter
//! does not equal its results.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use common::{
    embedding::Space,
    ids::{InstanceId, SubmissionId},
    job::outcome::ItemResult,
    store::{JobState, State, Store, StoreConfig, Submission, SubmissionKind},
    topology::Route,
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, sync::SemaphorePermit};
use uuid::Uuid;

use crate::{
    broker_admin::Vhost,
    environment::Servers,
    process::{Process, binary},
};

/// Limits concurrent clusters, since each may have several workers with a model.
static CLUSTERS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// Time limit of [`eventually`].
const TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until `condition` holds. `description` completes the failure message.
///
/// # Panics
/// If it does not hold within two minutes.
pub async fn eventually<F: Future<Output = bool>>(description: &str, mut condition: impl FnMut() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {description}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A system under test.
pub struct Cluster {
    /// The store, under the test's own prefix.
    pub store: Store,
    /// The test's virtual host.
    pub vhost: Vhost,
    pub coordinator: Process,
    /// All workers started so far, including those that have ended.
    pub workers: Vec<Process>,
    /// Further coordinators, each with its own address.
    pub standbys: Vec<Process>,
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    url: String,
    _permit: SemaphorePermit<'static>,
}

impl Cluster {
    /// Starts a coordinator and `workers` workers with `random:0` weights and one compute thread each.
    pub async fn start(workers: usize) -> Self {
        Self::start_with(workers, &[]).await
    }

    /// Like [`Cluster::start`], with additional environment variables.
    pub async fn start_with(workers: usize, settings: &[(&str, String)]) -> Self {
        let permit = CLUSTERS.acquire().await.expect("the semaphore is never closed");
        let servers = Servers::from_environment();
        let name = format!("test-{}", Uuid::now_v7().simple());
        let vhost = Vhost::create(&servers, &name).await;
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let key_prefix = format!("{name}:");
        let environment = [
            ("SUBWATCH_AMQP_URL", vhost.amqp_url()),
            ("SUBWATCH_REDIS_URL", servers.redis_url.clone()),
            ("SUBWATCH_REDIS_KEY_PREFIX", key_prefix.clone()),
            ("SUBWATCH_DATASET_ROOTS", folder.path().display().to_string()),
            ("SUBWATCH_ARTIFACTS", folder.path().join("artifacts").display().to_string()),
            ("SUBWATCH_MODEL_WEIGHTS", "random:0".to_owned()),
            ("SUBWATCH_MODEL_THREADS", "1".to_owned()),
            ("SUBWATCH_LOG_FORMAT", "json".to_owned()),
            ("SUBWATCH_LOG", "info,lapin=off".to_owned()),
        ];
        let environment: Vec<(String, String)> = environment
            .into_iter()
            .chain(settings.iter().cloned())
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let store = Store::connect(&StoreConfig {
            url: servers.redis_url.as_str().into(),
            ca_certificates: None,
            key_prefix,
        })
        .await
        .expect("Redis is available");
        let (coordinator, url) = start_coordinator(&environment, folder.path(), "http://127.0.0.1:0").await;
        let mut cluster = Self {
            store,
            vhost,
            coordinator,
            workers: Vec::new(),
            standbys: Vec::new(),
            folder,
            environment,
            url,
            _permit: permit,
        };
        for _ in 0..workers {
            cluster.add_worker();
        }
        cluster.wait_for_workers(workers).await;
        cluster
    }

    /// Like [`Cluster::start`] without workers, after a worker has started and stopped: submissions use its space.
    pub async fn start_with_known_space(settings: &[(&str, String)]) -> Self {
        let mut cluster = Self::start_with(1, settings).await;
        let mut worker = cluster.workers.pop().expect("one worker was started");
        assert!(worker.terminate().await.success());
        cluster
    }

    /// Returns the queue of the space of the worker that started last.
    pub async fn queue(&self, route: fn(Option<Space>) -> Route) -> String {
        let space = self.store.last_space().await.expect("Redis is available");
        route(space).queue_name()
    }

    /// Starts a worker without waiting for it (see [`Cluster::wait_for_workers`]) and returns its index.
    pub fn add_worker(&mut self) -> usize {
        self.add_worker_with(&[])
    }

    /// Like [`Cluster::add_worker`], with additional environment variables.
    pub fn add_worker_with(&mut self, settings: &[(&str, String)]) -> usize {
        let index = self.workers.len();
        let mut command = Command::new(binary("subwatch-worker"));
        command.envs(self.environment.iter().cloned()).envs(settings.iter().cloned());
        self.workers.push(Process::start(command, self.folder.path().join(format!("worker-{index}.log"))));
        index
    }

    /// Waits until `count` running workers of this cluster are registered.
    pub async fn wait_for_workers(&mut self, count: usize) {
        let since = Instant::now();
        loop {
            let instances: Vec<String> = self
                .store
                .workers()
                .await
                .expect("Redis is available")
                .iter()
                .map(|w| w.record.instance.to_string())
                .collect();
            let consuming = self.workers.iter_mut().filter(|worker| {
                logged_instance(worker).is_some_and(|instance| instances.contains(&instance))
            });
            let mut ended = 0;
            let mut live = 0;
            for worker in consuming {
                if worker.has_ended() { ended += 1 } else { live += 1 }
            }
            if live >= count {
                return;
            }
            let logs: Vec<String> = self.workers.iter().map(Process::log).collect();
            assert!(
                since.elapsed() < TIMEOUT,
                "{live} live and {ended} ended workers, expected {count}: {logs:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the coordinator again at the same address.
    pub async fn restart_coordinator(&mut self) {
        let (coordinator, url) = start_coordinator(&self.environment, self.folder.path(), &self.url).await;
        (self.coordinator, self.url) = (coordinator, url);
    }

    /// Starts another coordinator and returns its address.
    pub async fn add_standby(&mut self) -> String {
        let (standby, url) =
            start_coordinator(&self.environment, self.folder.path(), "http://127.0.0.1:0").await;
        self.standbys.push(standby);
        url
    }

    /// Makes later command-line calls use the coordinator at `url`.
    pub fn use_coordinator(&mut self, url: &str) {
        self.url = url.to_owned();
    }

    /// Returns the URL of the coordinator that the command line uses.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the test's folder, which is a dataset root.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Generates a dataset of `count` thumbnails and returns its folder.
    pub async fn sample(&self, count: u32) -> PathBuf {
        let folder = self.folder.path().join(format!("sample-{count}"));
        let path = folder.display().to_string();
        let output =
            self.cli(&["dataset", "sample", &path, "--count", &count.to_string(), "--seed", "0"]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    }

    /// Runs the command line.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.kill_on_drop(true).output().await.expect("the command line starts")
    }

    /// Runs the command line with additional environment variables.
    pub async fn cli_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.envs(settings.iter().copied());
        command.kill_on_drop(true).output().await.expect("the command line starts")
    }

    /// Starts the command line with additional environment variables without waiting for it.
    #[must_use]
    pub fn start_cli(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.envs(settings.iter().copied());
        Process::start(command, self.folder.path().join(format!("cli-{}.log", Uuid::now_v7().simple())))
    }

    /// Runs the command line with `input` on its standard input.
    pub async fn cli_reading(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the command line starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        stdin.write_all(input).await.expect("the command line reads");
        drop(stdin);
        child.wait_with_output().await.expect("the command line ends")
    }

    /// Runs the command line and returns the JSON it prints; the exit code must be one of `codes`.
    pub async fn json(&self, arguments: &[&str], codes: &[i32]) -> Value {
        let output = self.cli(arguments).await;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().unwrap_or(-1);
        assert!(codes.contains(&code), "{arguments:?} ended with {code}: {stdout}{stderr}");
        serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{arguments:?} did not print JSON ({error}): {stdout}"))
    }

    /// Runs a submitting command with `--detach` and returns the submission's ID.
    pub async fn detach(&self, arguments: &[&str]) -> SubmissionId {
        let mut all = arguments.to_vec();
        all.extend(["--detach", "-o", "json"]);
        let answer = self.json(&all, &[0]).await;
        let id = answer["submission"]
            .as_str()
            .or(answer["run"].as_str())
            .expect("a detached command prints an ID");
        id.parse().expect("the ID is valid")
    }

    pub async fn submission(&self, id: SubmissionId) -> Submission {
        self.store.submission(id).await.expect("Redis is available").expect("the submission exists")
    }

    /// Waits until a submission is in a terminal state.
    pub async fn wait_for_end(&self, id: SubmissionId) -> Submission {
        eventually("the submission ends", || async { self.submission(id).await.state.is_terminal() }).await;
        self.submission(id).await
    }

    /// Returns the names of a submission's jobs that are in flight on worker `index`.
    pub async fn in_flight(&self, id: SubmissionId, index: usize) -> Vec<String> {
        let Some(instance) = logged_instance(&self.workers[index]) else { return Vec::new() };
        let instance: InstanceId = instance.parse().expect("the instance ID is valid");
        let statuses = self.store.job_statuses(id).await.expect("Redis is available");
        statuses
            .into_iter()
            .filter(|(_, status)| status.state == JobState::Started && status.instance == Some(instance))
            .map(|(name, _)| name)
            .collect()
    }

    /// Pauses worker `index` once a job of `id` that `predicate` accepts is in flight on it, and returns all
    /// its jobs in flight. A SIGKILL after this is certain to lose deliveries.
    pub async fn pause_worker_with_job_in_flight(
        &self,
        id: SubmissionId,
        index: usize,
        predicate: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let since = Instant::now();
        loop {
            if self.in_flight(id, index).await.iter().any(|name| predicate(name)) {
                self.workers[index].pause();
                let in_flight = self.in_flight(id, index).await;
                if in_flight.iter().any(|name| predicate(name)) {
                    return in_flight;
                }
                self.workers[index].resume();
            }
            assert!(since.elapsed() < TIMEOUT, "worker {index} never started the job");
        }
    }

    /// Checks queues and submissions, then stops all processes and deletes the vhost.
    ///
    /// # Panics
    /// If a queue is not empty, a counter does not equal its results, or a process fails.
    pub async fn finish(mut self) {
        eventually("every queue is empty", || async {
            self.vhost.queue_counts().await.values().all(|count| *count == 0)
        })
        .await;
        for submission in self.store.submissions(None, 1000).await.expect("Redis is available") {
            self.inspect(&submission).await;
        }
        for worker in &mut self.workers {
            if !worker.has_ended() {
                let status = worker.terminate().await;
                assert!(status.success(), "a worker ended with {status}: {}", worker.log());
            }
        }
        for coordinator in std::iter::once(&mut self.coordinator).chain(&mut self.standbys) {
            if !coordinator.has_ended() {
                let status = coordinator.terminate().await;
                assert!(status.success(), "a coordinator ended with {status}: {}", coordinator.log());
            }
        }
        self.vhost.delete().await;
    }

    async fn inspect(&self, submission: &Submission) {
        assert!(submission.state.is_terminal(), "{submission:?} is not in a terminal state");
        let stopped = matches!(submission.state, State::Failed | State::Cancelled);
        if submission.kind == SubmissionKind::Train || stopped {
            return;
        }
        let results =
            self.store.results(submission.id, 0, submission.items).await.expect("Redis is available");
        let count = |predicate: fn(&ItemResult) -> bool| {
            results.iter().flatten().filter(|result| predicate(result)).count() as u64
        };
        let unresolved = results.iter().filter(|result| result.is_none()).count();
        assert_eq!(unresolved, 0, "items of {submission:?} have no result");
        assert_eq!(count(|result| !result.is_failed()), submission.succeeded, "{submission:?}");
        assert_eq!(count(ItemResult::is_cached), submission.cached, "{submission:?}");
        assert_eq!(count(ItemResult::is_failed), submission.failed, "{submission:?}");
        assert_eq!(submission.jobs_finished, submission.jobs, "{submission:?}");
    }
}

/// Returns the instance ID that a worker logs once it consumes.
fn logged_instance(worker: &Process) -> Option<String> {
    worker.logged("worker is consuming jobs", "instance")?.as_str().map(str::to_owned)
}

async fn start_coordinator(environment: &[(String, String)], folder: &Path, url: &str) -> (Process, String) {
    let mut command = Command::new(binary("subwatch"));
    command.arg("serve").envs(environment.iter().cloned()).env("SUBWATCH_URL", url);
    let mut process =
        Process::start(command, folder.join(format!("coordinator-{}.log", Uuid::now_v7().simple())));
    let since = Instant::now();
    loop {
        if let Some(address) = process.logged("coordinator is listening", "address") {
            let address = address.as_str().expect("the address is a string").to_owned();
            return (process, format!("http://{address}"));
        }
        assert!(
            !process.has_ended() && since.elapsed() < TIMEOUT,
            "the coordinator did not start: {}",
            process.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
