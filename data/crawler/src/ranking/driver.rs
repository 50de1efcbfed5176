//! Runs `chromedriver` and its browser while rankings are read.
//!
//! Invariant: both end with this process, even if it is killed, and leave no files: a supervising shell waits on a
//! pipe that only this process holds open.

use std::{process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

use super::error::RankingError;

const START_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// A shell's exit status for "command not found".
const NOT_FOUND: i32 = 127;
/// Starts the driver on a free port; at the end of standard input, kills it with its browser and removes the
/// directory `$1`. `setsid` puts both into one process group; until it has run, the second `kill` ends the driver
/// alone.
const SUPERVISOR: &str = r#"
command -v chromedriver >/dev/null || exit 127
setsid chromedriver --port=0 </dev/null &
cat >/dev/null
kill -KILL -$!
kill -KILL $!
wait
rm -rf "$1"
"#;

/// A running driver.
pub(super) struct Driver {
    pub(super) url: Url,
    /// Temporary files, including the browser's profile.
    folder: TempDir,
    shell: Child,
    supervisor_stdin: ChildStdin,
    /// Held open, so that the driver's writes do not fail.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub(super) async fn start() -> Result<Self, RankingError> {
        let failed = |why: String| RankingError::Failed(format!("could not start chromedriver: {why}"));
        let folder = tempfile::Builder::new().prefix("subwatch-browser-").tempdir();
        let folder =
            folder.map_err(|error| failed(format!("could not create a temporary folder: {error}")))?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SUPERVISOR, "sh"]).arg(folder.path()).env("TMPDIR", folder.path());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C goes only to this process, which closes the session before the driver.
        shell.process_group(0);
        let mut shell = shell.spawn().map_err(|error| failed(format!("/bin/sh: {error}")))?;
        let (Some(supervisor_stdin), Some(output)) = (shell.stdin.take(), shell.stdout.take()) else {
            return Err(failed("/bin/sh has no pipes".to_owned()));
        };
        let mut output = BufReader::new(output).lines();
        match tokio::time::timeout(START_TIMEOUT, port_of(&mut output)).await {
            Ok(Some(port)) => {
                let url = Url::parse(&format!("http://127.0.0.1:{port}")).expect("a port makes a URL");
                Ok(Self { url, folder, shell, supervisor_stdin, _output: output })
            }
            // The output ended, so the shell has exited before its input ended.
            Ok(None) => match shell.wait().await {
                Ok(status) if status.code() == Some(NOT_FOUND) => Err(RankingError::Failed(
                    "reading a ranking needs a browser, and chromedriver is not on the PATH: install it (on \
                     Debian, `apt-get install chromium chromium-driver`), or set \
                     SUBWATCH_RANKING_WEBDRIVER to the URL of a running WebDriver"
                        .to_owned(),
                )),
                Ok(status) => Err(failed(format!("the shell that starts it ended: {status}"))),
                Err(error) => Err(failed(error.to_string())),
            },
            Err(_) => {
                let hint = "check the output of `chromedriver --port=0`";
                Err(failed(format!(
                    "it did not report its port within {} s; {hint}",
                    START_TIMEOUT.as_secs()
                )))
            }
        }
    }

    /// Path of the browser's new profile.
    pub(super) fn profile(&self) -> String {
        self.folder.path().join("profile").display().to_string()
    }

    /// Stops the driver and its browser.
    pub(super) async fn stop(self) {
        let Self { folder, mut shell, supervisor_stdin, .. } = self;
        drop(supervisor_stdin);
        // SIGKILL ends them; a process that survives it cannot be stopped by us.
        let _ = tokio::time::timeout(STOP_TIMEOUT, shell.wait()).await;
        drop(folder);
    }
}

/// Reads the driver's output until it reports its port.
async fn port_of(output: &mut Lines<BufReader<ChildStdout>>) -> Option<u16> {
    while let Ok(Some(line)) = output.next_line().await {
        if let Some(port) = port_in(&line) {
            return Some(port);
        }
    }
    None
}

fn port_in(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_parsed_from_the_drivers_output() {
        assert_eq!(port_in("Starting ChromeDriver 156.0.8078.79 (a21ce95) on port 0"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 42121."), Some(42121));
        assert_eq!(port_in("ChromeDriver was started successfully on port 421210."), None);
    }
}
