//! Logging: human lines on a terminal, JSON otherwise, always on standard error.
//!
//! Owns the subscriber; does not own what is logged. Standard output is left to data.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{ConfigError, Settings};

/// Installs the process-wide subscriber.
///
/// # Errors
/// When the filter does not parse.
pub fn install(settings: &Settings) -> Result<(), ConfigError> {
    let filter = EnvFilter::builder().parse(&settings.log).map_err(|error| {
        ConfigError::invalid(
            "log",
            &settings.log,
            &format!("a filter such as info or common=debug ({error})"),
        )
    })?;
    let human = match settings.log_format.as_str() {
        "human" => true,
        "json" => false,
        _ => stderr().is_terminal(),
    };
    let builder = fmt().with_env_filter(filter).with_writer(stderr);
    // A second installation (several programs in one test process) keeps the first subscriber.
    let _ = if human {
        builder.with_target(false).with_ansi(stderr().is_terminal()).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    Ok(())
}
