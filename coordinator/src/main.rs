//! `subwatch`: the coordinator and its command line.

use std::process::ExitCode;

use clap::Parser;
use coordinator::cli::{Arguments, run_on};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().expect("the process can start threads");
    let exit = run_on(&runtime, arguments);
    // Do not wait for blocking reads on other threads, such as one of standard input.
    runtime.shutdown_background();
    exit.into()
}
