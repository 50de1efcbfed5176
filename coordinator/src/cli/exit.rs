//! Exit codes, and the error that ends a command.

use std::{fmt, process::ExitCode};

use common::{config::ConfigError, store::State};

/// Exit codes. Scripts rely on them; `deploy/README.md` lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// The arguments are invalid.
    Usage = 2,
    /// The command finished, but some items failed.
    FailedItems = 3,
    /// The access token is missing, unknown or lacks the scope.
    NotAllowed = 4,
    NotFound = 5,
    /// `--wait-timeout` expired; the jobs keep running.
    TimedOut = 6,
    /// The settings are invalid.
    BadConfig = 64,
    /// Ctrl-C while waiting; the jobs keep running.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<State> for Exit {
    /// Returns the exit code of a command whose submission or run is in this state.
    fn from(state: State) -> Self {
        match state {
            State::Succeeded | State::Preparing | State::Running => Self::Done,
            State::CompletedWithErrors => Self::FailedItems,
            State::Failed | State::Cancelled => Self::Failed,
        }
    }
}

/// The error that ends a command: one line, and the exit code.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) message: String,
    pub(super) exit: Exit,
}

impl CliError {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), exit }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::BadConfig, error.to_string())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
