//! A whole system for one test: its own vhost, key prefix, folders, coordinator and workers.
//!
//! Owns set-up and the last inspection: [`Cluster::finish`] fails if a queue is not empty or a counter
//! does not equal its results. Servers are real and shared; everything else is the test's own.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use common::{
    ids::{InstanceId, SubmissionId},
    job::outcome::ItemResult,
    store::{JobState, State, Store, StoreConfig, Submission, SubmissionKind},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, sync::SemaphorePermit};
use uuid::Uuid;

use crate::{
    broker_admin::Vhost,
    environment::Servers,
    process::{Process, binary},
};

/// Clusters that run at once: each may have several workers with a model.
static CLUSTERS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// Longest a test waits for something that should happen.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within two minutes; `what` names it.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < TIMEOUT, "waited {TIMEOUT:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A system under test.
pub struct Cluster {
    /// The store, under the test's own prefix.
    pub store: Store,
    /// The test's virtual host.
    pub vhost: Vhost,
    /// The coordinator.
    pub coordinator: Process,
    /// The workers, dead ones included.
    pub workers: Vec<Process>,
    /// Further coordinators, which answer at addresses of their own.
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

    /// Likewise, with more environment variables.
    pub async fn start_with(workers: usize, settings: &[(&str, String)]) -> Self {
        let permit = CLUSTERS.acquire().await.expect("the semaphore is never closed");
        let servers = Servers::from_environment();
        let name = format!("test-{}", Uuid::now_v7().simple());
        let vhost = Vhost::create(&servers, &name).await;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
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
        .expect("Redis answers");
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

    /// Starts one more worker; it consumes once [`Cluster::wait_for_workers`] sees it.
    pub fn add_worker(&mut self) -> usize {
        self.add_worker_with(&[])
    }

    /// Likewise, with more environment variables.
    pub fn add_worker_with(&mut self, settings: &[(&str, String)]) -> usize {
        let index = self.workers.len();
        let mut command = Command::new(binary("subwatch-worker"));
        command.envs(self.environment.iter().cloned()).envs(settings.iter().cloned());
        self.workers.push(Process::start(command, self.folder.path().join(format!("worker-{index}.log"))));
        index
    }

    /// Waits until `count` of the processes here are registered, and have not ended.
    pub async fn wait_for_workers(&mut self, count: usize) {
        let since = Instant::now();
        loop {
            let instances: Vec<String> = self
                .store
                .workers()
                .await
                .expect("Redis answers")
                .iter()
                .map(|w| w.record.instance.to_string())
                .collect();
            let consuming = self
                .workers
                .iter_mut()
                .filter(|worker| logged_instance(worker).is_some_and(|instance| instances.contains(&instance)));
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
                "{live} live and {ended} ended workers, want {count}: {logs:#?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the coordinator again, at the same address.
    pub async fn restart_coordinator(&mut self) {
        let (coordinator, url) = start_coordinator(&self.environment, self.folder.path(), &self.url).await;
        (self.coordinator, self.url) = (coordinator, url);
    }

    /// Starts one more coordinator beside the first and returns its address.
    pub async fn add_standby(&mut self) -> String {
        let (standby, url) =
            start_coordinator(&self.environment, self.folder.path(), "http://127.0.0.1:0").await;
        self.standbys.push(standby);
        url
    }

    /// Has the command line speak to another coordinator from now on.
    pub fn use_coordinator(&mut self, url: &str) {
        self.url = url.to_owned();
    }

    /// The address of the coordinator that the command line speaks to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The test's folder, which datasets may lie in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a dataset of `count` generated thumbnails and returns its folder.
    pub async fn sample(&self, count: u32) -> PathBuf {
        let folder = self.folder.path().join(format!("sample-{count}"));
        let path = folder.display().to_string();
        let made =
            self.cli(&["dataset", "sample", &path, "--count", &count.to_string(), "--seed", "0"]).await;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        folder
    }

    /// Runs the command line to its end.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.kill_on_drop(true).output().await.expect("the command line starts")
    }

    /// Runs the command line to its end, with more environment variables.
    pub async fn cli_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).envs(self.environment.iter().cloned()).env("SUBWATCH_URL", &self.url);
        command.envs(settings.iter().copied());
        command.kill_on_drop(true).output().await.expect("the command line starts")
    }

