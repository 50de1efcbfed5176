//! `subwatch workers`: who consumes jobs, and what to do where no worker is there.

use common::job::kind::Kind;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, plain, table, time_text},
};
use crate::api::WorkerView;

const NO_WORKER: &str = "no worker is running: start one with `make up` or `subwatch-worker`";

pub(super) async fn run(client: &Client, format: Format) -> Result<Exit, CliError> {
    output::print_values(format, &client.workers().await?.workers, workers_text)?;
    Ok(Exit::Done)
}

/// What to tell someone whose work does not go on because no worker is there.
pub(super) async fn without_workers(client: &Client) -> Option<&'static str> {
    // Whoever waits hears of other troubles where they matter.
    let workers = client.workers().await.ok()?.workers;
    workers.iter().all(WorkerView::is_lost).then_some(NO_WORKER)
}

/// A table of workers, or what to do where there is none.
pub(super) fn workers_text(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return NO_WORKER.to_owned();
    }
    let mut rows =
        table(&["worker", "boot", "state", "version", "kinds", "device", "holds›", "finished›", "since"]);
    let count = |jobs: Option<u64>| jobs.map_or_else(|| "–".to_owned(), |jobs| jobs.to_string());
    for worker in workers {
        let kinds: Vec<&str> = Kind::ALL
            .into_iter()
            .map(Kind::name)
            .filter(|kind| worker.kinds.iter().any(|consumed| consumed == kind))
            .collect();
        rows.add_row(vec![
            plain(&worker.name),
            worker.boot.to_string(),
            plain(&worker.state.to_string()),
            plain(&worker.version),
            kinds.join(" "),
            plain(worker.device.as_deref().unwrap_or("none")),
            count(worker.jobs_held),
            count(worker.jobs_finished),
            time_text(worker.started_ms),
        ]);
    }
    rows.trim_fmt()
}
