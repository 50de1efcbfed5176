//! The predict job: score a chunk of images with a run's head.

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

use crate::{
    inference::Embedded,
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Predicts the target of every unresolved item of the chunk, in raw units.
///
/// # Errors
/// When the run has no head, or its head takes embeddings of another space; when the manifest cannot be
/// read, the model fails, or the store does not serve.
pub(super) async fn run(
    worker: &Worker,
    job: &Envelope,
    args: &PredictArgs,
    repeated: bool,
) -> Result<Outcome, JobError> {
    let head: Option<Head> = worker.store.document(args.run, RunDocument::Head).await?;
    let head = head.ok_or_else(|| JobError::Permanent(format!("run {} has no head", args.run)))?;
    let pipeline = worker.pipeline()?;
    let space = pipeline.space();
    if head.space != *space {
        return Err(JobError::Retryable(format!(
            "run {} was trained on embeddings of {}, this worker computes {space}: start a worker with the same \
             weights and precision",
            args.run, head.space
        )));
    }
    let transform: Transform = head
        .transform
        .parse()
        .map_err(|error| JobError::Permanent(format!("head of run {}: {error}", args.run)))?;
    pipeline.embed(job.submission, &args.chunk, repeated, |embedded| score(&head, transform, embedded)).await
}

fn score(head: &Head, transform: Transform, embedded: &Embedded) -> ItemResult {
    let prediction = transform.invert(head.apply(&embedded.embedding.to_f32()));
    if !prediction.is_finite() {
        let detail = format!("the head predicts {prediction}");
        return ItemResult::Failed(ItemFailure::new(FailureReason::NotFinite, detail));
    }
    ItemResult::Predicted { sha256: embedded.sha256, cached: embedded.cached, prediction }
}
