//! Leading: of several coordinators, one drives every submission and run; all of them answer requests.
//!
//! Owns the lease and the tasks that are driven under it. Invariants: nothing is tasks without the lease;
//! once it may have run out, everything driven under it is stopped before it is taken again; whatever is
//! stopped is taken up from the store, here or elsewhere. What a coordinator that was replaced still writes
//! has no effect (see [`common::store::Store::with_token`]).

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

/// How long the lease lasts unless it is renewed: how long a coordinator that was killed is missed.
const TIME_TO_LIVE: Duration = Duration::from_secs(5);
/// How often it is renewed, or asked for.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long after its id the record of a submission may come: more than clocks differ.
const RECORD_FOLLOWS: Duration = Duration::from_secs(3600);
/// How long what is tasks may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Leads whenever nobody else does, until the coordinator stops.
pub(crate) async fn run_leadership(context: &Context) {
    while !context.stop.is_cancelled() {
        let asked = Instant::now();
        match context.store.acquire_lease(context.instance, TIME_TO_LIVE).await {
            Ok(Some(token)) => run_as_leader(context, token, asked).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the lease cannot be asked for"),
        }
        tokio::select! {
            () = context.stop.cancelled() => {}
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
    }
}

/// Drives everything that is active for as long as the lease is held, then gives it back.
async fn run_as_leader(context: &Context, token: u64, asked: Instant) {
    tracing::info!(token, "this coordinator leads");
    let mut lease = Lease { token, renewed: asked };
    let mut tasks = LeaderTasks::new(context.leading(token, context.stop.child_token()));
    let new_submissions = context.notifier.new_submissions();
    let why = loop {
        match tasks.start_active().await {
            Ok(()) => {}
            Err(StoreError::Replaced) => break Some("another coordinator has taken over"),
            Err(error) => tracing::warn!(%error, "active submissions cannot be looked up"),
        }
        tokio::select! {
            () = context.stop.cancelled() => break None,
            () = tasks.ended() => {}
            () = new_submissions.wait(lease.due_in()) => {}
        }
        if !lease.keep(context).await {
            break Some("the lease was lost");
        }
    };
    if let Some(why) = why {
        tracing::warn!(token, "{why}: what is driven stops here and goes on wherever the lease is held");
    }
    tasks.stop().await;
    if let Err(error) = context.store.release_lease(context.instance).await {
        tracing::debug!(%error, "the lease was not given back; it runs out by itself");
    }
}

/// The lease as its holder sees it.
struct Lease {
    token: u64,
    /// When the renewal that succeeded last was asked for: it holds from then on at least.
    renewed: Instant,
}

impl Lease {
    fn due_in(&self) -> Duration {
        RENEW_EVERY.saturating_sub(self.renewed.elapsed())
    }

    /// Renews it if that is due. Returns whether it is still held.
    async fn keep(&mut self, context: &Context) -> bool {
        if !self.due_in().is_zero() {
            return true;
        }
        let asked = Instant::now();
        let renewing = context.store.acquire_lease(context.instance, TIME_TO_LIVE);
        match tokio::time::timeout(TIME_TO_LIVE.saturating_sub(self.renewed.elapsed()), renewing).await {
            Ok(Ok(renewed)) => {
                self.renewed = asked;
                renewed == Some(self.token)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lease was not renewed");
                tokio::time::sleep(RENEW_EVERY / 10).await;
                self.renewed.elapsed() < TIME_TO_LIVE
            }
            Err(_) => false,
        }
    }
}

/// What is driven under one lease.
struct LeaderTasks {
    context: Context,
    tasks: JoinSet<()>,
    known: HashMap<SubmissionId, task::Id>,
}

impl LeaderTasks {
    fn new(context: Context) -> Self {
        Self { context, tasks: JoinSet::new(), known: HashMap::new() }
    }

    /// Starts to drive what is active and not tasks yet.
    async fn start_active(&mut self) -> Result<(), StoreError> {
        let active = self.context.store.active_submissions().await?;
        for id in active {
            if self.known.contains_key(&id) {
                continue;
            }
            let store = &self.context.store;
            let submission = match store.submission(id).await {
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::debug!(submission = %id, %error, "left to a coordinator that can read it");
                    continue;
                }
                found => found?,
            };
            let Some(submission) = submission else {
                // Its record follows at once, or never, because its maker died.
                if id.age().is_some_and(|age| age > RECORD_FOLLOWS) {
                    store.set_inactive(id).await?;
                }
                continue;
            };
            if let Some(run) = submission.parent {
                // The run that made it looks after it, while it is going on.
                if store.state(run).await?.is_none_or(State::is_terminal) {
                    store.close_submission(id, State::Cancelled, None, false).await?;
                    store.set_inactive(id).await?;
                }
                continue;
            }
            store.take_over(id).await?;
            store.put_in_index(id, submission.kind).await?;
            let context = self.context.clone();
            let task = self.tasks.spawn(async move {
                match submission.kind {
                    SubmissionKind::Embed | SubmissionKind::Predict | SubmissionKind::Crawl => {
                        submissions::drive(&context, id).await;
                    }
                    SubmissionKind::Train => training::drive(&context, id).await,
                }
            });
            self.known.insert(id, task.id());
        }
        Ok(())
    }

    /// Waits for the end of something tasks. Cancel safe.
    async fn ended(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                tracing::error!(%error, "driving a submission failed unexpectedly; it is taken up again");
                error.id()
            }
            None => std::future::pending().await,
        };
        self.known.retain(|_, task| *task != ended);
    }

    async fn stop(mut self) {
        self.context.stop.cancel();
        let stopping = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, stopping).await.is_err() {
            tracing::warn!("what was tasks did not stop in {STOP_LIMIT:?} and is cut off");
        }
    }
}
