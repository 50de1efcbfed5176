//! A system that is disturbed: coordinators and workers, each behind proxies of its own.
//!
//! Owns the processes, their lives and their links to the servers, and what was counted on the way. Does
//! not own what is done to them or when. Invariant: a program's slot is held while it is disturbed, so
//! nobody else starts, stops or watches it meanwhile.

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
    fault_proxy::Proxy,
    process::{Process, binary},
};

/// Longest a program may take to serve while nothing is in its way.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest a command line may take: the coordinator may be stopped or gone.
const COMMAND: Duration = Duration::from_secs(20);
/// Longest the store is asked while it may be disturbed.
const STORE: Duration = Duration::from_secs(2);
/// How often programs that ended by themselves are looked for.
const WATCH: Duration = Duration::from_millis(200);
/// Longest a worker is waited for until it holds something, and how often it is looked at.
const HOLDING: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(4);
/// Longest that what a program said may be on its way to a server.
const UNDER_WAY: Duration = Duration::from_millis(50);
/// How often redeliveries are read.
const METER: Duration = Duration::from_secs(1);

/// A system under disturbance.
pub struct System {
    /// The store, reached without a proxy.
    pub store: Store,
    /// The virtual host, likewise.
    pub vhost: Vhost,
    servers: Servers,
    name: String,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    /// The first port of the coordinators' own.
    serving: u16,
    /// The coordinator that the command line asks next.
    asked: AtomicUsize,
    links: HashMap<(Program, Server), Proxy>,
    /// The first port of the probes; each program has one.
    probes: u16,
    client: reqwest::Client,
    slots: Vec<Mutex<Slot>>,
    tally: StdMutex<Tally>,
}

/// A program's place: its process of the moment.
pub struct Slot {
    /// Which program.
    pub program: Program,
    process: Process,
    lives: u32,
    /// Whether this life has a skewed clock.
    skewed: bool,
}

/// What happened to a system.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Processes killed with SIGKILL, servers included.
    pub kills: u32,
    /// Processes started again.
    pub restarts: u32,
    /// Deliveries that were worked on at the moments of the kills.
    pub in_flight: u64,
    /// Deliveries that RabbitMQ made again.
    pub redelivered: u64,
    /// Jobs that one worker finished while another held them.
    pub finished_twice: u64,
    /// Disturbances by kind.
    pub disturbances: BTreeMap<&'static str, u32>,
    /// What must not be, as sentences.
    pub violations: Vec<String>,
}

