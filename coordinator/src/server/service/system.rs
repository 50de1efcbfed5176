//! The system as a whole: workers, queues, spaces, and whether all is well.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use common::{
    embedding::Space,
    job::kind::Kind,
    store::{PausedSource, WorkerView},
    topology::Route,
    training::protocol::head_fingerprint,
};
use dataset::files::Files;

use super::{Coordinator, RequestError, similar::unknown_space, submissions::view};
use crate::api::{DoctorCheck, DoctorView, QueueView, SpaceView, StatusView, Verdict, WorkersView};

/// Longest a readiness check waits for the store.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// Submissions shown by the status.
const STATUS_SUBMISSIONS: usize = 10;

impl Coordinator {
    /// Returns the workers.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn workers(&self) -> Result<WorkersView, RequestError> {
        Ok(WorkersView { workers: self.context.store.workers().await? })
    }

    /// Returns how the whole system stands.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn status(&self) -> Result<StatusView, RequestError> {
        let train = Route::Train(head_fingerprint());
        let mut queues = Vec::new();
        for route in [Route::Embed, Route::Predict, Route::Interactive, train, Route::Crawl] {
            let queue = route.queue_name();
            let ready = self.context.publisher.queue_depth(&queue).await;
            queues.push(QueueView { queue, ready });
        }
        let now_ms = self.context.store.now_ms().await?;
        let newest = self.context.store.submissions(None, STATUS_SUBMISSIONS).await?;
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: self.context.store.workers().await?,
            queues,
            dead_letters: self.context.store.dead_letters().await?,
            paused_sources: self.context.store.pauses().await?,
            quotas: self.context.store.quota().await?,
            submissions: newest.iter().map(|submission| view(submission, now_ms)).collect(),
        })
    }

    /// Lets crawls ask a host again that they leave alone, and wakes the jobs that rest. Returns how it stood.
    ///
    /// # Errors
    /// When crawls do not leave it alone, or the store does not serve.
    pub async fn resume_source(&self, host: &str) -> Result<PausedSource, RequestError> {
        let store = &self.context.store;
        let paused = store.pauses().await?.into_iter().find(|source| source.host == host);
        let source = paused.ok_or_else(|| {
            RequestError::NotFound(format!(
                "no crawl leaves the host '{host}' alone: `subwatch status` lists those that are left alone"
            ))
        })?;
        store.resume_source(host).await?;
        for id in store.active_submissions().await? {
            store.end_pauses(id, host).await?;
        }
        Ok(source)
    }

    /// Returns the spaces of embeddings, by name.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn spaces(&self) -> Result<Vec<SpaceView>, RequestError> {
        let store = &self.context.store;
        let workers = store.workers().await?;
        let mut views = Vec::new();
        for (name, registered) in store.spaces().await? {
            let space = Space(name.clone());
            let embeddings = store.bucket_sizes(&space).await?.iter().sum();
            let workers = workers.iter().filter(|worker| embeds_into(worker, &space)).count() as u64;
            views.push(SpaceView { space: name, embeddings, workers, registered });
        }
        views.sort_by(|a, b| a.space.cmp(&b.space));
        Ok(views)
    }

    /// Drops a space with its embeddings; they would have to be computed again.
    ///
    /// # Errors
    /// When there is none of this name, a live worker embeds into it and `force` is not set, or the store
    /// does not serve.
    pub async fn drop_space(&self, name: &str, force: bool) -> Result<SpaceView, RequestError> {
        let dropped = self.spaces().await?.into_iter().find(|space| space.space == name);
        let dropped = dropped.ok_or_else(|| unknown_space(name))?;
        if dropped.workers > 0 && !force {
            return Err(RequestError::Conflict(format!(
                "{} live worker(s) embed into the space {name}: stop them first, or use --force",
                dropped.workers
            )));
        }
        self.context.store.drop_space(&Space(name.to_owned())).await?;
        self.context.similar.forget().await;
        Ok(dropped)
    }

    /// Looks at everything the system depends on.
    ///
    /// # Errors
    /// When the store does not serve.
    pub async fn doctor(&self) -> Result<DoctorView, RequestError> {
        let mut checks = vec![self.check_redis().await?, self.check_rabbitmq(), self.check_artifacts().await];
        let workers = self.context.store.workers().await?;
        checks.push(check_workers(&workers));
        checks.push(check_spaces(&workers));
        let dead = self.context.store.dead_letters().await?;
        checks.push(match dead {
            0 => DoctorCheck::new("dead letters", Verdict::Good, "none"),
            dead => {
                DoctorCheck::new("dead letters", Verdict::Doubtful, format!("{dead} jobs were discarded"))
            }
        });
        Ok(DoctorView { checks })
    }

    async fn check_redis(&self) -> Result<DoctorCheck, RequestError> {
        let info = self.context.store.server_info().await?;
        let mut doubts = Vec::new();
        if !info.append_only {
            doubts.push(
                "it keeps no append-only file, so a restart loses results: set appendonly yes".to_owned(),
            );
        }
        if info.eviction != "noeviction" && info.limit_bytes > 0 {
            let eviction = &info.eviction;
            doubts.push(format!(
                "it drops keys when memory is full ({eviction}): set maxmemory-policy noeviction"
            ));
        }
        let verdict = if doubts.is_empty() { Verdict::Good } else { Verdict::Doubtful };
        let megabytes = info.used_bytes / 1_000_000;
        let detail =
            std::iter::once(format!("version {}, {megabytes} MB in use", info.version)).chain(doubts);
        Ok(DoctorCheck::new("Redis", verdict, detail.collect::<Vec<_>>().join("; ")))
    }

    fn check_rabbitmq(&self) -> DoctorCheck {
        if self.context.publisher.is_connected() {
            DoctorCheck::new(
                "RabbitMQ",
                Verdict::Good,
                "connected; delays, rejects and dead-letters as it must",
            )
        } else {
            DoctorCheck::new(
                "RabbitMQ",
                Verdict::Bad,
                "not connected: is it running? the coordinator tries again",
            )
        }
    }

    async fn check_artifacts(&self) -> DoctorCheck {
        let written = async {
            let files = Files::open(&self.context.artifacts).map_err(|error| error.to_string())?;
            files.write("doctor", Bytes::from_static(b"written\n")).await.map_err(|error| error.to_string())
        };
        match written.await {
            Ok(()) => DoctorCheck::new(
                "artifacts",
                Verdict::Good,
                format!("{} is writable", self.context.artifacts),
            ),
            Err(error) => {
                let detail = format!("{} is not writable: {error}", self.context.artifacts);
                DoctorCheck::new("artifacts", Verdict::Bad, detail)
            }
        }
    }

    /// Checks that broker and store serve.
    ///
    /// # Errors
    /// When one of them does not.
    pub async fn ready(&self) -> Result<(), RequestError> {
        let unavailable = |what: &str| RequestError::Unavailable(format!("{what} does not serve"));
        match tokio::time::timeout(READY_LIMIT, self.context.store.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(unavailable("Redis")),
        }
        if self.context.publisher.is_connected() { Ok(()) } else { Err(unavailable("RabbitMQ")) }
    }
}

fn embeds_into(worker: &WorkerView, space: &Space) -> bool {
    !worker.is_lost() && worker.record.space.as_ref() == Some(space)
}

/// Every kind of job should have a live worker.
fn check_workers(workers: &[WorkerView]) -> DoctorCheck {
    let live: Vec<&WorkerView> = workers.iter().filter(|worker| worker.is_live()).collect();
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
fn check_spaces(workers: &[WorkerView]) -> DoctorCheck {
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
