//! One pass over the workers: publish the parameters and a job for each node, gather the answers.
//!
//! Owns the exchange of one step or evaluation; does not own what the answers change (see
//! [`crate::server::training::machine`]). How the tree is cut into nodes is only a hint drawn from the live workers: the
//! sum has the same bits for every cut. A job that is not answered in time is published again, to the
//! same worker or another; answers are applied once.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use common::{
    ids::{JobId, SubmissionId},
    job::{
        args::{JobArgs, TrainEpochArgs},
        envelope::Envelope,
        kind::Kind,
    },
    store::{Parameters, Submission, Waiter},
    topology::Route,
    training::{
        protocol::{GradientSum, Phase, RunPlan, decode_f32, encode_f32},
        tree::{Node, node_range},
    },
};
use futures::future::join_all;

use super::{
    error::{RunError, require_open},
    machine::Work,
};
use crate::server::context::Context;

/// How long a pass waits before it publishes its unanswered jobs again; doubles up to the limit.
const HEDGE_AFTER: Duration = Duration::from_secs(5);
const HEDGE_AFTER_AT_MOST: Duration = Duration::from_secs(60);
/// How often a waiting pass reads the store though no waiter rang.
const TIMER: Duration = Duration::from_millis(500);
/// How long a count of live workers is used.
const WORKERS_FOR: Duration = Duration::from_secs(2);
/// Snooze after a job could not be published.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// The exchange with the workers of one run.
pub(super) struct Passes<'a> {
    context: &'a Context,
    run: SubmissionId,
    /// W3C trace context of the run, for its jobs.
    traceparent: Option<&'a str>,
    plan: &'a RunPlan,
    waiter: Waiter,
    workers: usize,
    counted: Option<Instant>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(context: &'a Context, run: &'a Submission, plan: &'a RunPlan) -> Self {
        let waiter = context.notifier.waiter(run.id);
        let traceparent = run.traceparent.as_deref();
        Self { context, run: run.id, traceparent, plan, waiter, workers: 1, counted: None }
    }

    /// Gathers the gradient sum of a training step, added along the tree.
    pub(super) async fn gradient(&mut self, work: &Work) -> Result<GradientSum, RunError> {
        let answers = self.answers(work).await?;
        let mut sums = HashMap::new();
        for (node, bytes) in answers {
            let sum = GradientSum::from_bytes(&bytes).ok_or_else(|| malformed(work, node, bytes.len()))?;
            if !sum.is_finite() {
                return Err(diverged("the loss or the gradient", work, node));
            }
            sums.insert(node, sum);
        }
        let sum = Node::root(self.plan.leaves).reduce(&sums, &mut |_| None, &|a, b| a.plus(&b));
        Ok(sum.expect("the nodes cover every leaf"))
    }

    /// Gathers the predictions of an evaluation, in item order.
    pub(super) async fn predictions(&mut self, work: &Work) -> Result<Vec<f32>, RunError> {
        let items = self.plan.pass_items(work.phase, work.step);
        let mut predictions = vec![0.0; items];
        for (node, bytes) in self.answers(work).await? {
            let range = node_range(node, self.plan.leaves, items);
            let values = decode_f32(&bytes).filter(|values| values.len() == range.len());
            let values = values.ok_or_else(|| malformed(work, node, bytes.len()))?;
            if !values.iter().all(|value| value.is_finite()) {
                return Err(diverged("a prediction", work, node));
            }
            predictions[range].copy_from_slice(&values);
        }
        Ok(predictions)
    }

    async fn answers(&mut self, work: &Work) -> Result<HashMap<Node, Vec<u8>>, RunError> {
        let parameters = Parameters { version: work.version, bytes: encode_f32(&work.parameters) };
        self.context.store.put_parameters(self.run, &parameters).await?;
        let mut missing = Node::root(self.plan.leaves).split(self.live_workers().await?);
        let mut answers = HashMap::new();
        let mut hedge_after = HEDGE_AFTER;
        loop {
            let nodes = missing.clone();
            tokio::try_join!(
                self.publish(work, nodes),
                self.gather(work.version, &mut missing, &mut answers, hedge_after)
            )?;
            if missing.is_empty() {
                return Ok(answers);
            }
            tracing::warn!(run = %self.run, epoch = work.epoch, step = work.step, jobs = missing.len(),
                "no answer for {hedge_after:?}, publishing the jobs again");
            hedge_after = (hedge_after * 2).min(HEDGE_AFTER_AT_MOST);
        }
    }

    /// Publishes the jobs of `nodes`, probing again until the broker has taken all of them.
    async fn publish(&self, work: &Work, mut nodes: Vec<Node>) -> Result<(), RunError> {
        let route = &Route::Train(self.plan.fingerprint.clone());
        loop {
            let publish = nodes.iter().map(|node| async move {
                let published = self.context.publisher.publish(&self.envelope(work, *node), route).await;
                published.err().map(|error| (*node, error))
            });
            let failures: Vec<_> = join_all(publish).await.into_iter().flatten().collect();
            let Some((_, error)) = failures.first() else { return Ok(()) };
            tracing::warn!(run = %self.run, %error, "a training job was not taken, probing again");
            nodes = failures.iter().map(|(node, _)| *node).collect();
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(RunError::Stopping),
                () = tokio::time::sleep(PUBLISH_PAUSE) => require_open(self.context, self.run).await?,
            }
        }
    }

    /// Moves answers to `version` from the store until none is missing or `limit` has passed.
    async fn gather(
        &self,
        version: u64,
        missing: &mut Vec<Node>,
        answers: &mut HashMap<Node, Vec<u8>>,
        limit: Duration,
    ) -> Result<(), RunError> {
        let until = Instant::now() + limit;
        loop {
            let stored = self.context.store.nodes(self.run, version, missing).await?;
            answers.extend(stored.ok_or(RunError::Forgotten)?);
            missing.retain(|node| !answers.contains_key(node));
            if missing.is_empty() || Instant::now() >= until {
                return Ok(());
            }
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(RunError::Stopping),
                () = self.waiter.wait(TIMER) => {}
            }
            require_open(self.context, self.run).await?;
        }
    }

    fn envelope(&self, work: &Work, node: Node) -> Envelope {
        let Work { phase, epoch, step, version, .. } = *work;
        let args = JobArgs::TrainEpoch(TrainEpochArgs { phase, epoch, step, version, node });
        Envelope {
            job: JobId::derive(self.run, Kind::TrainEpoch, &args.name()),
            submission: self.run,
            attempt: 1,
            max_attempts: self.context.settings.jobs.max_attempts(Kind::TrainEpoch),
            generation: 0,
            deadline_ms: None,
            traceparent: self.traceparent.map(str::to_owned),
            args,
        }
    }

    async fn live_workers(&mut self) -> Result<usize, RunError> {
        if self.counted.is_none_or(|counted| counted.elapsed() > WORKERS_FOR) {
            let workers = self.context.store.workers().await?;
            let able = |worker: &&common::store::RegisteredWorker| {
                worker.is_live() && worker.record.fingerprints.contains(&self.plan.fingerprint)
            };
            self.workers = workers.iter().filter(able).count().max(1);
            self.counted = Some(Instant::now());
        }
        Ok(self.workers)
    }
}

/// A shard (the leaves below one node) answered with something that is no finite number.
fn diverged(what: &str, work: &Work, node: Node) -> RunError {
    let pass = match work.phase {
        Phase::Train => format!("step {}", work.step),
        Phase::Valid => "validation".to_owned(),
        Phase::Test => "test".to_owned(),
    };
    RunError::Failed(format!(
        "training diverged: {what} of the shard with leaves {node} is not finite in epoch {}, {pass}; try a smaller \
         --learning-rate",
        work.epoch
    ))
}

fn malformed(work: &Work, node: Node, bytes: usize) -> RunError {
    let phase = match work.phase {
        Phase::Train => "gradient",
        Phase::Valid | Phase::Test => "predictions",
    };
    RunError::Failed(format!(
        "a worker answered with {bytes} bytes that are no {phase} (epoch {}, step {}, leaves {node})",
        work.epoch, work.step
    ))
}
