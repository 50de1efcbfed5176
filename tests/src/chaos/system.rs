//! The disturbed system: coordinators and workers, each connected to the servers through its own fault
//! proxies.
//!
//! Owns the processes, their proxies and the tally of events. Does not decide what is done to them or when.
//! Invariant: a program's slot is locked while the program is disturbed, so nothing else starts, stops or
//! supervises it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    ids::{InstanceId, SubmissionId},
    store::{JobState, Store, StoreConfig, StoreError, Submission},
};
use serde_json::Value;
use tokio::{
    process::Command,
    sync::{Mutex, MutexGuard},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    schedule::{COORDINATORS, Program, Server, WORKERS},
    servers::free_ports,
};
use crate::{
    broker_admin::Vhost,
    environment::Servers,
    fault_proxy::FaultProxy,
    process::{Process, binary},
};

/// Time limit for a program to start or stop while nothing disturbs it.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Time limit of a command: its coordinator may be paused or dead.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);
/// Time limit of a store query, and of a probe, while servers may be disturbed.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the supervisor looks for programs that have ended.
const SUPERVISE_INTERVAL: Duration = Duration::from_millis(200);
/// Time limit for a worker to have a job in flight, and how often its jobs are polled.
const IN_FLIGHT_TIMEOUT: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(4);
/// Upper bound of the time that bytes are in transit from a program to a server.
const IN_TRANSIT: Duration = Duration::from_millis(50);
/// How often redeliveries are read.
const METER_INTERVAL: Duration = Duration::from_secs(1);

/// A system under disturbance.
pub struct System {
    /// The store, reached without a proxy.
    pub store: Store,
    /// The virtual host, managed without a proxy.
    pub vhost: Vhost,
    servers: Servers,
    name: String,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// The first coordinator's port; the others follow.
    first_port: u16,
    /// Index of the coordinator for the next command, modulo their number.
    next_coordinator: AtomicUsize,
    links: HashMap<(Program, Server), FaultProxy>,
    /// The first program's health port; the others follow.
    probes: u16,
    client: reqwest::Client,
    slots: Vec<Mutex<Slot>>,
    tally: StdMutex<Tally>,
}

/// A program with its current process.
pub struct Slot {
    pub program: Program,
    process: Process,
    starts: u32,
    /// Whether the current process has a skewed clock.
    skewed: bool,
}

/// Counts of what happened to a system.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Processes killed with SIGKILL, servers included.
    pub kills: u32,
    /// Processes started again.
    pub restarts: u32,
    /// Deliveries in flight at the kills.
    pub in_flight: u64,
    /// Redeliveries by RabbitMQ.
    pub redelivered: u64,
    /// Jobs that one worker finished while they were in flight on another.
    pub finished_twice: u64,
    /// Disturbances by kind.
    pub disturbances: BTreeMap<&'static str, u32>,
    /// Violated invariants, as sentences.
    pub violations: Vec<String>,
}

