//! The embed job: computes and stores the embeddings of a chunk of images.

use common::job::{args::EmbedArgs, envelope::Envelope, outcome::ItemResult};

use crate::{
    attempt::Attempt,
    inference::Embedded,
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Embeds every unresolved item of the chunk.
pub(super) async fn run(
    worker: &Worker,
    job: &Envelope,
    args: &EmbedArgs,
    attempt: Attempt,
) -> Result<Outcome, JobError> {
    let result =
        |embedded: &Embedded| ItemResult::Embedded { sha256: embedded.sha256, cached: embedded.cached };
    let pipeline = worker.pipeline()?;
    let space = pipeline.space(args.space.as_ref())?;
    pipeline.embed(job.submission, &args.chunk, space, attempt, result).await
}
