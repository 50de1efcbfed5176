//! `subwatch`: the coordinator and its command line.

use std::process::ExitCode;

use clap::Parser;
use coordinator::cli::{Arguments, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().expect("the process may start threads");
    let exit = runtime.block_on(run(arguments));
    // A download or a prompt on another thread must not hold the process.
    runtime.shutdown_background();
    exit.into()
}
