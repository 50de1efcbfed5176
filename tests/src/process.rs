//! Real processes: the binaries under test, their logs and their deaths.
//!
//! Owns start, signals and log files. A process that is still alive when its handle goes is killed.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// Returns the path of a binary built beside this test.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --release --workspace` first", path.display());
    path
}

/// A running program and its log.
pub struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).expect("the log can be made");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log can be shared"))
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let pid = Pid::from_raw(child.id().expect("it just started") as i32);
        Self { child, pid, log }
    }

    /// How much memory it occupies.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux counts pages");
        let kibibytes = line.trim().trim_end_matches("kB").trim();
        kibibytes.parse::<u64>().expect("the count is a number") * 1024
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the field `field` of the first JSON log line whose message is `message`.
    #[must_use]
    pub fn logged(&self, message: &str, field: &str) -> Option<serde_json::Value> {
        let log = self.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.find(|line| line["message"] == message).map(|line| line[field].clone())
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait().await;
    }

    /// Stops it where it stands; only SIGKILL or [`Process::resume`] follow.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait().await
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    async fn wait(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    fn signal(&self, signal: Signal) {
        // A process that is gone already needs no signal.
        let _ = kill(self.pid, signal);
    }
}