impl System {
    /// Starts coordinators and workers against `servers`, with `name` as vhost and key prefix. Logs and
    /// artifacts are written to `folder`; `datasets` is the dataset root.
    pub async fn start(servers: Servers, name: &str, folder: PathBuf, datasets: &Path) -> Self {
        let vhost = Vhost::create(&servers, name).await;
        let key_prefix = format!("{name}:");
        let store = StoreConfig {
            url: servers.redis_url.as_str().into(),
            key_prefix: key_prefix.clone(),
            ca_certificates: None,
        };
        let store = Store::connect(&store).await.expect("Redis is available");
        let text = |text: &str| text.to_owned();
        let environment = vec![
            (text("SUBWATCH_REDIS_KEY_PREFIX"), key_prefix),
            (text("SUBWATCH_DATASET_ROOTS"), datasets.display().to_string()),
            (text("SUBWATCH_ARTIFACTS"), folder.join("artifacts").display().to_string()),
            (text("SUBWATCH_MODEL_WEIGHTS"), text("random:0")),
            (text("SUBWATCH_MODEL_THREADS"), text("1")),
            (text("SUBWATCH_DECODE_THREADS"), text("1")),
            (text("SUBWATCH_CHUNK_ITEMS"), text("16")),
            (text("SUBWATCH_PREFETCH"), text("2")),
            (text("SUBWATCH_RESCUE_AFTER_SECONDS"), text("3")),
            (text("SUBWATCH_SHUTDOWN_GRACE_SECONDS"), text("5")),
            (text("SUBWATCH_LOG_FORMAT"), text("json")),
            (text("SUBWATCH_LOG"), text("info,lapin=off")),
        ];
        let programs: Vec<Program> = all_programs().collect();
        let ports =
            [(Server::Broker, port_of(&servers.amqp_url)), (Server::Store, port_of(&servers.redis_url))];
        let mut links = HashMap::new();
        for program in &programs {
            for (server, port) in ports {
                links.insert((*program, server), FaultProxy::start(port).await);
            }
        }
        let mut system = Self {
            store,
            vhost,
            servers,
            name: name.to_owned(),
            folder,
            environment,
            first_port: free_ports(COORDINATORS as u16),
            next_coordinator: AtomicUsize::new(0),
            links,
            probes: free_ports(programs.len() as u16),
            client: crate::http(),
            slots: Vec::new(),
            tally: StdMutex::default(),
        };
        for program in programs {
            let process = system.spawn(program, 1, None);
            system.slots.push(Mutex::new(Slot { program, process, starts: 1, skewed: false }));
        }
        system.wait_until_serving().await;
        system
    }

    /// All programs, the coordinators first.
    pub fn programs(&self) -> impl DoubleEndedIterator<Item = Program> + use<> {
        all_programs()
    }

    pub fn workers(&self) -> impl Iterator<Item = Program> + use<> {
        (0..WORKERS).map(Program::Worker)
    }

    /// Returns the proxy between a program and a server.
    #[must_use]
    pub fn link(&self, program: Program, server: Server) -> &FaultProxy {
        &self.links[&(program, server)]
    }

