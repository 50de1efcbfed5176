//! `subwatch-worker`: consumes embed, train-epoch, predict and crawl jobs.

use std::sync::LazyLock;

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
static KINDS: LazyLock<String> = LazyLock::new(|| {
    let built_for = |kind: &Kind| cfg!(feature = "model") || !kind.needs_model();
    Kind::ALL.into_iter().filter(built_for).map(Kind::name).collect::<Vec<_>>().join(",")
});

/// Consumes subwatch jobs from RabbitMQ, runs ResNet34, writes results to Redis.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Job kinds to consume.
    #[arg(long, value_delimiter = ',', default_value = KINDS.as_str())]
    kinds: Vec<Kind>,
    /// Device of the model: auto, cpu or cuda:N [setting: SUBWATCH_MODEL_DEVICE].
    #[arg(long)]
    device: Option<String>,
    /// Compute threads of the model [setting: SUBWATCH_MODEL_THREADS].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() {
    let arguments = Arguments::parse();
    let settings = match configure(&arguments) {
        Ok(settings) => settings,
        Err(error) => fail(&error, BAD_CONFIG),
    };
    let runtime = tokio::runtime::Runtime::new().expect("the process may start threads");
    match runtime.block_on(worker::run::run(settings, arguments.kinds)) {
        Ok(()) => leave(0),
        Err(error) => fail(&format!("{error:#}"), FAILED),
    }
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
