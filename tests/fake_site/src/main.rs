//! Serves a fake YouTube site until SIGTERM or SIGINT, and prints its address.

use std::{fmt::Write as _, io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use fake_site::{FakeSite, Faults, KEY, World};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Serve a fake YouTube site with generated channels and videos.
#[derive(Parser)]
#[command(name = "fake-site")]
struct Arguments {
    /// Seed of the generated content.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of channels.
    #[arg(long, default_value_t = 12)]
    channels: u32,
    /// Number of videos per channel.
    #[arg(long, default_value_t = 40)]
    videos: u32,
    /// Listen on this address; port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// Write the channels to FILE as CSV for `subwatch crawl --channels`.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Accept this Data API key; repeat for more.
    #[arg(long = "key", default_value = KEY)]
    keys: Vec<String>,
    /// Data API units per key.
    #[arg(long, default_value_t = 10_000)]
    units: u64,
    /// Delay each response by this many milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut stop = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let listener = TcpListener::bind(arguments.address)
        .await
        .with_context(|| format!("cannot listen on {}; choose another with --address", arguments.address))?;
    let world = World {
        seed: arguments.seed,
        channels: arguments.channels,
        videos_per_channel: arguments.videos,
        keys: arguments.keys,
        units: arguments.units,
        latency: Duration::from_millis(arguments.latency_ms),
        ..World::default()
    };
    let site = FakeSite::serve(listener, world, Faults::none());
    if let Some(file) = &arguments.list {
        let mut list = "handle,category\n".to_owned();
        for channel in site.channels() {
            writeln!(list, "{},{}", channel.handle, channel.category)?;
        }
        std::fs::write(file, list).with_context(|| format!("cannot write {}", file.display()))?;
    }
    // Only the address, so that scripts can read it.
    writeln!(std::io::stdout(), "{}", site.base().as_str().trim_end_matches('/'))
        .and_then(|()| std::io::stdout().flush())
        .context("cannot print the address")?;
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
