//! One pass, a training step or an evaluation: publishes the parameters and a job per node of the reduction tree, and
//! gathers the results.
//!
//! How the results change the run is decided by [`crate::server::training::machine`]. The tree is split by the number
//! of live workers, which affects speed only: the sum has the same bits for every split. Jobs without a result in
//! time are published again; each result is applied once.

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

/// Time without a result after which jobs are published again; doubles up to the maximum.
const REPUBLISH_AFTER: Duration = Duration::from_secs(5);
const MAX_REPUBLISH_AFTER: Duration = Duration::from_secs(60);
/// Interval at which results are polled if no notification arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long the number of live workers is cached.
const WORKERS_TTL: Duration = Duration::from_secs(2);
/// Delay before a job that could not be published is published again.
const PUBLISH_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Has the workers compute the passes of one run.
pub(super) struct Passes<'a> {
    context: &'a Context,
    run: SubmissionId,
    /// W3C trace context of the run's jobs.
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

    /// Computes the gradient sum of a training step, added along the tree.
    pub(super) async fn gradient(&mut self, work: &Work) -> Result<GradientSum, RunError> {
        let mut sums = HashMap::new();
        for (node, bytes) in self.results(work).await? {
            let sum = GradientSum::from_bytes(&bytes).ok_or_else(|| malformed(work, node, bytes.len()))?;
            if !sum.is_finite() {
                return Err(diverged("the loss or the gradient", work, node));
            }
            sums.insert(node, sum);
        }
        let sum = Node::root(self.plan.leaves).reduce(&sums, &mut |_| None, &|a, b| a.plus(&b));
        Ok(sum.expect("the nodes cover every leaf"))
    }

    /// Computes the predictions of an evaluation, in item order.
    pub(super) async fn predictions(&mut self, work: &Work) -> Result<Vec<f32>, RunError> {
        let items = self.plan.pass_items(work.phase, work.step);
        let mut predictions = vec![0.0; items];
        for (node, bytes) in self.results(work).await? {
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

    async fn results(&mut self, work: &Work) -> Result<HashMap<Node, Vec<u8>>, RunError> {
        let parameters = Parameters { version: work.version, bytes: encode_f32(&work.parameters) };
        self.context.store.put_parameters(self.run, &parameters).await?;
        let mut missing = Node::root(self.plan.leaves).split(self.live_workers().await?);
        let mut results = HashMap::new();
        let mut republish_after = REPUBLISH_AFTER;
        loop {
            let nodes = missing.clone();
            tokio::try_join!(
                self.publish(work, nodes),
                self.gather(work.version, &mut missing, &mut results, republish_after)
            )?;
            if missing.is_empty() {
                return Ok(results);
            }
            tracing::warn!(run = %self.run, epoch = work.epoch, step = work.step, jobs = missing.len(),
                "no result within {republish_after:?}; publishing the jobs again");
            republish_after = (republish_after * 2).min(MAX_REPUBLISH_AFTER);
        }
    }

    /// Publishes the jobs of `nodes`, with retries until the broker has confirmed all of them.
    async fn publish(&self, work: &Work, mut nodes: Vec<Node>) -> Result<(), RunError> {
        let route = &Route::Train(self.plan.fingerprint.clone());
        loop {
            let publish = nodes.iter().map(|node| async move {
                let published = self.context.publisher.publish(&self.envelope(work, *node), route).await;
                published.err().map(|error| (*node, error))
            });
            let failures: Vec<_> = join_all(publish).await.into_iter().flatten().collect();
            let Some((_, error)) = failures.first() else { return Ok(()) };
            tracing::warn!(
                run = %self.run, %error, "jobs were not published; retrying in {PUBLISH_RETRY_DELAY:?}"
            );
            nodes = failures.iter().map(|(node, _)| *node).collect();
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(RunError::Stopping),
                () = tokio::time::sleep(PUBLISH_RETRY_DELAY) => require_open(self.context, self.run).await?,
            }
        }
    }

    /// Moves results for `version` from the store to `results`, until all are there or `limit` has passed.
    async fn gather(
        &self,
        version: u64,
        missing: &mut Vec<Node>,
        results: &mut HashMap<Node, Vec<u8>>,
        limit: Duration,
    ) -> Result<(), RunError> {
        let deadline = Instant::now() + limit;
        loop {
            let stored = self.context.store.nodes(self.run, version, missing).await?;
            results.extend(stored.ok_or(RunError::StateLost)?);
            missing.retain(|node| !results.contains_key(node));
            if missing.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(RunError::Stopping),
                () = self.waiter.wait(POLL_INTERVAL) => {}
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
        if self.counted.is_none_or(|counted| counted.elapsed() > WORKERS_TTL) {
            let workers = self.context.store.workers().await?;
            let is_eligible = |worker: &&common::store::RegisteredWorker| {
                worker.is_live() && worker.record.fingerprints.contains(&self.plan.fingerprint)
            };
            self.workers = workers.iter().filter(is_eligible).count().max(1);
            self.counted = Some(Instant::now());
        }
        Ok(self.workers)
    }
}

/// The result of a shard (the leaves below one node) has a NaN or an infinity.
fn diverged(quantity: &str, work: &Work, node: Node) -> RunError {
    let pass = match work.phase {
        Phase::Train => format!("step {}", work.step),
        Phase::Valid => "validation".to_owned(),
        Phase::Test => "test".to_owned(),
    };
    RunError::Failed(format!(
        "training diverged: {quantity} of the shard with leaves {node} is not finite in epoch {}, {pass}; \
         try a smaller --learning-rate",
        work.epoch
    ))
}

fn malformed(work: &Work, node: Node, bytes: usize) -> RunError {
    let expected = match work.phase {
        Phase::Train => "a gradient",
        Phase::Valid | Phase::Test => "predictions",
    };
    RunError::Failed(format!(
        "cannot decode a worker's result of {bytes} bytes as {expected} (epoch {}, step {}, leaves {node})",
        work.epoch, work.step
    ))
}
