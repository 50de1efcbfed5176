//! `subwatch-worker`: consumes embed, train-epoch, predict and crawl jobs.

use std::{
    io::{Write, stderr},
    sync::LazyLock,
};

use clap::Parser;
use common::{
    config::{ConfigError, Loaded, Settings},
    job::kind::Kind,
    logging,
    terminal_escape::escaped,
};

const FAILED: u8 = 1;
const BAD_CONFIG: u8 = 64;

/// Default job kinds: all that this build supports.
static KINDS: LazyLock<String> = LazyLock::new(|| {
    let supported = |kind: &Kind| cfg!(feature = "model") || !kind.needs_model();
    Kind::ALL.into_iter().filter(supported).map(Kind::name).collect::<Vec<_>>().join(",")
});

/// Consumes subwatch jobs from RabbitMQ, runs ResNet34, and writes results to Redis.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Job kinds to consume, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = KINDS.as_str())]
    kinds: Vec<Kind>,
    /// Device of the model: auto, cpu or cuda:N [env: SUBWATCH_MODEL_DEVICE] [default: auto].
    #[arg(long, global = true)]
    device: Option<String>,
    /// Compute threads of the model [env: SUBWATCH_MODEL_THREADS] [default: one per core].
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    #[cfg(feature = "model")]
    #[command(subcommand)]
    command: Option<Command>,
}

#[cfg(feature = "model")]
#[derive(clap::Subcommand)]
enum Command {
    /// Measure how fast this machine decodes and embeds images; needs no servers.
    Bench(worker::bench::BenchOptions),
}

fn main() {
    if cfg!(feature = "bench-noop") {
        fail(&"this build does nothing with embed jobs: build it without the feature bench-noop", FAILED);
    }
    let arguments = Arguments::parse();
    let settings = match configure(&arguments) {
        Ok(settings) => settings,
        Err(error) => fail(&error, BAD_CONFIG),
    };
    match run(settings, arguments) {
        Ok(()) => exit(0),
        Err(error) => fail(&format!("{error:#}"), FAILED),
    }
}

fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<()> {
    #[cfg(feature = "model")]
    worker::model::tune_allocator();
    #[cfg(feature = "model")]
    if let Some(Command::Bench(options)) = &arguments.command {
        return worker::bench::run(&settings, options);
    }
    let runtime = tokio::runtime::Runtime::new().expect("the process can start threads");
    let result = worker::run::run_on(&runtime, settings, arguments.kinds);
    // Dropping the runtime would wait for blocking threads, which may hang.
    std::mem::forget(runtime);
    result
}

/// Exits without running the exit handlers of libraries. A thread may still be inside libtorch, whose handlers would
/// free memory that it uses, or wait for it forever.
#[expect(unsafe_code, reason = "the standard library always runs exit handlers")]
fn exit(code: u8) -> ! {
    // SAFETY: `_exit` takes an integer, accesses no memory and does not return.
    unsafe { libc::_exit(code.into()) }
}

fn configure(arguments: &Arguments) -> Result<Settings, ConfigError> {
    let loaded = Loaded::from_process(&[
        ("model_device", arguments.device.clone()),
        ("model_threads", arguments.threads.map(|threads| threads.to_string())),
    ])?;
    logging::install(&loaded)?;
    Ok(loaded.settings)
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ! {
    // Whatever the log filter. If standard error is closed, there is nowhere left to report it.
    let _ = writeln!(stderr(), "subwatch-worker: {}", escaped(&error.to_string()));
    exit(code)
}