    /// Locks a program, so that nothing else disturbs or supervises it.
    pub async fn slot(&self, program: Program) -> MutexGuard<'_, Slot> {
        self.slots[index_of(program)].lock().await
    }

    pub fn tally(&self) -> StdMutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a violated invariant and adds it to the tally.
    pub fn record_violation(&self, violation: String) {
        crate::print_line(&format!("VIOLATION: {violation}"));
        self.tally().violations.push(violation);
    }

    /// Starts a program again, with additional environment variables.
    pub fn restart(&self, slot: &mut Slot, more: Option<&[(&str, String)]>) {
        slot.starts += 1;
        slot.skewed = more.is_some();
        slot.process = self.spawn(slot.program, slot.starts, more);
        self.tally().restarts += 1;
    }

    fn spawn(&self, program: Program, start_number: u32, more: Option<&[(&str, String)]>) -> Process {
        let (mut command, name) = match program {
            Program::Coordinator(index) => {
                let mut command = Command::new(binary("subwatch"));
                command.arg("serve").env("SUBWATCH_URL", self.url(index));
                (command, format!("coordinator-{index}"))
            }
            Program::Worker(index) => (Command::new(binary("subwatch-worker")), format!("worker-{index}")),
        };
        let through = |server, url: &str| {
            let mut url = Url::parse(url).expect("server addresses are URLs");
            url.set_port(Some(self.links[&(program, server)].port())).expect("the URL has a host");
            url
        };
        // A short heartbeat, so that a silent peer is detected within a schedule.
        let mut amqp = through(Server::Broker, &self.vhost.amqp_url());
        amqp.set_query(Some("heartbeat=4"));
        command
            .env("SUBWATCH_HEALTH_ADDRESS", format!("127.0.0.1:{}", self.probe(program)))
            .env("SUBWATCH_AMQP_URL", amqp.as_str())
            .env("SUBWATCH_REDIS_URL", through(Server::Store, &self.servers.redis_url).as_str())
            .envs(self.environment.iter().cloned())
            .envs(more.unwrap_or_default().iter().cloned());
        Process::start(command, self.folder.join(format!("{name}-{start_number}.log")))
    }

    /// Waits until every program serves, restarting those that have ended.
    pub async fn wait_until_serving(&self) {
        let since = Instant::now();
        for program in self.programs() {
            loop {
                self.restart_ended(program).await;
                if self.slot(program).await.is_serving() {
                    break;
                }
                assert!(
                    since.elapsed() < TIMEOUT,
                    "{program} did not start serving; see {}",
                    self.folder.display()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(super) fn url(&self, coordinator: usize) -> String {
        format!("http://127.0.0.1:{}", self.first_port + coordinator as u16)
    }

    fn probe(&self, program: Program) -> u16 {
        self.probes + index_of(program) as u16
    }

    /// Returns whether a program's readiness probe succeeds: both servers are reachable, and a worker
    /// consumes.
    pub async fn is_ready(&self, program: Program) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.probe(program));
        self.client
            .get(url)
            .timeout(STORE_TIMEOUT)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }

    /// Restarts programs that end on their own until `done`. It is a violation if one had begun to serve.
    pub async fn supervise(&self, done: &CancellationToken) {
        while !done.is_cancelled() {
            for program in self.programs() {
                if self.slots[index_of(program)].try_lock().is_ok() {
                    self.restart_ended(program).await;
                }
            }
            tokio::time::sleep(SUPERVISE_INTERVAL).await;
        }
    }

    async fn restart_ended(&self, program: Program) {
        let mut slot = self.slot(program).await;
        if !slot.process.has_ended() {
            return;
        }
        if slot.is_serving() {
            let log = slot.process.log();
            let last = log.lines().last().unwrap_or_default();
            self.record_violation(format!("{program} exited unexpectedly (start {}): {last}", slot.starts));
        }
        self.restart(&mut slot, None);
    }

    /// Counts redeliveries until `done`.
    pub async fn count_redeliveries(&self, done: &CancellationToken) {
        let mut last = BTreeMap::<String, u64>::new();
        while !done.is_cancelled() {
            if let Some(now) = self.vhost.redeliveries().await {
                let mut more = 0;
                for (queue, count) in &now {
                    // A restarted broker counts from zero.
                    let before = last.get(queue).copied().filter(|before| before <= count).unwrap_or(0);
                    more += count - before;
                }
                self.tally().redelivered += more;
                last = now;
            }
            tokio::select! {
                () = done.cancelled() => {}
                () = tokio::time::sleep(METER_INTERVAL) => {}
            }
        }
    }

    /// Awaits a store query with a time limit; `None` if the store is unavailable.
    pub async fn query<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        tokio::time::timeout(STORE_TIMEOUT, query).await.ok()?.ok()
    }

    /// Returns the submissions in a non-terminal state, or `None` if the store is unavailable.
    pub async fn running(&self) -> Option<Vec<Submission>> {
        let mut all = self.query(self.store.submissions(None, 1000)).await?;
        all.retain(|submission| !submission.state.is_terminal());
        Some(all)
    }

    /// Returns all jobs in flight, with the worker's instance.
    pub async fn in_flight(&self) -> Vec<(SubmissionId, String, Option<InstanceId>)> {
        let mut held = Vec::new();
        for submission in self.running().await.unwrap_or_default() {
            let statuses = self.query(self.store.job_statuses(submission.id)).await.unwrap_or_default();
            let started = statuses.into_iter().filter(|(_, status)| status.state == JobState::Started);
            held.extend(started.map(|(name, status)| (submission.id, name, status.instance)));
        }
        held
    }

    /// Pauses a worker once it has jobs in flight and returns them; empty after the time limit.
    pub async fn pause_with_jobs_in_flight(&self, slot: &mut Slot) -> Vec<(SubmissionId, String)> {
        let since = Instant::now();
        loop {
            let instance = slot.instance();
            let held = async || {
                let mut held = self.in_flight().await;
                held.retain(|(_, _, by)| instance.is_some() && *by == instance);
                held.into_iter().map(|(id, job, _)| (id, job)).collect::<HashSet<_>>()
            };
            if !held().await.is_empty() {
                slot.process().pause();
                // Its last writes may still be in transit.
                let mut before = held().await;
                loop {
                    tokio::time::sleep(IN_TRANSIT).await;
                    let now = held().await;
                    if now == before {
                        break;
                    }
                    before = now;
                }
                if !before.is_empty() {
                    return before.into_iter().collect();
                }
                slot.process().resume();
            }
            if since.elapsed() > IN_FLIGHT_TIMEOUT {
                return Vec::new();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Counts a kill while `held` deliveries were in flight.
    pub fn record_kill(&self, held: usize) {
        let mut tally = self.tally();
        tally.kills += 1;
        tally.in_flight += held as u64;
    }

    /// Sends SIGTERM and waits for the program to exit, which must succeed.
    pub async fn terminate(&self, slot: &mut Slot) {
        let program = slot.program;
        // A program that is still starting has no signal handler yet, and nothing to lose.
        let served = slot.is_serving();
        match tokio::time::timeout(TIMEOUT, slot.process.terminate()).await {
            Ok(status) if status.success() || !served => {}
            // libfaketime frees its memory at exit while other threads still read the clock.
            Ok(_) if slot.skewed && slot.logged_shutdown() => {}
            Ok(status) => self.record_violation(format!("{program} exited with {status} after SIGTERM")),
            Err(_) => {
                self.record_violation(format!("{program} did not exit after SIGTERM"));
                slot.process.kill().await;
            }
        }
    }

    /// Runs the command line against each coordinator in turn; `None` after the time limit.
    pub async fn cli(&self, arguments: &[&str]) -> Option<Output> {
        let coordinator = self.next_coordinator.fetch_add(1, Ordering::Relaxed) % COORDINATORS;
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).env("SUBWATCH_URL", self.url(coordinator)).kill_on_drop(true);
        let ended = tokio::time::timeout(COMMAND_TIMEOUT, command.output()).await.ok()?;
        Some(ended.expect("the command line starts"))
    }

    /// Runs the command line and returns its JSON output; `None` if it fails.
    pub async fn json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.cli(arguments).await?;
        if !output.status.success() {
            return None;
        }
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Creates the virtual host again after RabbitMQ has lost it.
    pub async fn remake_vhost(&self) {
        Vhost::create(&self.servers, &self.name).await;
    }

    /// Returns the folder with the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops all programs, workers first, and deletes the virtual host, and the logs if there were no
    /// violations.
    pub async fn end(self) -> Tally {
        for program in self.programs().rev() {
            self.terminate(&mut *self.slot(program).await).await;
        }
        let Self { vhost, tally, folder, .. } = self;
        vhost.delete().await;
        let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        if tally.violations.is_empty() {
            // Leftover files do no harm.
            let _ = std::fs::remove_dir_all(folder);
        }
        tally
    }
}

impl Slot {
    /// Returns whether the current process has begun to serve.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        match self.program {
            Program::Coordinator(_) => self.process.logged("coordinator is listening", "address").is_some(),
            Program::Worker(_) => self.instance().is_some(),
        }
    }

    /// Returns the worker's instance ID once it consumes.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceId> {
        self.process.logged("worker is consuming jobs", "instance")?.as_str()?.parse().ok()
    }

    fn logged_shutdown(&self) -> bool {
        ["worker stopped", "coordinator stopped"]
            .iter()
            .any(|message| self.process.logged(message, "message").is_some())
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn index_of(program: Program) -> usize {
    match program {
        Program::Coordinator(index) => index,
        Program::Worker(index) => COORDINATORS + index,
    }
}

fn all_programs() -> impl DoubleEndedIterator<Item = Program> {
    (0..COORDINATORS).map(Program::Coordinator).chain((0..WORKERS).map(Program::Worker))
}

fn port_of(url: &str) -> u16 {
    let url = Url::parse(url).expect("server addresses are URLs");
    url.port().expect("server addresses have ports")
}