impl System {
    /// Starts the coordinators and workers over `servers`, under a vhost and a key prefix `name`.
    /// Logs and artifacts lie in `folder`; datasets may lie in `datasets`.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(servers: Servers, name: &str, folder: PathBuf, datasets: &Path) -> Self {
        let vhost = Vhost::create(&servers, name).await;
        let key_prefix = format!("{name}:");
        let store = StoreConfig {
            url: servers.redis_url.as_str().into(),
            key_prefix: key_prefix.clone(),
            ca_certificates: None,
        };
        let store = Store::connect(&store).await.expect("Redis answers");
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
                links.insert((*program, server), Proxy::start(port).await);
            }
        }
        let mut system = Self {
            store,
            vhost,
            servers,
            name: name.to_owned(),
            folder,
            environment,
            serving: free_ports(COORDINATORS as u16),
            asked: AtomicUsize::new(0),
            links,
            probes: free_ports(programs.len() as u16),
            client: crate::http(),
            slots: Vec::new(),
            tally: StdMutex::default(),
        };
        for program in programs {
            let process = system.spawn(program, 1, None);
            system.slots.push(Mutex::new(Slot { program, process, lives: 1, skewed: false }));
        }
        system.wait_until_serving().await;
        system
    }

    /// All programs, the coordinators first.
    pub fn programs(&self) -> impl DoubleEndedIterator<Item = Program> + use<> {
        all_programs()
    }

    /// The workers alone.
    pub fn workers(&self) -> impl Iterator<Item = Program> + use<> {
        (0..WORKERS).map(Program::Worker)
    }

    /// The connections between a program and a server.
    ///
    /// # Panics
    /// When there is no such program.
    #[must_use]
    pub fn link(&self, program: Program, server: Server) -> &Proxy {
        &self.links[&(program, server)]
    }

    /// Takes hold of a program.
    pub async fn slot(&self, program: Program) -> MutexGuard<'_, Slot> {
        self.slots[place(program)].lock().await
    }

    /// What happened so far.
    pub fn tally(&self) -> StdMutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what must not be.
    pub fn violated(&self, what: String) {
        crate::print_line(&format!("VIOLATION: {what}"));
        self.tally().violations.push(what);
    }

    /// Starts a program's next life, with more environment variables.
    pub fn revive(&self, slot: &mut Slot, more: Option<&[(&str, String)]>) {
        slot.lives += 1;
        slot.skewed = more.is_some();
        slot.process = self.spawn(slot.program, slot.lives, more);
        self.tally().restarts += 1;
    }

    fn spawn(&self, program: Program, life: u32, more: Option<&[(&str, String)]>) -> Process {
        let (mut command, name) = match program {
            Program::Coordinator(index) => {
                let mut command = Command::new(binary("subwatch"));
                command.arg("serve").env("SUBWATCH_URL", self.url(index));
                (command, format!("coordinator-{index}"))
            }
            Program::Worker(index) => (Command::new(binary("subwatch-worker")), format!("worker-{index}")),
        };
        let through = |server, url: &str| {
            let mut url = Url::parse(url).expect("the servers' addresses are URLs");
            url.set_port(Some(self.links[&(program, server)].port())).expect("the URL has a host");
            url
        };
        // A short heartbeat, so that a silent peer is given up within a schedule.
        let mut amqp = through(Server::Broker, &self.vhost.amqp_url());
        amqp.set_query(Some("heartbeat=4"));
        command
            .env("SUBWATCH_HEALTH_ADDRESS", format!("127.0.0.1:{}", self.probe(program)))
            .env("SUBWATCH_AMQP_URL", amqp.as_str())
            .env("SUBWATCH_REDIS_URL", through(Server::Store, &self.servers.redis_url).as_str())
            .envs(self.environment.iter().cloned())
            .envs(more.unwrap_or_default().iter().cloned());
        Process::start(command, self.folder.join(format!("{name}-{life}.log")))
    }

    /// Waits until every program serves, reviving those that have ended.
    ///
    /// # Panics
    /// When one does not.
    pub async fn wait_until_serving(&self) {
        let since = Instant::now();
        for program in self.programs() {
            loop {
                self.revive_ended(program).await;
                if self.slot(program).await.serves() {
                    break;
                }
                assert!(
                    since.elapsed() < TIMEOUT,
                    "{program} does not serve; see {}",
                    self.folder.display()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn url(&self, coordinator: usize) -> String {
        format!("http://127.0.0.1:{}", self.serving + coordinator as u16)
    }

    fn probe(&self, program: Program) -> u16 {
        self.probes + place(program) as u16
    }

    /// Whether a program says that it is ready: it reaches both servers, and a worker consumes.
    pub async fn is_ready(&self, program: Program) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.probe(program));
        self.client.get(url).timeout(STORE).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Revives programs that end though nobody told them to, until `done`. One that had served must not.
    pub async fn supervise(&self, done: &CancellationToken) {
        while !done.is_cancelled() {
            for program in self.programs() {
                if self.slots[place(program)].try_lock().is_ok() {
                    self.revive_ended(program).await;
                }
            }
            tokio::time::sleep(WATCH).await;
        }
    }

    async fn revive_ended(&self, program: Program) {
        let mut slot = self.slot(program).await;
        if !slot.process.has_ended() {
            return;
        }
        if slot.serves() {
            let log = slot.process.log();
            let last = log.lines().last().unwrap_or_default();
            self.violated(format!("{program} ended by itself in its life {}: {last}", slot.lives));
        }
        self.revive(&mut slot, None);
    }

    /// Counts redeliveries until `done`.
    pub async fn meter(&self, done: &CancellationToken) {
        let mut last = BTreeMap::<String, u64>::new();
        while !done.is_cancelled() {
            if let Some(now) = self.vhost.redeliveries().await {
                let mut more = 0;
                for (queue, count) in &now {
                    // A broker that was killed counts from zero.
                    let before = last.get(queue).copied().filter(|before| before <= count).unwrap_or(0);
                    more += count - before;
                }
                self.tally().redelivered += more;
                last = now;
            }
            tokio::select! {
                () = done.cancelled() => {}
                () = tokio::time::sleep(METER) => {}
            }
        }
    }

    /// Asks the store something while it may be disturbed.
    pub async fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        tokio::time::timeout(STORE, question).await.ok()?.ok()
    }

    /// Returns the submissions that have not reached their end; nothing while the store does not answer.
    pub async fn running(&self) -> Option<Vec<Submission>> {
        let mut all = self.ask(self.store.submissions(None, 1000)).await?;
        all.retain(|submission| !submission.state.is_terminal());
        Some(all)
    }

    /// Returns the jobs that are marked as being worked on, by whom.
    pub async fn in_flight(&self) -> Vec<(SubmissionId, String, Option<InstanceId>)> {
        let mut held = Vec::new();
        for submission in self.running().await.unwrap_or_default() {
            let marks = self.ask(self.store.job_statuses(submission.id)).await.unwrap_or_default();
            let started = marks.into_iter().filter(|(_, mark)| mark.state == JobState::Started);
            held.extend(started.map(|(name, mark)| (submission.id, name, mark.instance)));
        }
        held
    }

    /// Stops a worker as soon as it holds a job, or has had its time; returns the jobs it holds.
    pub async fn pause_holding(&self, slot: &mut Slot) -> Vec<(SubmissionId, String)> {
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
                // What it said before it was stopped may still be on its way.
                let mut before = held().await;
                loop {
                    tokio::time::sleep(UNDER_WAY).await;
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
            if since.elapsed() > HOLDING {
                return Vec::new();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Counts the kill of something while `held` deliveries were in flight.
    pub fn killed(&self, held: usize) {
        let mut tally = self.tally();
        tally.kills += 1;
        tally.in_flight += held as u64;
    }

    /// Asks a program to end and waits until it has, which must go well.
    pub async fn terminate(&self, slot: &mut Slot) {
        let program = slot.program;
        // A program that is being loaded does not know the signal yet, and has nothing to lose.
        let served = slot.serves();
        match tokio::time::timeout(TIMEOUT, slot.process.terminate()).await {
            Ok(status) if status.success() || !served => {}
            // libfaketime takes its memory away at exit while other threads still ask for the time.
            Ok(_) if slot.skewed && slot.said_its_end() => {}
            Ok(status) => self.violated(format!("{program} ended with {status} when asked to")),
            Err(_) => {
                self.violated(format!("{program} does not end when asked to"));
                slot.process.kill().await;
            }
        }
    }

    /// Runs the command line, which asks the coordinators in turn; nothing when it takes too long.
    pub async fn cli(&self, arguments: &[&str]) -> Option<Output> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) % COORDINATORS;
        let mut command = Command::new(binary("subwatch"));
        command.args(arguments).env("SUBWATCH_URL", self.url(asked)).kill_on_drop(true);
        let ended = tokio::time::timeout(COMMAND, command.output()).await.ok()?;
        Some(ended.expect("the command line starts"))
    }

    /// Runs the command line and returns the JSON it prints, if all goes well.
    pub async fn json(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.cli(arguments).await?;
        if !output.status.success() {
            return None;
        }
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Makes the virtual host again after RabbitMQ has lost it.
    pub async fn remake_vhost(&self) {
        Vhost::create(&self.servers, &self.name).await;
    }

    /// The folder with the logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends everything in order, the workers first, and drops the virtual host; and the logs, where nothing
    /// was violated.
    pub async fn end(self) -> Tally {
        for program in self.programs().rev() {
            self.terminate(&mut *self.slot(program).await).await;
        }
        let Self { vhost, tally, folder, .. } = self;
        vhost.delete().await;
        let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        if tally.violations.is_empty() {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(folder);
        }
        tally
    }
}

impl Slot {
    /// Whether this life has begun to serve.
    #[must_use]
    pub fn serves(&self) -> bool {
        match self.program {
            Program::Coordinator(_) => self.process.logged("coordinator is listening", "address").is_some(),
            Program::Worker(_) => self.instance().is_some(),
        }
    }

    /// The instance id of a worker's life, once it consumes.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceId> {
        self.process.logged("worker is consuming jobs", "instance")?.as_str()?.parse().ok()
    }

    fn said_its_end(&self) -> bool {
        ["worker stopped", "coordinator stopped"]
            .iter()
            .any(|said| self.process.logged(said, "message").is_some())
    }

    /// The process of this life.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn place(program: Program) -> usize {
    match program {
        Program::Coordinator(index) => index,
        Program::Worker(index) => COORDINATORS + index,
    }
}

fn all_programs() -> impl DoubleEndedIterator<Item = Program> {
    (0..COORDINATORS).map(Program::Coordinator).chain((0..WORKERS).map(Program::Worker))
}

fn port_of(url: &str) -> u16 {
    let url = Url::parse(url).expect("the servers' addresses are URLs");
    url.port().expect("the servers' addresses name their ports")
}
