//! A site that speaks as YouTube does: prints its address, and serves until it is told to stop.

use std::{fmt::Write as _, io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use fake_site::{FakeSite, Faults, KEY, World};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Serves a seeded world of channels and videos in the shapes of YouTube.
#[derive(Parser)]
#[command(name = "fake-site")]
struct Arguments {
    /// What the world follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many channels there are.
    #[arg(long, default_value_t = 12)]
    channels: u32,
    /// How many videos each channel has.
    #[arg(long, default_value_t = 40)]
    videos: u32,
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// A file to write the channels into, as CSV: what `subwatch crawl --channels` reads.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// A key that the Data API takes; may be given again.
    #[arg(long = "key", default_value = KEY)]
    keys: Vec<String>,
    /// Units of the Data API that each key has.
    #[arg(long, default_value_t = 10_000)]
    units: u64,
    /// How many milliseconds each answer takes at least.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut stop = signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be awaited")?;
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
        std::fs::write(file, list).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    // The address alone, for a script to read.
    writeln!(std::io::stdout(), "{}", site.base().as_str().trim_end_matches('/'))
        .and_then(|()| std::io::stdout().flush())
        .context("the address cannot be printed")?;
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
