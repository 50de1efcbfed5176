//! The output folder of a batch prediction: checks and claims it, and completes it with the manifest.
//!
//! Workers write the shards of their jobs. The leader writes the shards of rejected items and of jobs that were
//! discarded, reads all shards back for their digests, and writes the manifest last. Invariants: a folder with files of
//! anything else is not written to; a folder has a manifest only if the submission completes; after a crash, the same
//! bytes are written again.

use std::time::Duration;

use common::{
    digest::{Digest, Hasher},
    job::{
        args::MAX_CHUNK_ITEMS,
        outcome::{FailureReason, ItemFailure, ItemResult},
        output::Output,
    },
    store::{RunDocument, State, Submission},
    training::protocol::Head,
};
use dataset::{
    files::{Files, ReadError, parts::PartError, roots::DatasetRoots},
    manifest::ManifestItem,
    shards::{
        Columns, MANIFEST_NAME, Shard,
        predictions::{
            CLAIM_PREFIX, Claim, MAX_SHARD_BYTES, Manifest, PredictionRow, all_columns, claim_name, encode,
            shard_name,
        },
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use url::Url;

use super::{
    SubmissionError,
    manifest::{Layout, Parts, layout},
    spec::{OutputSpec, PredictSpec, read_spec},
};
use crate::{
    api::{OutputRequest, OutputView},
    server::{context::Context, error::RequestError, runs},
};

/// Shards that are read back at a time.
const READS: usize = 8;
/// Attempts while the storage fails, and the delay between them.
const ATTEMPTS: u32 = 30;
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Names of foreign files in an error.
const NAMED: usize = 3;
/// Folders in the artifacts folder that have files of this program.
const OWN_FOLDERS: [&str; 3] = ["manifests/", "runs/", "crawl/"];

impl OutputSpec {
    /// Returns the columns to carry along, before their values are read.
    pub(super) fn columns(&self) -> Result<Columns, SubmissionError> {
        Columns::new(self.columns.clone()).map_err(SubmissionError::Failed)
    }
}

/// Checks the requested output: columns, size of shards, and that its folder may be written to and is empty.
pub(super) async fn check(context: &Context, request: &OutputRequest) -> Result<OutputSpec, RequestError> {
    let OutputRequest { folder, format, columns, shard_rows } = request.clone();
    Columns::new(columns.clone()).map_err(RequestError::Invalid)?;
    let shard_rows = shard_rows.unwrap_or(MAX_CHUNK_ITEMS);
    if !(1..=MAX_CHUNK_ITEMS).contains(&shard_rows) {
        return Err(RequestError::Invalid(format!(
            "shard_rows is {shard_rows}: it must be between 1 and {MAX_CHUNK_ITEMS}"
        )));
    }
    let folder = resolve(context, &folder)?;
    let unavailable = |error: &dyn std::fmt::Display| RequestError::Unavailable(error.to_string());
    let files = Files::open_output(&folder).map_err(|error| unavailable(&error))?;
    let found = files.some_names(NAMED + 1).await.map_err(|error| unavailable(&error))?;
    if !found.is_empty() {
        return Err(RequestError::Conflict(occupied(&folder, &found)));
    }
    Ok(OutputSpec { folder, format, columns, shard_rows })
}

/// Returns the URL of a folder in a dataset root or in the artifacts folder, outside what the coordinator writes there.
fn resolve(context: &Context, folder: &str) -> Result<Url, RequestError> {
    let in_artifacts = || DatasetRoots::of(&context.artifacts).resolve_new(folder);
    let url = context.roots.resolve_new(folder).or_else(|error| in_artifacts().map_err(|_| error))?;
    let is_own = |own: &str| {
        let own = context.artifacts.join(own);
        own.is_ok_and(|own| DatasetRoots::of(&own).resolve_new(url.as_str()).is_ok())
    };
    match OWN_FOLDERS.into_iter().find(|own| is_own(own)) {
        Some(own) => Err(RequestError::Forbidden(format!(
            "'{folder}' is in the folder '{own}' of the artifacts, which the coordinator writes itself"
        ))),
        None => Ok(url),
    }
}

/// Describes a folder that has other files.
fn occupied(folder: &Url, found: &[String]) -> String {
    let owner = found.iter().find_map(|name| name.strip_prefix(CLAIM_PREFIX)?.strip_suffix(".json"));
    let owner = owner.map(|id| format!(" of submission {id}")).unwrap_or_default();
    let mut names = found.iter().take(NAMED).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    if found.len() > NAMED {
        names += " and others";
    }
    format!("the output folder {folder} already has files{owner}: {names}; give an empty or new folder")
}

/// Claims the output folder for a submission, unless it has done so before.
///
/// Of two submissions that claim a folder at the same time, at most one continues: each writes its claim before it looks
/// for others.
pub(super) async fn claim(submission: &Submission, output: &OutputSpec) -> Result<(), SubmissionError> {
    let failed = |error: &dyn std::fmt::Display| {
        SubmissionError::Failed(format!("the output folder cannot be used: {error}"))
    };
    let files = Files::open_output(&output.folder).map_err(|error| failed(&error))?;
    let own = claim_name(submission.id);
    if !files.has(&own).await.map_err(|error| failed(&error))? {
        let found = files.some_names(NAMED + 1).await.map_err(|error| failed(&error))?;
        if !found.is_empty() {
            return Err(SubmissionError::Failed(occupied(&output.folder, &found)));
        }
        let PredictSpec { run, dataset, .. } = read_spec(submission)?;
        let claim = Claim { submission: submission.id, run, dataset };
        let mut text = serde_json::to_vec(&claim).expect("plain data serializes to JSON");
        text.push(b'\n');
        files.write(&own, text.into()).await.map_err(|error| failed(&error))?;
    }
    let claims = files.walk(None, Vec::new(), |claims: &mut Vec<String>, found| {
        if let dataset::files::Found::File { name, .. } = found
            && name.starts_with(CLAIM_PREFIX)
            && claims.len() <= NAMED
        {
            claims.push(name.to_owned());
        }
    });
    let mut claims = claims.await.map_err(|error| failed(&error))?;
    claims.retain(|claim| *claim != own);
    if claims.is_empty() {
        return Ok(());
    }
    files.remove(&own).await.map_err(|error| failed(&error))?;
    Err(SubmissionError::Failed(occupied(&output.folder, &claims)))
}

/// Shows the output of a submission.
pub(super) fn view(submission: &Submission, layout: &Layout) -> Option<OutputView> {
    let Output { folder, format, .. } = layout.output.as_ref()?;
    let is_complete = matches!(submission.state, State::Succeeded | State::CompletedWithErrors);
    let manifest = folder.join(MANIFEST_NAME).ok().filter(|_| is_complete);
    Some(OutputView {
        folder: folder.to_string(),
        format: *format,
        shards: layout.parts(),
        manifest: manifest.map(String::from),
    })
}

/// Completes the output of a submission whose jobs are finished, and closes the submission.
pub(super) async fn finish(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    complete(context, submission).await?;
    Ok(context.store.end_submission(submission.id).await?)
}

/// Makes the output of an ended submission agree with its end. One that did not complete has no manifest; it may have
/// been cancelled while it was written. One that completed has a manifest; a worker of an earlier version may have closed
/// it.
pub(super) async fn settle(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    let Some(layout) = layout(submission) else { return Ok(()) };
    let Some(output) = &layout.output else { return Ok(()) };
    let settled = async {
        let files = Files::open_output(&output.folder).map_err(|error| error.to_string())?;
        let has = async |name: &str| files.has(name).await.map_err(|error| error.to_string());
        let (is_claimed, is_complete) = (has(&claim_name(submission.id)).await?, has(MANIFEST_NAME).await?);
        match submission.state {
            State::Cancelled | State::Failed if is_claimed && is_complete => {
                files.remove(MANIFEST_NAME).await.map_err(|error| error.to_string())?;
            }
            State::Succeeded | State::CompletedWithErrors if !is_complete => {
                complete(context, submission).await.map_err(|error| error.to_string())?;
            }
            _ => {}
        }
        Ok::<_, String>(())
    };
    if let Err(error) = settled.await {
        tracing::warn!(submission = %submission.id, %error, "the output of an ended submission cannot be settled");
    }
    Ok(())
}

/// Writes the missing shards, then the manifest. Retries while the storage fails.
async fn complete(context: &Context, submission: &Submission) -> Result<(), SubmissionError> {
    for attempt in 1.. {
        let error = match write(context, submission).await {
            Ok(()) => break,
            Err(WriteError::Submission(error)) => return Err(error),
            Err(WriteError::Storage(error)) => error,
        };
        if attempt == ATTEMPTS {
            return Err(SubmissionError::Failed(format!("the output cannot be completed: {error}")));
        }
        tracing::warn!(submission = %submission.id, %error, "the output is completed in {RETRY_DELAY:?}");
        tokio::select! {
            () = context.stop.cancelled() => return Err(SubmissionError::Stopping),
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
    Ok(())
}

enum WriteError {
    Submission(SubmissionError),
    /// The storage failed, and may work later.
    Storage(String),
}

impl<E: Into<SubmissionError>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Submission(error.into())
    }
}

impl WriteError {
    fn of(error: &ReadError) -> Self {
        let text = format!("the output cannot be completed: {error}");
        match error.is_retryable() {
            true => Self::Storage(error.to_string()),
            false => Self::Submission(SubmissionError::Failed(text)),
        }
    }
}

async fn write(context: &Context, submission: &Submission) -> Result<(), WriteError> {
    let unreadable = || SubmissionError::Failed("cannot read the submission's manifest".to_owned());
    let layout = layout(submission).ok_or_else(unreadable)?;
    let output = layout.output.as_ref().ok_or_else(unreadable)?;
    let PredictSpec { run, .. } = read_spec(submission)?;
    let failed = |error: &dyn std::fmt::Display| SubmissionError::Failed(error.to_string());
    let files = Files::open_output(&output.folder).map_err(|error| failed(&error))?;
    let claim = claim_name(submission.id);
    if !files.has(&claim).await.map_err(|error| WriteError::Storage(error.to_string()))? {
        let folder = &output.folder;
        let detail = format!("the output folder {folder} no longer belongs to it: it has no file {claim}");
        return Err(SubmissionError::Failed(detail).into());
    }
    let parts = Parts::new(layout.clone());
    let shards: Vec<Shard> = stream::iter(0..layout.parts())
        .map(|part| shard(context, submission, &parts, output, &files, part))
        .buffered(READS)
        .try_collect()
        .await?;
    let head: Option<Head> = context.store.document(run, RunDocument::Head).await?;
    let target = match context.store.submission(run).await? {
        Some(run) => runs::target(&run).ok(),
        None => None,
    };
    let manifest = Manifest {
        version: 1,
        submission: submission.id,
        run,
        target: target.map(|target| target.to_string()),
        space: layout.space.clone().or(head.map(|head| head.space)),
        dataset: layout.dataset.clone(),
        format: output.format,
        columns: all_columns(&output.columns),
        rows: layout.items + layout.rejected,
        failed_rows: submission.failed,
        shards,
    };
    if context.stop.is_cancelled() {
        return Err(SubmissionError::Stopping.into());
    }
    files.write(MANIFEST_NAME, manifest.to_bytes()).await.map_err(|error| WriteError::of(&error))
}

/// Describes the shard of a part, as it is in the folder. One that is missing is written: rejected items have no job, and
/// a discarded job may not have written it.
async fn shard(
    context: &Context,
    submission: &Submission,
    parts: &Parts,
    output: &Output,
    files: &Files,
    part: u32,
) -> Result<Shard, WriteError> {
    if context.stop.is_cancelled() {
        return Err(SubmissionError::Stopping.into());
    }
    let layout = parts.layout();
    let (name, rows) = (shard_name(part, output.format), layout.part_rows(part));
    match digest(files, &name).await {
        Ok((bytes, sha256)) => return Ok(Shard { name, rows, bytes, sha256 }),
        Err(ReadError::Missing { .. }) => {}
        Err(error) => return Err(WriteError::of(&error)),
    }
    let items: Vec<ManifestItem> = parts.read(part).await.map_err(|error| match &error {
        PartError::Read(read) => WriteError::of(read),
        error => WriteError::Submission(SubmissionError::Failed(error.to_string())),
    })?;
    let results = context.store.results(submission.id, layout.first_item(part), rows).await?;
    let lost = ItemResult::Failed(ItemFailure::new(FailureReason::Discarded, "the item has no result"));
    let rows_of_part = items
        .into_iter()
        .zip(results)
        .map(|(item, result)| PredictionRow::of(item, result.as_ref().unwrap_or(&lost)));
    let settings = output.clone();
    let rows_of_part = rows_of_part.collect();
    let bytes = tokio::task::spawn_blocking(move || encode(&settings, rows_of_part)).await;
    let bytes = bytes.map_err(|error| SubmissionError::Failed(error.to_string()))?;
    let bytes = bytes.map_err(|error| SubmissionError::Failed(format!("cannot encode {name}: {error}")))?;
    let (size, sha256) = (bytes.len() as u64, Digest::of(&bytes));
    files.write(&name, bytes).await.map_err(|error| WriteError::of(&error))?;
    Ok(Shard { name, rows, bytes: size, sha256 })
}

/// Reads a file and returns its size and digest.
async fn digest(files: &Files, name: &str) -> Result<(u64, Digest), ReadError> {
    let mut content = files.open_content(name, MAX_SHARD_BYTES).await?;
    let (mut bytes, mut hasher) = (0, Hasher::default());
    while let Some(chunk) = content.next_chunk().await? {
        bytes += chunk.len() as u64;
        hasher.update(&chunk);
    }
    Ok((bytes, hasher.finish()))
}
