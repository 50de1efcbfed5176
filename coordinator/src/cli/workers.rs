//! `subwatch workers`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::job::kind::Kind;

use super::{
    client::Client,
    exit::{CliError, Exit},
    output::{self, Format, counted, plain, time_text},
    table::table,
};
use crate::api::WorkerView;

/// Time for which tables list a lost worker.
const LISTED_AFTER_LOSS: Duration = Duration::from_secs(3600);
const NO_BROKER: &str = "RabbitMQ is unavailable: the jobs continue when it is back";
const NO_WORKERS: &str = "no workers are running: start one with `make up` or `subwatch-worker`";

pub(super) async fn run(client: &Client, format: Format) -> Result<Exit, CliError> {
    output::print_values(format, &client.workers().await?.workers, workers_text)?;
    Ok(Exit::Done)
}

/// Returns why jobs may make no progress, if a cause is known.
pub(super) async fn stall_hint(client: &Client) -> Option<&'static str> {
    // An unreachable coordinator is reported by the caller's own requests.
    let status = client.status().await.ok()?;
    if !status.broker_connected {
        return Some(NO_BROKER);
    }
    status.workers.iter().all(WorkerView::is_lost).then_some(NO_WORKERS)
}

pub(super) fn workers_text(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return NO_WORKERS.to_owned();
    }
    let (old, workers): (Vec<&WorkerView>, Vec<&WorkerView>) =
        workers.iter().partition(|worker| is_long_lost(worker, SystemTime::now()));
    let mut rows = table(&[
        "worker",
        "instance",
        "state",
        "version",
        "kinds",
        "device",
        "in flight›",
        "finished›",
        "busy",
        "started",
    ])
    .optional(&["version", "instance", "started", "kinds", "device", "busy"]);
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
            device_text(worker),
            count(worker.jobs_in_flight),
            count(worker.jobs_finished),
            busy_text(worker),
            time_text(worker.started_ms),
        ]);
    }
    let mut text = rows.text();
    if !old.is_empty() {
        let lost = counted(old.len() as u64, "worker");
        text.push_str(&format!("\n{lost} lost more than an hour ago: see `subwatch workers -o json`"));
    }
    text
}

/// How busy the stages of its pipeline are, such as `fetch 2 %, decode 40 %, model 99 %, store 1 %`.
fn busy_text(worker: &WorkerView) -> String {
    let stages = worker.stages.iter();
    let stages = stages.map(|stage| format!("{} {:.0} %", plain(&stage.stage), stage.busy * 100.0));
    let text = stages.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "–".to_owned() } else { text }
}

fn device_text(worker: &WorkerView) -> String {
    let device = plain(worker.device.as_deref().unwrap_or("none"));
    match &worker.device_class {
        Some(class) => format!("{device} {}", plain(&class.0)),
        None => device,
    }
}

/// Returns whether a lost worker is old news.
fn is_long_lost(worker: &WorkerView, now: SystemTime) -> bool {
    let seen = UNIX_EPOCH + Duration::from_millis(worker.last_heartbeat_ms);
    worker.is_lost() && now.duration_since(seen).is_ok_and(|age| age > LISTED_AFTER_LOSS)
}
