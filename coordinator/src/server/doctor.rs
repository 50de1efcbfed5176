//! The server-side checks of `subwatch doctor`, and the readiness probe.
//!
//! The client checks its own settings and its connection to the coordinator (see `cli::doctor`).

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use common::{
    job::kind::Kind,
    store::{PolicyEffect, RegisteredWorker, WorkerPlaces},
    topology::Policy,
};
use dataset::files::Files;

use super::{context::Context, error::RequestError, tokens::TokenList};
use crate::api::{CheckStatus, DoctorCheck, DoctorView};

/// Timeout of the readiness probe's ping to Redis.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// How long an effect of a policy is shown.
const POLICY_SHOWN: Duration = Duration::from_hours(24);
const FULL: &str = "Redis has reached maxmemory and refuses writes: raise it, or free memory with `subwatch uploads drop` \
     and `subwatch delete`";
const NEARLY_FULL: &str = "90 % of maxmemory is used, so submissions and uploads are refused: raise it, or free memory with \
     `subwatch uploads drop` and `subwatch delete`";

pub(crate) async fn doctor(context: &Context) -> Result<DoctorView, RequestError> {
    let mut checks =
        vec![check_redis(context).await?, check_rabbitmq(context), check_artifacts(context).await];
    checks.extend(check_policies(context).await?);
    let workers = context.store.workers().await?;
    checks.push(check_workers(&workers));
    checks.extend(check_places(&workers, &context.roots.describe(), context.artifacts.as_str()));
    checks.push(check_spaces(&workers));
    checks.extend(context.tokens.as_ref().map(|tokens| check_tokens(&tokens.list())));
    let (status, detail) = match context.store.dead_letter_count().await? {
        0 => (CheckStatus::Ok, "none".to_owned()),
        1 => (CheckStatus::Warning, "1 job was discarded: see `subwatch dead-letters list`".to_owned()),
        count => (CheckStatus::Warning, format!("discarded jobs: {count}; see `subwatch dead-letters list`")),
    };
    checks.push(DoctorCheck::new("dead letters", status, detail));
    Ok(DoctorView { checks })
}

async fn check_redis(context: &Context) -> Result<DoctorCheck, RequestError> {
    let info = context.store.server_info().await?;
    let mut warnings = Vec::new();
    if !info.append_only {
        warnings.push("persistence is off, so a restart loses results: set `appendonly yes`".to_owned());
    }
    if info.eviction != "noeviction" && info.limit_bytes > 0 {
        let eviction = &info.eviction;
        warnings.push(format!(
            "keys are evicted when memory is full ({eviction}): set `maxmemory-policy noeviction`"
        ));
    }
    if info.replica {
        warnings.push(
            "it is a replica, which refuses writes: let SUBWATCH_REDIS_URL lead to the primary".to_owned(),
        );
    }
    if info.is_full() {
        warnings.push(FULL.to_owned());
    } else if info.is_nearly_full() {
        warnings.push(NEARLY_FULL.to_owned());
    }
    let budget = context.settings.images.max_upload_bytes;
    if info.limit_bytes > 0 && budget > info.limit_bytes / 2 {
        warnings.push(format!(
            "uploads may take {budget} bytes, over half of maxmemory ({}): lower SUBWATCH_MAX_UPLOAD_BYTES",
            info.limit_bytes
        ));
    }
    let status = if info.replica || info.is_full() {
        CheckStatus::Error
    } else if warnings.is_empty() {
        CheckStatus::Ok
    } else {
        CheckStatus::Warning
    };
    let megabytes = info.used_bytes / 1_000_000;
    let uploads = context.store.upload_bytes().await? / 1_000_000;
    let memory =
        format!("version {}, {megabytes} MB in use, {uploads} MB of it uploaded images", info.version);
    let detail = std::iter::once(memory).chain(warnings);
    Ok(DoctorCheck::new("Redis", status, detail.collect::<Vec<_>>().join("; ")))
}

fn check_rabbitmq(context: &Context) -> DoctorCheck {
    if context.publisher.is_connected() {
        let detail = "connected; at start-up, a test message was delayed, rejected and dead-lettered";
        DoctorCheck::new("RabbitMQ", CheckStatus::Ok, detail)
    } else {
        let detail = "not connected: is RabbitMQ running? The coordinator keeps reconnecting.";
        DoctorCheck::new("RabbitMQ", CheckStatus::Error, detail)
    }
}

fn check_tokens(tokens: &TokenList) -> DoctorCheck {
    let valid = format!("{} valid", tokens.len());
    let status = if tokens.problems.is_empty() { CheckStatus::Ok } else { CheckStatus::Warning };
    let detail = std::iter::once(valid).chain(tokens.problems.iter().cloned()).collect::<Vec<_>>();
    DoctorCheck::new("access tokens", status, detail.join("; "))
}

