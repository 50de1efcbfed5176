//! `subwatch-worker`: consumes embed, train-epoch, predict and crawl jobs.

use clap::Parser;
use common::{
    config::{ConfigError, Loaded, Settings},
    harmless::escaped,
    job::kind::Kind,
    telemetry,
};

/// Exit code of a worker that did not end as it should.
const FAILED: u8 = 1;
/// Exit code of a configuration that cannot be used.
const BAD_CONFIG: u8 = 64;

/// Job kinds of a worker that is told none: those that it is built for.
const KINDS: &str =
    if cfg!(feature = "model") { "embed,train-epoch,predict,crawl" } else { "train-epoch,crawl" };

/// Consumes subwatch jobs from RabbitMQ, runs ResNet34, writes results to Redis.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Job kinds to consume.
    #[arg(long, value_delimiter = ',', default_value = KINDS)]
    kinds: Vec<Kind>,
    /// Device of the model: auto, cpu or cuda:N [setting: SUBWATCH_MODEL_DEVICE].
    #[arg(long, global = true)]
    device: Option<String>,
    /// Compute threads of the model [setting: SUBWATCH_MODEL_THREADS].
    #[arg(long, global = true)]
    threads: Option<usize>,
    #[cfg(feature = "model")]
    #[command(subcommand)]
    command: Option<Command>,
}

#[cfg(feature = "model")]
#[derive(clap::Subcommand)]
enum Command {
    /// Measure how fast this machine decodes and embeds images, without any server.
    Bench(worker::bench::BenchOptions),
}

fn main() {
    let arguments = Arguments::parse();
    let settings = match configure(&arguments) {
        Ok(settings) => settings,
        Err(error) => fail(&error, BAD_CONFIG),
    };
    match run(settings, arguments) {
        Ok(()) => leave(0),
        Err(error) => fail(&format!("{error:#}"), FAILED),
    }
}

fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<()> {
    #[cfg(feature = "model")]
    if let Some(Command::Bench(options)) = &arguments.command {
        return worker::bench::run(&settings, options);
    }
    let runtime = tokio::runtime::Runtime::new().expect("the process may start threads");
    let result = runtime.block_on(worker::run::run(settings, arguments.kinds));
    // What hangs in a thread of the runtime must not keep the process.
    std::mem::forget(runtime);
    result
}

/// Ends the process and leaves out the exit handlers of its libraries: a thread may be inside libtorch, and
/// they would tear down what it uses, or wait for it for ever.
#[expect(unsafe_code, reason = "the standard library ends a process by its exit handlers only")]
fn leave(code: u8) -> ! {
    // SAFETY: `_exit` takes a number, touches no memory of ours and does not return.
    unsafe { libc::_exit(code.into()) }
}

fn configure(arguments: &Arguments) -> Result<Settings, ConfigError> {
    let loaded = Loaded::from_process(&[
        ("model_device", arguments.device.clone()),
        ("model_threads", arguments.threads.map(|threads| threads.to_string())),
    ])?;
    telemetry::install(&loaded)?;
    Ok(loaded.settings)
}

#[expect(clippy::print_stderr, reason = "the last word of a program that ends, whatever the log filter")]
fn fail(error: &dyn std::fmt::Display, code: u8) -> ! {
    eprintln!("subwatch-worker: {}", escaped(&error.to_string()));
    leave(code)
}
