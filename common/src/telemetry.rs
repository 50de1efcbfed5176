//! Logging: human lines on a terminal, JSON otherwise, always on standard error.
//!
//! Owns the subscriber; does not own what is logged. Standard output is left to data.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{ConfigError, Loaded};

/// Installs the process-wide subscriber, and warns of variables that are no setting.
///
/// # Errors
/// When the filter does not parse.
pub fn install(loaded: &Loaded) -> Result<(), ConfigError> {
    let settings = &loaded.settings;
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
        // Colours only on a terminal, and there unless NO_COLOR is set, which is the default's own rule.
        let builder = builder.with_target(false);
        if stderr().is_terminal() { builder.try_init() } else { builder.with_ansi(false).try_init() }
    } else {
        builder.json().flatten_event(true).try_init()
    };
    for variable in &loaded.unknown {
        tracing::warn!("{variable} is set, but is no setting: is it misspelt?");
    }
    Ok(())
}
