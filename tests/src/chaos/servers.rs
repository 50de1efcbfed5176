//! Dedicated RabbitMQ and Redis servers, which tests may kill, wipe, roll back and starve.
//!
//! Owns their processes, ports and data. Ports stay the same over restarts, as behind a Kubernetes service.
//! Dropping [`ServerPair`] removes everything.

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

/// Time limit for a server to start.
const START: Duration = Duration::from_secs(120);
/// Range for ports, below the kernel's ephemeral port range.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const BROKER_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

pub struct ServerPair {
    folder: TempDir,
    amqp: u16,
    management: u16,
    redis: u16,
    epmd: u16,
    distribution: u16,
    broker: Mutex<ServerProcess>,
    store: Mutex<ServerProcess>,
    _port_mapper: Process,
}

/// A server's process, with the number of its starts.
pub struct ServerProcess {
    process: Option<Process>,
    starts: u32,
}

/// A copy of Redis's data.
pub struct Snapshot(TempDir);

impl ServerPair {
    /// Starts both servers without data and waits until they serve.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("chaos-servers-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let first = free_ports(5);
        let [amqp, management, redis, epmd, distribution] = std::array::from_fn(|at| first + at as u16);
        write_configuration(folder.path(), amqp, management, redis);
        let mut port_mapper = server_command("epmd");
        port_mapper.args(["-port", &epmd.to_string(), "-address", "127.0.0.1"]);
        let port_mapper = Process::start(port_mapper, folder.path().join("epmd.log"));
        let server_process = || Mutex::new(ServerProcess { process: None, starts: 0 });
        let pair = Self {
            folder,
            amqp,
            management,
            redis,
            epmd,
            distribution,
            broker: server_process(),
            store: server_process(),
            _port_mapper: port_mapper,
        };
        for server in [Server::Store, Server::Broker] {
            let mut server_process = pair.lock(server).await;
            pair.spawn(server, &mut server_process);
        }
        for server in [Server::Store, Server::Broker] {
            pair.wait_until_ready(server).await;
        }
        pair
    }

    #[must_use]
    pub fn addresses(&self) -> Servers {
        Servers {
            amqp_url: format!("amqp://guest:guest@127.0.0.1:{}", self.amqp),
            management_url: format!("http://guest:guest@127.0.0.1:{}", self.management),
            redis_url: format!("redis://127.0.0.1:{}/0", self.redis),
        }
    }

    /// Locks a server, so that nothing else disturbs it.
    pub async fn lock(&self, server: Server) -> MutexGuard<'_, ServerProcess> {
        match server {
            Server::Broker => self.broker.lock().await,
            Server::Store => self.store.lock().await,
        }
    }

    /// Starts a stopped server without waiting (see [`ServerPair::wait_until_ready`]).
    pub fn spawn(&self, server: Server, server_process: &mut ServerProcess) {
        server_process.starts += 1;
        let (command, name) = match server {
            Server::Broker => (self.broker_command("rabbitmq-server", &["-noinput"]), "rabbitmq"),
            Server::Store => {
                let mut command = server_command("redis-server");
                command.arg(self.folder.path().join("redis.conf"));
                (command, "redis")
            }
        };
        let log = self.folder.path().join(format!("{name}-{}.log", server_process.starts));
        server_process.process = Some(Process::start(command, log));
    }

    pub async fn wait_until_ready(&self, server: Server) {
        let since = Instant::now();
        while !self.serves(server).await {
            assert!(
                since.elapsed() < START,
                "{server} did not start; its data is in {:?}",
                self.folder.path()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn serves(&self, server: Server) -> bool {
        match server {
            Server::Store => self.redis(&["ping"]).await.trim() == "PONG",
            // Listeners open last, so a broker that accepts connections has booted.
            Server::Broker => {
                let overview = format!("http://127.0.0.1:{}/api/overview", self.management);
                let request = crate::http().get(overview).basic_auth("guest", Some("guest"));
                let answer = request.timeout(Duration::from_secs(5)).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
                    && TcpStream::connect(("127.0.0.1", self.amqp)).await.is_ok()
            }
        }
    }

    /// Raises or clears RabbitMQ's memory alarm.
    pub async fn set_alarm(&self, raised: bool) {
        let status = if raised { "0.0000001" } else { "0.4" };
        let mut command = self.broker_command("rabbitmqctl", &["set_vm_memory_high_watermark", status]);
        let output = command.stdin(Stdio::null()).output().await.expect("rabbitmqctl starts");
        assert!(output.status.success(), "{output:?}");
    }

    /// Deletes the data of RabbitMQ, which must be stopped.
    pub fn wipe_broker(&self) {
        fs::remove_dir_all(self.folder.path().join("rabbitmq/mnesia")).expect("the broker has data");
    }

    /// Makes Redis refuse writes.
    pub async fn refuse_writes(&self, refusal: Refusal) {
        match refusal {
            Refusal::Full => self.redis(&["config", "set", "maxmemory", "1"]).await,
            Refusal::NoReplicas => self.redis(&["config", "set", "min-replicas-to-write", "1"]).await,
            // Nothing listens on port 1, so Redis keeps its data and waits for its master.
            Refusal::Replica => self.redis(&["replicaof", "127.0.0.1", "1"]).await,
        };
    }

    /// Makes Redis accept writes again.
    pub async fn accept_writes(&self) {
        self.redis(&["config", "set", "maxmemory", "0"]).await;
        self.redis(&["config", "set", "min-replicas-to-write", "0"]).await;
        self.redis(&["replicaof", "no", "one"]).await;
    }

    /// Copies Redis's data while it runs. A concurrent write can truncate only the last command.
    #[must_use]
    pub fn snapshot_store(&self) -> Snapshot {
        let snapshot = tempfile::tempdir_in(self.folder.path()).expect("a folder can be created");
        copy_files(&self.append_only(), snapshot.path());
        Snapshot(snapshot)
    }

    /// Restores a snapshot of Redis, which must be stopped.
    pub fn roll_store_back(&self, snapshot: &Snapshot) {
        fs::remove_dir_all(self.append_only()).expect("Redis has data");
        fs::create_dir(self.append_only()).expect("the folder can be created");
        copy_files(snapshot.0.path(), &self.append_only());
    }

    fn append_only(&self) -> PathBuf {
        self.folder.path().join("redis/appendonlydir")
    }

    /// Runs a command in redis-cli and returns its output, which may be an error.
    async fn redis(&self, command_line: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.redis.to_string()]).args(command_line);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.expect("redis-cli starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns a command for a RabbitMQ program, configured for this node. ALLOW_INPUT makes the server's
    /// script
    /// `exec` the server. Idle schedulers do not busy-wait, since workers need the cores.
    fn broker_command(&self, program: &str, arguments: &[&str]) -> Command {
        let folder = self.folder.path().join("rabbitmq");
        let mut command = server_command(Path::new(BROKER_SCRIPTS).join(program));
        // A crashing broker writes its dumps to the current folder.
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

impl ServerProcess {
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await;
        }
    }

    /// Sends SIGSTOP.
    pub fn pause(&self) {
        self.process.iter().for_each(Process::pause);
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.process.iter().for_each(Process::resume);
    }
}

/// Returns the command of a server with an empty environment, so that no configuration of the machine's own servers
/// applies.
pub fn server_command(program: impl Into<PathBuf>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "the environment configures tests")]
    let other = std::env::var("SUBWATCH_SERVERS").is_ok_and(|servers| servers == "debian13");
    let program: PathBuf = program.into();
    let mut command = if other {
        let mut command = Command::new(project().join("deploy/local/debian13.sh"));
        command.arg("run").arg(program);
        command
    } else {
        Command::new(program)
    };
    // Redis 8.0 refuses to start with an unknown locale.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

fn write_configuration(folder: &Path, amqp: u16, management: u16, redis: u16) {
    let rabbitmq = folder.join("rabbitmq");
    fs::create_dir_all(&rabbitmq).expect("a folder can be created");
    fs::create_dir_all(folder.join("redis")).expect("a folder can be created");
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file can be written");
    write(rabbitmq.join("rabbitmq-env.conf"), "");
    write(rabbitmq.join("advanced.config"), "[].\n");
    write(rabbitmq.join("enabled_plugins"), "[rabbitmq_management].\n");
    // The node must resolve localhost whatever the machine's resolver says.
    write(rabbitmq.join("inetrc"), "{host, {127,0,0,1}, [\"localhost\"]}.\n{lookup, [file, native]}.\n");
    write(
        rabbitmq.join("rabbitmq.conf"),
        &format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n\
             disk_free_limit.absolute = 256MB\nvm_memory_high_watermark.relative = 0.4\n\
             collect_statistics_interval = 1000\nlog.console = true\nlog.file = false\n"
        ),
    );
    // AOF rewrites would replace the files while they are copied.
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

/// Finds `count` consecutive free ports and returns the first.
pub fn free_ports(count: u16) -> u16 {
    let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = rand::rng().random_range(PORTS.start..PORTS.end - count);
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}