    /// Starts the command line, with more environment variables, and does not wait for it.
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
        let mut stdin = child.stdin.take().expect("it is piped");
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
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {stdout}"))
    }

    /// Submits without waiting and returns the id.
    pub async fn detach(&self, arguments: &[&str]) -> SubmissionId {
        let mut all = arguments.to_vec();
        all.extend(["--detach", "-o", "json"]);
        let answer = self.json(&all, &[0]).await;
        let id = answer["submission"]
            .as_str()
            .or(answer["run"].as_str())
            .expect("a detached command prints its id");
        id.parse().expect("an id")
    }

    /// Returns a submission's record.
    pub async fn submission(&self, id: SubmissionId) -> Submission {
        self.store.submission(id).await.expect("Redis answers").expect("the submission is there")
    }

    /// Waits until a submission has reached its end.
    pub async fn wait_for_end(&self, id: SubmissionId) -> Submission {
        eventually("the submission ends", || async { self.submission(id).await.state.is_terminal() }).await;
        self.submission(id).await
    }

    /// Returns the names of the jobs of a submission that worker `index` has started and not finished.
    pub async fn in_flight(&self, id: SubmissionId, index: usize) -> Vec<String> {
        let Some(instance) = logged_instance(&self.workers[index]) else { return Vec::new() };
        let instance: InstanceId = instance.parse().expect("a instance id");
        let marks = self.store.job_statuses(id).await.expect("Redis answers");
        marks
            .into_iter()
            .filter(|(_, mark)| mark.state == JobState::Started && mark.instance == Some(instance))
            .map(|(name, _)| name)
            .collect()
    }

    /// Pauses worker `index` as soon as it holds a job of `id` that `wanted` accepts, and returns what it
    /// holds: with SIGKILL to follow, a death with deliveries certainly in flight.
    pub async fn pause_worker_with_job_in_flight(
        &self,
        id: SubmissionId,
        index: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let since = Instant::now();
        loop {
            if self.in_flight(id, index).await.iter().any(|name| wanted(name)) {
                self.workers[index].pause();
                let held = self.in_flight(id, index).await;
                if held.iter().any(|name| wanted(name)) {
                    return held;
                }
                self.workers[index].resume();
            }
            assert!(since.elapsed() < TIMEOUT, "worker {index} never held the job");
        }
    }

    /// Ends everything in order and inspects what is left.
    ///
    /// # Panics
    /// When a process ends badly, a queue is not empty, or a counter does not equal its results.
    pub async fn finish(mut self) {
        eventually("every queue is empty", || async {
            self.vhost.queue_counts().await.values().all(|count| *count == 0)
        })
        .await;
        for submission in self.store.submissions(None, 1000).await.expect("Redis answers") {
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
        assert!(submission.state.is_terminal(), "{submission:?} is not at its end");
        let stopped = matches!(submission.state, State::Failed | State::Cancelled);
        if submission.kind == SubmissionKind::Train || stopped {
            return;
        }
        let results = self.store.results(submission.id, 0, submission.items).await.expect("Redis answers");
        let count = |wanted: fn(&ItemResult) -> bool| {
            results.iter().flatten().filter(|result| wanted(result)).count() as u64
        };
        let unresolved = results.iter().filter(|result| result.is_none()).count();
        assert_eq!(unresolved, 0, "items of {submission:?} have no result");
        assert_eq!(count(|result| !result.is_failed()), submission.succeeded, "{submission:?}");
        assert_eq!(count(ItemResult::is_cached), submission.cached, "{submission:?}");
        assert_eq!(count(ItemResult::is_failed), submission.failed, "{submission:?}");
        assert_eq!(submission.jobs_finished, submission.jobs, "{submission:?}");
    }
}

/// The instance id a worker logged when it began to consume.
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
            let address = address.as_str().expect("an address").to_owned();
            return (process, format!("http://{address}"));
        }
        assert!(
            !process.has_ended() && since.elapsed() < TIMEOUT,
            "the coordinator does not serve: {}",
            process.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
