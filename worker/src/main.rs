//! `subwatch-worker`: consumes embed, train-epoch and predict jobs.

use std::process::ExitCode;

use clap::Parser;
use common::{
    config::{ConfigError, Loaded, Settings},
    harmless::escaped,
    jobs::Kind,
    telemetry,
};

/// Exit code of a configuration that cannot be used.
const BAD_CONFIG: u8 = 64;

/// Consumes subwatch jobs from RabbitMQ, runs ResNet34, writes results to Redis.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Job kinds to consume.
    #[arg(long, value_delimiter = ',', default_value = "embed,train-epoch,predict")]
    kinds: Vec<Kind>,
    /// Device of the model: auto, cpu or cuda:N [setting: SUBWATCH_MODEL_DEVICE].
    #[arg(long)]
    device: Option<String>,
    /// Compute threads of the model [setting: SUBWATCH_MODEL_THREADS].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match configure(&arguments) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, BAD_CONFIG),
    };
    let runtime = tokio::runtime::Runtime::new().expect("the process may start threads");
    match runtime.block_on(worker::run::run(settings, arguments.kinds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
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
fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("subwatch-worker: {}", escaped(&error.to_string()));
    ExitCode::from(code)
}
