//! The binaries under test as processes, with their signals and log files.
//!
//! Dropping a [`Process`] kills it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// Returns the path of a binary built beside this test.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test executable has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --release --workspace` first", path.display());
    path
}

/// A running program with its log file.
pub struct Process {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with standard output and error redirected to `log`.
    #[must_use]
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).expect("the log can be created");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log can be shared"))
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let pid = Pid::from_raw(child.id().expect("it has just started") as i32);
        Self { child, pid, log }
    }

    /// Returns its resident set size.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("the process is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux reports VmRSS");
        let kibibytes = line.trim().trim_end_matches("kB").trim();
        kibibytes.parse::<u64>().expect("VmRSS is a number") * 1024
    }

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

    /// Sends SIGKILL and waits for the process to end.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait().await;
    }

    /// Sends SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends SIGTERM and waits for the process to end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait().await
    }

    /// Sends SIGTERM without waiting.
    pub fn send_sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGINT, as Ctrl-C does, without waiting.
    pub fn send_sigint(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Stops only the thread `name` until the handle is dropped, to simulate a call that never returns.
    ///
    /// # Panics
    /// If the thread does not exist or this process may not trace its children.
    #[must_use]
    pub fn freeze_thread(&self, name: &str) -> FrozenThread {
        FrozenThread::freeze(self.thread(name))
    }

    /// Returns whether the thread `name` is in state R (running or runnable).
    #[must_use]
    pub fn thread_is_running(&self, name: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/task/{}/stat", self.pid, self.thread(name)));
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
    }

    fn thread(&self, name: &str) -> Pid {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the process is running");
        let named = |task: &std::fs::DirEntry| {
            let comm = std::fs::read_to_string(task.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        let task = tasks.flatten().find(named).unwrap_or_else(|| panic!("thread '{name}' not found"));
        let id = task.file_name().into_string().ok().and_then(|id| id.parse().ok());
        Pid::from_raw(id.expect("task names are numbers"))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    pub async fn wait(&mut self) -> ExitStatus {
        self.child.wait().await.expect("a child can be waited for")
    }

    fn signal(&self, signal: Signal) {
        // Fails if the process has already ended.
        let _ = kill(self.pid, signal);
    }
}

/// A stopped thread of another process; it resumes on drop.
pub struct FrozenThread {
    thaw: mpsc::Sender<()>,
    tracer: Option<JoinHandle<()>>,
}

impl FrozenThread {
    fn freeze(thread: Pid) -> Self {
        let (thaw, thawed) = mpsc::channel();
        let (stopped, is_stopped) = mpsc::channel();
        // ptrace: only the tracing thread may wait for the traced thread or detach from it.
        let tracer = std::thread::spawn(move || {
            ptrace::seize(thread, ptrace::Options::empty()).expect("a child may be traced");
            ptrace::interrupt(thread).expect("a traced thread can be stopped");
            waitpid(thread, Some(WaitPidFlag::__WALL)).expect("a traced thread can be waited for");
            stopped.send(()).expect("the receiver is waiting");
            while thawed.recv_timeout(Duration::from_millis(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
                // The process can be reaped only after its traced thread has been waited for.
                match waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            // Fails if the process has ended.
            let _ = ptrace::detach(thread, None);
        });
        is_stopped.recv().expect("the thread is frozen");
        Self { thaw, tracer: Some(tracer) }
    }
}

impl Drop for FrozenThread {
    fn drop(&mut self) {
        let _ = self.thaw.send(());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}
