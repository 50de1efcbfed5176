//! The shard that a job of a batch prediction writes.
//!
//! Invariant: the shard is made from the job's stored results, of which the first ones stay, and not from those of this
//! attempt. So every worker that runs the job writes the same bytes, also if their predictions differ in the last bit.

use common::{
    ids::SubmissionId,
    job::{args::Chunk, envelope::Envelope, outcome::ItemResult, output::Output},
    store::{Finish, JobRef, Results},
};
use dataset::{
    files::{Files, FilesError, ReadError, parts},
    manifest::ManifestItem,
    shards::predictions::{PredictionRow, claim_name, encode, shard_name},
};

use crate::{
    outcome::{JobError, Outcome},
    worker::Worker,
};

/// Stores the results of the last items of a job, then writes its shard. The outcome has no more results.
///
/// # Errors
/// `JobError::Permanent` if the folder may not be written to, or belongs to another submission;
/// `JobError::Retryable` if the storage fails.
pub(super) async fn write(
    worker: &Worker,
    job: &Envelope,
    chunk: &Chunk,
    output: &Output,
    results: &[(u64, ItemResult)],
) -> Result<Outcome, JobError> {
    let files = open(job.submission, output).await?;
    let store = &worker.store;
    let name = job.args.name();
    let reference = JobRef { submission: job.submission, name: &name, generation: job.generation };
    let results = Results { items: results, device_class: worker.device_class.as_ref() };
    if let Finish::Ignored(reason) = store.add_results(reference, results).await? {
        return Ok(Outcome::Ignored(reason));
    }
    let results = store.results(job.submission, chunk.first_item, u64::from(chunk.items)).await?;
    let items: Vec<ManifestItem> = parts::read_chunk(chunk).await.map_err(|error| {
        JobError::Retryable(format!("cannot read the manifest part {}: {error}", chunk.part))
    })?;
    let rows: Option<Vec<PredictionRow>> = items
        .into_iter()
        .zip(results)
        .map(|(item, result)| Some(PredictionRow::of(item, &result?)))
        .collect();
    // A store that was restored from an older state may have lost some.
    let rows = rows.ok_or_else(|| JobError::Retryable("not all results are stored".to_owned()))?;
    let settings = output.clone();
    let bytes = tokio::task::spawn_blocking(move || encode(&settings, rows)).await;
    let bytes = bytes.map_err(|error| JobError::Retryable(format!("encoding the shard failed: {error}")))?;
    let bytes = bytes.map_err(|error| JobError::Permanent(format!("cannot encode the shard: {error}")))?;
    let shard = shard_name(chunk.index, output.format);
    files.write(&shard, bytes).await.map_err(|error| unwritten(output, &error))?;
    Ok(Outcome::Items(Vec::new()))
}

/// Opens the output folder, if the submission still has its claim on it.
async fn open(submission: SubmissionId, output: &Output) -> Result<Files, JobError> {
    let files = Files::open_output(&output.folder).map_err(|error| unopened(&error))?;
    let claim = claim_name(submission);
    match files.has(&claim).await {
        Ok(true) => Ok(files),
        Ok(false) => Err(JobError::Permanent(format!(
            "the folder {} no longer belongs to this submission: it has no file {claim}",
            output.folder
        ))),
        Err(error) => Err(JobError::Retryable(error.to_string())),
    }
}

fn unopened(error: &FilesError) -> JobError {
    match error.is_retryable() {
        true => JobError::Retryable(error.to_string()),
        false => JobError::Permanent(error.to_string()),
    }
}

fn unwritten(output: &Output, error: &ReadError) -> JobError {
    let text = format!("cannot write a shard to {}: {error}", output.folder);
    if error.is_retryable() { JobError::Retryable(text) } else { JobError::Permanent(text) }
}