/// Warns of policies of RabbitMQ that acted on queues of jobs lately, by what they set: AMQP does not tell their names.
async fn check_policies(context: &Context) -> Result<Option<DoctorCheck>, RequestError> {
    let since_ms = context.store.now_ms().await?.saturating_sub(POLICY_SHOWN.as_millis() as u64);
    let effects =
        context.store.policy_effects().await?.into_iter().filter(|effect| effect.last_ms > since_ms);
    let mut seen: Vec<String> = effects
        .map(|PolicyEffect { policy, queue, count, .. }| {
            format!("{policy} dropped jobs from {queue} ({count} in all)")
        })
        .collect();
    seen.extend(context.publisher.policies().into_iter().map(|(policy, queue)| match policy {
        Policy::Expires => format!("{queue} was deleted, as {policy} does"),
        Policy::MaxLength | Policy::MessageTtl => format!("{policy} kept jobs out of {queue}"),
    }));
    if seen.is_empty() {
        return Ok(None);
    }
    let detail = format!(
        "{}; such jobs are published again, which delays them: find the policies with `rabbitmqctl list_policies` and \
         `rabbitmqctl list_operator_policies`, and exclude queues that begin with subwatch.",
        seen.join(", ")
    );
    Ok(Some(DoctorCheck::new("RabbitMQ policies", CheckStatus::Warning, detail)))
}

async fn check_artifacts(context: &Context) -> DoctorCheck {
    let written = async {
        let files = Files::open_artifacts(&context.artifacts).map_err(|error| error.to_string())?;
        files.write("doctor", Bytes::from_static(b"written\n")).await.map_err(|error| error.to_string())
    };
    match written.await {
        Ok(()) => {
            DoctorCheck::new("artifacts", CheckStatus::Ok, format!("{} is writable", context.artifacts))
        }
        Err(error) => {
            let detail = format!("{} is not writable: {error}", context.artifacts);
            DoctorCheck::new("artifacts", CheckStatus::Error, detail)
        }
    }
}

/// Readiness probe: checks that Redis accepts writes, and the connection to RabbitMQ.
pub(crate) async fn ready(context: &Context) -> Result<(), RequestError> {
    let unavailable = |server: &str| RequestError::Unavailable(format!("{server} is unavailable"));
    match tokio::time::timeout(READY_LIMIT, context.store.server_info()).await {
        Ok(Ok(info)) if info.is_full() => return Err(RequestError::Unavailable(FULL.to_owned())),
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => return Err(unavailable("Redis")),
    }
    if context.publisher.is_connected() { Ok(()) } else { Err(unavailable("RabbitMQ")) }
}

/// Checks that each kind of job has a live worker.
fn check_workers(workers: &[RegisteredWorker]) -> DoctorCheck {
    let live: Vec<&RegisteredWorker> = workers.iter().filter(|worker| worker.is_live()).collect();
    let lost = workers.iter().filter(|worker| worker.is_lost()).count();
    let missing: Vec<&str> = Kind::ALL
        .into_iter()
        .filter(|kind| !live.iter().any(|worker| worker.record.consumes(*kind)))
        .map(Kind::name)
        .collect();
    if !missing.is_empty() {
        let detail = format!(
            "no live worker runs {} jobs: start one with `make up` or `subwatch-worker`",
            missing.join(", ")
        );
        return DoctorCheck::new("workers", CheckStatus::Error, detail);
    }
    match lost {
        0 => DoctorCheck::new("workers", CheckStatus::Ok, format!("{} live", live.len())),
        lost => {
            let detail =
                format!("{} live; {lost} ended without a clean shutdown in the last day", live.len());
            DoctorCheck::new("workers", CheckStatus::Warning, detail)
        }
    }
}

/// Checks that live workers may open what this coordinator may: elsewhere, all attempts of their jobs fail.
fn check_places(workers: &[RegisteredWorker], dataset_roots: &str, artifacts: &str) -> Option<DoctorCheck> {
    let differing = workers.iter().filter(|worker| worker.is_live()).find_map(|worker| {
        let WorkerPlaces { dataset_roots: roots, artifacts: folder } = worker.record.places.as_ref()?;
        let differs = |setting, of_worker: &str, here: &str| {
            (of_worker != here).then(|| {
                let name = &worker.record.name;
                format!("{setting} of worker {name} is {of_worker}, here {here}: give both the same value")
            })
        };
        differs("SUBWATCH_DATASET_ROOTS", roots, dataset_roots)
            .or_else(|| differs("SUBWATCH_ARTIFACTS", folder, artifacts))
    });
    differing.map(|detail| DoctorCheck::new("worker folders", CheckStatus::Error, detail))
}

/// Checks that live workers have a model. Those of several embedding spaces do not share embeddings and heads.
fn check_spaces(workers: &[RegisteredWorker]) -> DoctorCheck {
    let live = workers.iter().filter(|worker| worker.is_live());
    let spaces: BTreeSet<&str> =
        live.filter_map(|worker| worker.record.space.as_ref()).map(|space| space.0.as_str()).collect();
    let names = spaces.iter().copied().collect::<Vec<_>>().join(", ");
    match spaces.len() {
        0 => DoctorCheck::new("embedding space", CheckStatus::Error, "no live worker has a model"),
        1 => DoctorCheck::new("embedding space", CheckStatus::Ok, names),
        _ => {
            let detail = format!(
                "live workers differ in weights, precision or kind of device and do not share embeddings; a submission \
                 uses one space, `--space` chooses it: {names}"
            );
            DoctorCheck::new("embedding space", CheckStatus::Warning, detail)
        }
    }
}
