//! `subwatch workers`.

use common::job::kind::Kind;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, plain, table, time_text},
};
use crate::api::WorkerView;

const NO_WORKERS: &str = "no workers are running: start one with `make up` or `subwatch-worker`";

pub(super) async fn run(client: &Client, format: Format) -> Result<Exit, CliError> {
    output::print_values(format, &client.workers().await?.workers, workers_text)?;
    Ok(Exit::Done)
}

/// Returns a hint if jobs make no progress because no worker is live.
pub(super) async fn missing_workers_hint(client: &Client) -> Option<&'static str> {
    // An unreachable coordinator is reported by the caller's own requests.
    let workers = client.workers().await.ok()?.workers;
    workers.iter().all(WorkerView::is_lost).then_some(NO_WORKERS)
}

pub(super) fn workers_text(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return NO_WORKERS.to_owned();
    }
    let mut rows = table(&[
        "worker",
        "instance",
        "state",
        "version",
        "kinds",
        "device",
        "in flight›",
        "finished›",
        "started",
    ]);
    let count = |jobs: Option<u64>| jobs.map_or_else(|| "–".to_owned(), |jobs| jobs.to_string());
    for worker in workers {
        let kinds: Vec<&str> = Kind::ALL
            .into_iter()
            .map(Kind::name)
            .filter(|kind| worker.kinds.iter().any(|consumed| consumed == kind))
            .collect();
        rows.add_row(vec![
            plain(&worker.name),
            worker.instance.to_string(),
            plain(&worker.state.to_string()),
            plain(&worker.version),
            kinds.join(" "),
            plain(worker.device.as_deref().unwrap_or("none")),
            count(worker.jobs_in_flight),
            count(worker.jobs_finished),
            time_text(worker.started_ms),
        ]);
    }
    rows.trim_fmt()
}
