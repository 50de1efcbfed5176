//! The predict job: predicts a run's target for a chunk of images.

use common::{
    job::{
        args::PredictArgs,
        envelope::Envelope,
        outcome::{FailureReason, ItemFailure, ItemResult},
    },
    store::RunDocument,
    training::protocol::Head,
};
use dataset::target::Transform;

use super::shard;
use crate::{
    attempt::Attempt,
    inference::Embedded,
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Predicts the target of every unresolved item of the chunk, in the units of the dataset.
///
/// # Errors
/// `JobError::Permanent` if the run has no head; `JobError::Retryable` if the head was trained in another embedding
/// space, which another worker may compute.
pub(super) async fn run(
    worker: &Worker,
    job: &Envelope,
    args: &PredictArgs,
    attempt: Attempt,
) -> Result<Outcome, JobError> {
    let head: Option<Head> = worker.store.document(args.run, RunDocument::Head).await?;
    let head = head.ok_or_else(|| JobError::Permanent(format!("run {} has no head", args.run)))?;
    let pipeline = worker.pipeline()?;
    let space = pipeline.space(args.space.as_ref())?;
    // A run trained on embeddings of all device classes may predict from those of one.
    if head.space != *space && head.space != space.of_all_classes() {
        return Err(JobError::Retryable(format!(
            "run {} was trained in embedding space {}, but this worker computes {space}: start a worker with the \
             same weights and precision",
            args.run, head.space
        )));
    }
    let transform: Transform = head
        .transform
        .parse()
        .map_err(|error| JobError::Permanent(format!("the head of run {} is invalid: {error}", args.run)))?;
    let outcome = pipeline
        .embed(job.submission, &args.chunk, space, attempt, |embedded| predict(&head, transform, embedded))
        .await?;
    match (outcome, &args.output) {
        (Outcome::Items(results), Some(output)) => {
            shard::write(worker, job, &args.chunk, output, &results).await
        }
        (outcome, _) => Ok(outcome),
    }
}

fn predict(head: &Head, transform: Transform, embedded: &Embedded) -> ItemResult {
    let prediction = transform.invert(head.apply(&embedded.embedding.to_f32()));
    if !prediction.is_finite() {
        let detail = format!("the head predicts {prediction}");
        return ItemResult::Failed(ItemFailure::new(FailureReason::NotFinite, detail));
    }
    ItemResult::Predicted { sha256: embedded.sha256, cached: embedded.cached, prediction }
}
