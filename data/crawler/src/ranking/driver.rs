//! `chromedriver` and the browser that it runs, for as long as a ranking is read.
//!
//! Owns their start and their end. Invariant: they end with this process, however it ends, and leave no file: a
//! shell of theirs waits for a pipe that only this process holds open.

use std::{process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use url::Url;

use super::error::RankingError;

/// How long the driver may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long the driver and its browser may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);
/// The exit status of a shell that does not find a program.
const NOT_FOUND: i32 = 127;
/// Starts the driver at a port that is free; once standard input ends, kills it with its browser and removes
/// the folder `$1`. A session of its own makes both one process group; before it has one, it is killed alone.
const LEASH: &str = r#"
command -v chromedriver >/dev/null || exit 127
setsid chromedriver --port=0 </dev/null &
cat >/dev/null
kill -KILL -$!
kill -KILL $!
wait
rm -rf "$1"
"#;

/// A driver at work.
pub(super) struct Driver {
    /// Where it listens.
    pub(super) url: Url,
    /// Its files, the browser's profile among them.
    folder: TempDir,
    shell: Child,
    leash: ChildStdin,
    /// Kept, so that the driver can go on writing.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Driver {
    pub(super) async fn start() -> Result<Self, RankingError> {
        let failed = |why: String| RankingError::Failed(format!("chromedriver does not start: {why}"));
        let folder = tempfile::Builder::new().prefix("subwatch-browser-").tempdir();
        let folder = folder.map_err(|error| failed(format!("no temporary folder: {error}")))?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", LEASH, "sh"]).arg(folder.path()).env("TMPDIR", folder.path());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C is for this process, which first closes what is open.
        shell.process_group(0);
        let mut shell = shell.spawn().map_err(|error| failed(format!("/bin/sh: {error}")))?;
        let (Some(leash), Some(output)) = (shell.stdin.take(), shell.stdout.take()) else {
            return Err(failed("its shell has no pipes".to_owned()));
        };
        let mut output = BufReader::new(output).lines();
        match tokio::time::timeout(START_LIMIT, port_of(&mut output)).await {
            Ok(Some(port)) => {
                let url = Url::parse(&format!("http://127.0.0.1:{port}")).expect("a port makes a URL");
                Ok(Self { url, folder, shell, leash, _output: output })
            }
            // Nothing but the shell itself ends before its input does.
            Ok(None) => match shell.wait().await.map(|status| status.code()) {
                Ok(Some(NOT_FOUND)) => Err(RankingError::Failed(
                    "a ranking is read with a browser, and there is no chromedriver on the PATH: install it (on \
                     Debian, `apt-get install chromium chromium-driver`), or name a WebDriver that runs elsewhere \
                     with SUBWATCH_RANKING_WEBDRIVER"
.to_owned(),
                )),
                ended => Err(failed(format!("its shell ended with {ended:?}"))),
            },
            Err(_) => {
                let hint = "see what `chromedriver --port=0` says";
                Err(failed(format!("it has not said its port within {} s; {hint}", START_LIMIT.as_secs())))
            }
        }
    }

    /// The folder of the browser's profile, which nothing has been in yet.
    pub(super) fn profile(&self) -> String {
        self.folder.path().join("profile").display().to_string()
    }

    /// Ends the driver and its browser, and waits for that.
    pub(super) async fn end(self) {
        let Self { folder, mut shell, leash, .. } = self;
        drop(leash);
        // Whoever still hangs after that cannot be killed at all.
        let _ = tokio::time::timeout(END_LIMIT, shell.wait()).await;
        drop(folder);
    }
}

/// Reads what the driver says until it says its port.
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
    fn the_port_is_the_one_that_was_free() {
        assert_eq!(port_in("Starting ChromeDriver 156.0.8078.79 (a21ce95) on port 0"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 42121."), Some(42121));
        assert_eq!(port_in("ChromeDriver was started successfully on port 421210."), None);
    }
}
