//! The embed job: compute and store the embeddings of a chunk of images.

use common::job::{args::EmbedArgs, envelope::Envelope, outcome::ItemResult};

use super::{
    JobError, Outcome,
    items::{self, Embedded},
};
use crate::worker::Worker;

/// Embeds every unresolved item of the chunk.
///
/// # Errors
/// When the manifest cannot be read, the model fails, or the store does not serve.
pub(super) async fn run(
    worker: &Worker,
    job: &Envelope,
    args: &EmbedArgs,
    repeated: bool,
) -> Result<Outcome, JobError> {
    let attempt = items::embed(worker, job.submission, &args.chunk, repeated).await?;
    let embedded =
        |embedded: Embedded| ItemResult::Embedded { sha256: embedded.sha256, cached: embedded.cached };
    Ok(attempt.outcome(embedded))
}
