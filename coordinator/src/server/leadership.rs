//! Leader election: every coordinator answers requests, but only the leader drives submissions and runs.
//!
//! Owns the lease and the tasks that run under it. Invariants:
//!
//! - Tasks run only while the lease is held. When it may have expired, all of them are stopped before this
//!   coordinator acquires it again.
//! - A stopped task loses nothing: the next leader continues from the state in the store.
//! - Writes of a former leader are rejected by the fencing token (see [`common::store::Store::with_token`]).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use common::{
    ids::SubmissionId,
    store::{State, StoreError, SubmissionKind},
};
use tokio::task::{self, JoinSet};

use super::{context::Context, submissions, training};

/// Lease duration: how long it takes to replace a leader that was killed.
const LEASE_TTL: Duration = Duration::from_secs(5);
/// Interval between attempts to renew or acquire the lease.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// Age of an ID after which its missing record is not expected any more. IDs carry the clock of the coordinator that
/// made them, so this is longer than clocks differ.
const RECORD_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long tasks may take to stop before they are aborted.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs as leader whenever the lease is free, until the coordinator stops.
pub(crate) async fn run_leadership(context: &Context) {
    while !context.stop.is_cancelled() {
        let requested = Instant::now();
        match context.store.acquire_lease(context.instance, LEASE_TTL).await {
            Ok(Some(token)) => run_as_leader(context, token, requested).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot acquire the leader lease"),
        }
        tokio::select! {
            () = context.stop.cancelled() => {}
            () = tokio::time::sleep(RENEW_INTERVAL) => {}
        }
    }
}

/// Drives all active submissions and runs while the lease is held, then releases it.
async fn run_as_leader(context: &Context, token: u64, requested: Instant) {
    tracing::info!(term = token, "this coordinator is the leader now");
    let mut lease = Lease { token, renewed: requested };
    let mut tasks = LeaderTasks::new(context.leading(token, context.stop.child_token()));
    tasks.start_feeder();
    let new_submissions = context.notifier.new_submissions();
    let loss = loop {
        match tasks.start_active().await {
            Ok(()) => {}
            Err(StoreError::Replaced) => break Some("another coordinator is the leader now"),
            Err(error) => tracing::warn!(%error, "cannot list active submissions"),
        }
        tokio::select! {
            () = context.stop.cancelled() => break None,
            () = tasks.task_ended() => {}
            () = new_submissions.wait(lease.renewal_due_in()) => {}
        }
        if !lease.renew_if_due(context).await {
            break Some("the leader lease was lost");
        }
    };
    if let Some(loss) = loss {
        tracing::warn!(token, "{loss}: stopping this coordinator's tasks; the new leader continues them");
    }
    tasks.stop().await;
    if let Err(error) = context.store.release_lease(context.instance).await {
        tracing::debug!(%error, "the leader lease was not released; it expires automatically");
    }
}

/// The lease as its holder sees it.
struct Lease {
    token: u64,
    /// When the last successful renewal was requested. The lease is valid for at least `LEASE_TTL` from then.
    renewed: Instant,
}

impl Lease {
    fn renewal_due_in(&self) -> Duration {
        RENEW_INTERVAL.saturating_sub(self.renewed.elapsed())
    }

    /// Renews the lease if that is due. Returns whether the lease is still held.
    async fn renew_if_due(&mut self, context: &Context) -> bool {
        if !self.renewal_due_in().is_zero() {
            return true;
        }
        let requested = Instant::now();
        let renewal = context.store.acquire_lease(context.instance, LEASE_TTL);
        match tokio::time::timeout(LEASE_TTL.saturating_sub(self.renewed.elapsed()), renewal).await {
            Ok(Ok(token)) => {
                self.renewed = requested;
                token == Some(self.token)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the leader lease was not renewed");
                tokio::time::sleep(RENEW_INTERVAL / 10).await;
                self.renewed.elapsed() < LEASE_TTL
            }
            Err(_) => false,
        }
    }
}

/// The tasks that run under one lease: one per active submission or run, and the feeder.
struct LeaderTasks {
    context: Context,
    tasks: JoinSet<()>,
    task_ids: HashMap<SubmissionId, task::Id>,
}

impl LeaderTasks {
    fn new(context: Context) -> Self {
        Self { context, tasks: JoinSet::new(), task_ids: HashMap::new() }
    }

    /// Starts to divide the queues among the submissions.
    fn start_feeder(&mut self) {
        let context = self.context.clone();
        self.tasks.spawn(async move { context.feeder.run(&context.publisher, &context.stop).await });
    }

    /// Starts a task for each active submission or run that has none yet.
    async fn start_active(&mut self) -> Result<(), StoreError> {
        let active = self.context.store.active_submissions().await?;
        for id in active {
            if self.task_ids.contains_key(&id) {
                continue;
            }
            let store = &self.context.store;
            let submission = match store.submission(id).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    // Another version of the coordinator wrote it, and drives it when it leads.
                    tracing::debug!(submission = %id, %error, "skipping a submission of another version");
                    continue;
                }
                submission => submission?,
            };
            let Some(submission) = submission else {
                // An ID becomes active just before its record is written. If the coordinator died in between, the
                // record never comes.
                if id.age().is_some_and(|age| age > RECORD_TIMEOUT) {
                    store.set_inactive(id).await?;
                }
                continue;
            };
            if let Some(run) = submission.parent {
                // The run drives its own embed submission, until the run ends.
                if store.state(run).await?.is_none_or(State::is_terminal) {
                    store.close_submission(id, State::Cancelled, None, false).await?;
                    store.set_inactive(id).await?;
                }
                continue;
            }
            store.take_over(id).await?;
            store.index_submission(id, submission.kind).await?;
            let context = self.context.clone();
            let task = self.tasks.spawn(async move {
                match submission.kind {
                    SubmissionKind::Embed | SubmissionKind::Predict | SubmissionKind::Crawl => {
                        submissions::drive(&context, id).await;
                    }
                    SubmissionKind::Train => training::drive(&context, id).await,
                }
            });
            self.task_ids.insert(id, task.id());
        }
        Ok(())
    }

    /// Waits until a task ends. Cancel safe.
    async fn task_ended(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                tracing::error!(%error, "the task of a submission panicked; it is started again");
                error.id()
            }
            None => std::future::pending().await,
        };
        self.task_ids.retain(|_, task| *task != ended);
    }

    async fn stop(mut self) {
        self.context.stop.cancel();
        let stopping = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, stopping).await.is_err() {
            tracing::warn!("leader tasks did not stop within {STOP_LIMIT:?} and were aborted");
        }
    }
}
