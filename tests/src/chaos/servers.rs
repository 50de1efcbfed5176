//! A RabbitMQ and a Redis of a test's own, which may be killed, wiped, rolled back and starved.
//!
//! Owns their processes, ports and data. Does not own what runs over them. Invariant: ports stay the same
//! over every restart, as those of a server behind a service's address do; nothing is left when this goes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rand::RngExt;
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::Command,
    sync::{Mutex, MutexGuard},
};

use super::schedule::{Refusal, Server};
use crate::{environment::Servers, process::Process, python::project};

/// Longest a server may take to start.
const START: Duration = Duration::from_secs(120);
/// Where ports are taken from: below the range that the kernel hands to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const BROKER_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// Both servers.
pub struct ServerPair {
    folder: TempDir,
    amqp: u16,
    management: u16,
    redis: u16,
    epmd: u16,
    distribution: u16,
    broker: Mutex<Life>,
    store: Mutex<Life>,
    _port_mapper: Process,
}

/// A server's process, and how many it has had.
pub struct Life {
    process: Option<Process>,
    starts: u32,
}

/// What Redis held at one moment.
pub struct Snapshot(TempDir);

impl ServerPair {
    /// Starts both, with no data, and waits until they serve.
    ///
    /// # Panics
    /// When one of them does not start; so do all methods here.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chaos-servers-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let first = free_ports(5);
        let [amqp, management, redis, epmd, distribution] = std::array::from_fn(|at| first + at as u16);
        write_configuration(folder.path(), amqp, management, redis);
        let mut port_mapper = server_command("epmd");
        port_mapper.args(["-port", &epmd.to_string(), "-address", "127.0.0.1"]);
        let port_mapper = Process::start(port_mapper, folder.path().join("epmd.log"));
        let life = || Mutex::new(Life { process: None, starts: 0 });
        let pair = Self {
            folder,
            amqp,
            management,
            redis,
            epmd,
            distribution,
            broker: life(),
            store: life(),
            _port_mapper: port_mapper,
        };
        for server in [Server::Store, Server::Broker] {
            let mut life = pair.life(server).await;
            pair.spawn(server, &mut life);
        }
        for server in [Server::Store, Server::Broker] {
            pair.ready(server).await;
        }
        pair
    }

    /// Where they are.
    #[must_use]
    pub fn addresses(&self) -> Servers {
        Servers {
            amqp_url: format!("amqp://guest:guest@127.0.0.1:{}", self.amqp),
            management_url: format!("http://guest:guest@127.0.0.1:{}", self.management),
            redis_url: format!("redis://127.0.0.1:{}/0", self.redis),
        }
    }

    /// Takes hold of a server, so that nobody else disturbs it meanwhile.
    pub async fn life(&self, server: Server) -> MutexGuard<'_, Life> {
        match server {
            Server::Broker => self.broker.lock().await,
            Server::Store => self.store.lock().await,
        }
    }

    /// Starts a server that does not run; [`ServerPair::ready`] waits for it.
    pub fn spawn(&self, server: Server, life: &mut Life) {
        life.starts += 1;
        let (command, name) = match server {
            Server::Broker => (self.broker_command("rabbitmq-server", &["-noinput"]), "rabbitmq"),
            Server::Store => {
                let mut command = server_command("redis-server");
                command.arg(self.folder.path().join("redis.conf"));
                (command, "redis")
            }
        };
        let log = self.folder.path().join(format!("{name}-{}.log", life.starts));
        life.process = Some(Process::start(command, log));
    }

    /// Waits until a server serves.
    pub async fn ready(&self, server: Server) {
        let since = Instant::now();
        while !self.serves(server).await {
            assert!(
                since.elapsed() < START,
                "{server} does not start; its data is in {:?}",
                self.folder.path()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serves(&self, server: Server) -> bool {
        match server {
            Server::Store => self.redis(&["ping"]).await.trim() == "PONG",
            // Listeners open last, so a broker that answers here has booted.
            Server::Broker => {
                let overview = format!("http://127.0.0.1:{}/api/overview", self.management);
                let asking = crate::http().get(overview).basic_auth("guest", Some("guest"));
                let answer = asking.timeout(Duration::from_secs(5)).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
                    && TcpStream::connect(("127.0.0.1", self.amqp)).await.is_ok()
            }
        }
    }

    /// Makes RabbitMQ raise its memory alarm, or end it.
    pub async fn set_alarm(&self, raised: bool) {
        let mark = if raised { "0.0000001" } else { "0.4" };
        let mut command = self.broker_command("rabbitmqctl", &["set_vm_memory_high_watermark", mark]);
        let output = command.stdin(Stdio::null()).output().await.expect("rabbitmqctl starts");
        assert!(output.status.success(), "{output:?}");
    }

    /// Forgets everything that RabbitMQ, which does not run now, held.
    pub fn wipe_broker(&self) {
        fs::remove_dir_all(self.folder.path().join("rabbitmq/mnesia")).expect("the broker has data");
    }

    /// Makes Redis refuse writes in one way.
    pub async fn refuse_writes(&self, refusal: Refusal) {
        match refusal {
            Refusal::Full => self.redis(&["config", "set", "maxmemory", "1"]).await,
            Refusal::NoReplicas => self.redis(&["config", "set", "min-replicas-to-write", "1"]).await,
            // Nobody listens at port 1, so it keeps what it holds and waits for its master.
            Refusal::Replica => self.redis(&["replicaof", "127.0.0.1", "1"]).await,
        };
    }

    /// Makes Redis take writes again.
    pub async fn accept_writes(&self) {
        self.redis(&["config", "set", "maxmemory", "0"]).await;
        self.redis(&["config", "set", "min-replicas-to-write", "0"]).await;
        self.redis(&["replicaof", "no", "one"]).await;
    }

    /// Copies what Redis holds now; it may be writing meanwhile, which tears the last command at most.
    #[must_use]
    pub fn snapshot_store(&self) -> Snapshot {
        let snapshot = tempfile::tempdir_in(self.folder.path()).expect("a folder can be made");
        copy_files(&self.append_only(), snapshot.path());
        Snapshot(snapshot)
    }

    /// Puts Redis, which does not run now, back to a snapshot.
    pub fn roll_store_back(&self, snapshot: &Snapshot) {
        fs::remove_dir_all(self.append_only()).expect("Redis has data");
        fs::create_dir(self.append_only()).expect("the folder can be made");
        copy_files(snapshot.0.path(), &self.append_only());
    }

    fn append_only(&self) -> PathBuf {
        self.folder.path().join("redis/appendonlydir")
    }

    /// Asks Redis something from outside and returns what it answers, an error included.
    async fn redis(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.redis.to_string()]).args(words);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.expect("redis-cli starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A program of RabbitMQ's with everything that points it at this node. ALLOW_INPUT makes the server's
    /// script become the server; idle schedulers do not spin, since workers need the cores.
    fn broker_command(&self, program: &str, arguments: &[&str]) -> Command {
        let folder = self.folder.path().join("rabbitmq");
        let mut command = server_command(Path::new(BROKER_SCRIPTS).join(program));
        // Where a broker that dies leaves its dumps.
        command.current_dir(self.folder.path());
        command.args(arguments).env("HOME", &folder);
        let number = |number: u16| number.to_string();
        let file = |name: &str| folder.join(name).into_os_string();
        let variables: [(&str, OsString); 16] = [
            ("ERL_EPMD_PORT", number(self.epmd).into()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
            ("ERL_INETRC", file("inetrc")),
            ("RABBITMQ_ALLOW_INPUT", "1".into()),
            ("RABBITMQ_NODENAME", "subwatch-chaos@localhost".into()),
            ("RABBITMQ_DIST_PORT", number(self.distribution).into()),
            ("RABBITMQ_CONF_ENV_FILE", file("rabbitmq-env.conf")),
            ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf")),
            ("RABBITMQ_CONFIG_FILES", file("conf.d")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins")),
            ("RABBITMQ_MNESIA_BASE", file("mnesia")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", file("config")),
            ("RABBITMQ_LOG_BASE", file("log")),
            ("RABBITMQ_PID_FILE", file("rabbitmq.pid")),
            ("ERL_CRASH_DUMP", file("erl_crash.dump")),
        ];
        command.envs(variables).env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none \
             +sbwtdio none",
        );
        command
    }
}

impl Life {
    /// Kills the server.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Stops it where it stands.
    pub fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }
}

/// A server's program in an empty environment: nothing of the machine's own servers reaches it.
fn server_command(program: impl Into<PathBuf>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "tests are told their servers by the environment")]
    let other = std::env::var("SUBWATCH_SERVERS").is_ok_and(|servers| servers == "debian13");
    let program: PathBuf = program.into();
    let mut command = if other {
        let mut command = Command::new(project().join("deploy/local/debian13.sh"));
        command.arg("run").arg(program);
        command
    } else {
        Command::new(program)
    };
    // Redis 8.0 refuses to start under a locale that it does not find.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

fn write_configuration(folder: &Path, amqp: u16, management: u16, redis: u16) {
    let rabbitmq = folder.join("rabbitmq");
    fs::create_dir_all(&rabbitmq).expect("a folder can be made");
    fs::create_dir_all(folder.join("redis")).expect("a folder can be made");
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file can be written");
    write(rabbitmq.join("rabbitmq-env.conf"), "");
    write(rabbitmq.join("advanced.config"), "[].\n");
    write(rabbitmq.join("enabled_plugins"), "[rabbitmq_management].\n");
    // The node finds itself whatever the machine makes of the name localhost.
    write(rabbitmq.join("inetrc"), "{host, {127,0,0,1}, [\"localhost\"]}.\n{lookup, [file, native]}.\n");
    write(
        rabbitmq.join("rabbitmq.conf"),
        &format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             disk_free_limit.absolute = 256MB\nvm_memory_high_watermark.relative = 0.4\n\
             collect_statistics_interval = 1000\nlog.console = true\nlog.file = false\n"
        ),
    );
    // Rewrites would change the files while they are copied.
    write(
        folder.join("redis.conf"),
        &format!(
            "bind 127.0.0.1\nport {redis}\ndaemonize no\ndir \"{}\"\nsave \"\"\nappendonly yes\n\
             appendfsync everysec\nauto-aof-rewrite-percentage 0\nmaxmemory-policy noeviction\n",
            folder.join("redis").display()
        ),
    );
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("an entry has a name");
        fs::copy(&path, to.join(name)).expect("a file can be copied");
    }
}

/// Finds `count` consecutive ports that nobody listens at.
pub(super) fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = rand::rng().random_range(PORTS.start..PORTS.end - count);
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}
