//! `subwatch-noop-worker`: a worker whose embed jobs do nothing, for `make bench`. It takes settings, but no arguments.

use common::{config::Loaded, job::kind::Kind, logging};

fn main() -> anyhow::Result<()> {
    let loaded = Loaded::from_process(&[])?;
    logging::install(&loaded)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = worker::run::run_on(&runtime, loaded.settings, vec![Kind::Embed]);
    runtime.shutdown_background();
    result
}
