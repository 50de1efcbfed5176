//! Whether everything the system depends on is as it should be.
//!
//! Owns the checks of `subwatch doctor` and of the readiness probe. Does not own what a client itself looks at
//! (its settings, whether it reaches the coordinator).

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use common::{job::kind::Kind, store::RegisteredWorker};
use dataset::files::Files;

use super::{context::Context, error::RequestError};
use crate::api::{DoctorCheck, DoctorView, Verdict};

/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// Looks at everything the system depends on.
///
/// # Errors
/// When the store does not serve.
pub(crate) async fn doctor(context: &Context) -> Result<DoctorView, RequestError> {
    let mut checks =
        vec![check_redis(context).await?, check_rabbitmq(context), check_artifacts(context).await];
    let workers = context.store.workers().await?;
    checks.push(check_workers(&workers));
    checks.push(check_spaces(&workers));
    let dead = context.store.dead_letters().await?;
    checks.push(match dead {
        0 => DoctorCheck::new("dead letters", Verdict::Good, "none"),
        dead => DoctorCheck::new("dead letters", Verdict::Doubtful, format!("{dead} jobs were discarded")),
    });
    Ok(DoctorView { checks })
}

async fn check_redis(context: &Context) -> Result<DoctorCheck, RequestError> {
    let info = context.store.server_info().await?;
    let mut doubts = Vec::new();
    if !info.append_only {
        doubts
            .push("it keeps no append-only file, so a restart loses results: set appendonly yes".to_owned());
    }
    if info.eviction != "noeviction" && info.limit_bytes > 0 {
        let eviction = &info.eviction;
        doubts
            .push(format!("it drops keys when memory is full ({eviction}): set maxmemory-policy noeviction"));
    }
    let verdict = if doubts.is_empty() { Verdict::Good } else { Verdict::Doubtful };
    let megabytes = info.used_bytes / 1_000_000;
    let detail = std::iter::once(format!("version {}, {megabytes} MB in use", info.version)).chain(doubts);
    Ok(DoctorCheck::new("Redis", verdict, detail.collect::<Vec<_>>().join("; ")))
}

fn check_rabbitmq(context: &Context) -> DoctorCheck {
    if context.publisher.is_connected() {
        DoctorCheck::new("RabbitMQ", Verdict::Good, "connected; delays, rejects and dead-letters as it must")
    } else {
        DoctorCheck::new(
            "RabbitMQ",
            Verdict::Bad,
            "not connected: is it running? the coordinator tries again",
        )
    }
}

async fn check_artifacts(context: &Context) -> DoctorCheck {
    let written = async {
        let files = Files::open(&context.artifacts).map_err(|error| error.to_string())?;
        files.write("doctor", Bytes::from_static(b"written\n")).await.map_err(|error| error.to_string())
    };
    match written.await {
        Ok(()) => DoctorCheck::new("artifacts", Verdict::Good, format!("{} is writable", context.artifacts)),
        Err(error) => {
            let detail = format!("{} is not writable: {error}", context.artifacts);
            DoctorCheck::new("artifacts", Verdict::Bad, detail)
        }
    }
}

/// Checks that broker and store serve.
///
/// # Errors
/// When one of them does not.
pub(crate) async fn ready(context: &Context) -> Result<(), RequestError> {
    let unavailable = |what: &str| RequestError::Unavailable(format!("{what} does not serve"));
    match tokio::time::timeout(READY_LIMIT, context.store.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => return Err(unavailable("Redis")),
    }
    if context.publisher.is_connected() { Ok(()) } else { Err(unavailable("RabbitMQ")) }
}

/// Every kind of job should have a live worker.
fn check_workers(workers: &[RegisteredWorker]) -> DoctorCheck {
    let live: Vec<&RegisteredWorker> = workers.iter().filter(|worker| worker.is_live()).collect();
    let lost = workers.iter().filter(|worker| worker.is_lost()).count();
    let idle: Vec<&str> = Kind::ALL
        .into_iter()
        .filter(|kind| !live.iter().any(|worker| worker.record.consumes(*kind)))
        .map(Kind::name)
        .collect();
    if !idle.is_empty() {
        let detail = format!(
            "no live worker does {} jobs: start one with `make up` or `subwatch-worker`",
            idle.join(", ")
        );
        return DoctorCheck::new("workers", Verdict::Bad, detail);
    }
    match lost {
        0 => DoctorCheck::new("workers", Verdict::Good, format!("{} live", live.len())),
        lost => {
            let detail = format!("{} live; {lost} stopped without signing off in the last day", live.len());
            DoctorCheck::new("workers", Verdict::Doubtful, detail)
        }
    }
}

/// Workers that embed into different spaces cannot share embeddings, nor heads.
fn check_spaces(workers: &[RegisteredWorker]) -> DoctorCheck {
    let live = workers.iter().filter(|worker| worker.is_live());
    let spaces: BTreeSet<&str> =
        live.filter_map(|worker| worker.record.space.as_ref()).map(|space| space.0.as_str()).collect();
    let names = spaces.iter().copied().collect::<Vec<_>>().join(", ");
    match spaces.len() {
        0 => DoctorCheck::new("embedding space", Verdict::Bad, "no live worker has a model"),
        1 => DoctorCheck::new("embedding space", Verdict::Good, names),
        _ => {
            let detail = format!("live workers differ in weights, precision or device: {names}");
            DoctorCheck::new("embedding space", Verdict::Doubtful, detail)
        }
    }
}
