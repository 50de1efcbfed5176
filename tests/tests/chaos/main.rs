//! Chaos tests with real servers: `make test` runs a few fixed schedules, `make chaos` a chosen number.

mod deaths;
mod reconnects;
mod rolling;
mod schedules;

/// Serialises the tests, since each needs the whole machine.
static EXCLUSIVE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
