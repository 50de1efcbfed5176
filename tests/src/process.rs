//! Real processes: the binaries under test, their logs and their deaths.
//!
//! Owns start, signals and log files. A process that is still alive when its handle goes is killed.

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

    /// Sends SIGTERM and does not wait.
    pub fn ask_to_end(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGINT, as Ctrl-C does, and does not wait.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Stops its thread of this name where it stands, and no other, until the handle is dropped: what a
    /// call that never returns looks like from outside.
    ///
    /// # Panics
    /// When there is no such thread, or this process may not trace its children.
    #[must_use]
    pub fn freeze_thread(&self, name: &str) -> FrozenThread {
        FrozenThread::freeze(self.thread(name))
    }

    /// Whether the thread called `name` is computing at this moment.
    #[must_use]
    pub fn thread_computes(&self, name: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/task/{}/stat", self.pid, self.thread(name)));
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('R')))
    }

    fn thread(&self, name: &str) -> Pid {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the program runs");
        let named = |task: &std::fs::DirEntry| {
            let comm = std::fs::read_to_string(task.path().join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        let task = tasks.flatten().find(named).unwrap_or_else(|| panic!("there is no thread '{name}'"));
        let id = task.file_name().into_string().ok().and_then(|id| id.parse().ok());
        Pid::from_raw(id.expect("tasks are numbers"))
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
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

/// A thread of another process that does not move.
pub struct FrozenThread {
    thaw: mpsc::Sender<()>,
    tracer: Option<JoinHandle<()>>,
}

impl FrozenThread {
    fn freeze(thread: Pid) -> Self {
        let (thaw, asked) = mpsc::channel();
        let (stopped, is_stopped) = mpsc::channel();
        // Only the thread that traces another may wait for it or let it go.
        let tracer = std::thread::spawn(move || {
            ptrace::seize(thread, ptrace::Options::empty()).expect("a child may be traced");
            ptrace::interrupt(thread).expect("a traced thread can be stopped");
            waitpid(thread, Some(WaitPidFlag::__WALL)).expect("a traced thread can be waited for");
            stopped.send(()).expect("it is waited for");
            while asked.recv_timeout(Duration::from_millis(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
                // When the process ends, its end shows once this thread has been waited for.
                match waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            // It may have ended meanwhile.
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
