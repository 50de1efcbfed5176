//! Chaos over real servers: `make test` plays a few fixed schedules, `make chaos` as many as are asked for.

mod deaths;
mod reconnects;
mod rolling;
mod schedules;

/// These tests take the whole machine each, so one runs at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
