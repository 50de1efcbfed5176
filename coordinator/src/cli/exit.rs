//! How commands end.

use std::{fmt, process::ExitCode};

use common::{config::ConfigError, store::State};

/// The exit codes, part of the command line's contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// It finished, and some items failed.
    FailedItems = 3,
    /// It is not allowed.
    NotAllowed = 4,
    /// What was named is not there.
    NotFound = 5,
    /// Waiting took too long; the work goes on.
    TimedOut = 6,
    /// The settings are wrong.
    BadConfig = 64,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<State> for Exit {
    /// How a command ends whose submission or run is in this state.
    fn from(state: State) -> Self {
        match state {
            State::Succeeded | State::Preparing | State::Running => Self::Done,
            State::CompletedWithErrors => Self::FailedItems,
            State::Failed | State::Cancelled => Self::Failed,
        }
    }
}

/// One line for a person, and the exit code.
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
