//! The first half of a run: embeds the dataset, splits the items, and stores the workers' inputs.
//!
//! Creates, drives and cancels the run's embed submission. Splitting and scaling are in `setup`.

use std::time::{Duration, Instant};

use common::{
    digest::{Digest, Hasher},
    embedding::{Embedding, Space},
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{RunDocument, State, Submission, SubmissionKind},
    training::protocol::encode_samples,
};
use dataset::manifest::{ManifestItem, NO_ROW};

use super::{
    artifacts,
    error::{RunError, require_open},
    setup::{LabelledItem, PreparedRun, ScalingSum, Setup, count_reasons, prepare_run},
};
use crate::server::{
    context::Context,
    runs::{RunReport, RunSpec, SkippedRecord, SplitRecord},
    spaces::{self, Fleet},
    submissions::{self, EmbedSpec, SubmitOptions},
};

/// Interval at which the progress of the embed submission is read.
const EMBED_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Interval at which a run looks for a live worker with a model.
const WORKER_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Embeddings per read from the store.
const PAGE: usize = 4096;

/// Embeds the dataset, splits it, and stores the plan, samples and scaling for the workers.
pub(super) async fn prepare(
    context: &Context,
    run: &Submission,
    spec: &RunSpec,
    report: &mut RunReport,
) -> Result<Setup, RunError> {
    let embed = embed(context, run, spec, report).await?;
    let run = run.id;
    report.remaining_seconds = None;
    let mut reasons = Vec::new();
    let items = labelled_items(context, &embed, spec, &mut reasons).await?;
    report.skipped = count_reasons(reasons);
    let space = match submissions::layout(&embed).and_then(|layout| layout.space) {
        Some(space) => space,
        None => space_in_use(context, run, report).await?,
    };
    report.space = Some(space.to_string());
    report.random_weights = spaces::has_random_weights(&context.store, &space).await?;
    let prepared = prepare_run(&items, space.clone(), &spec.settings);
    let PreparedRun { setup, grouping, samples, lines } =
        prepared.map_err(|error| RunError::Failed(format!("{error}{}", skipped_note(&report.skipped))))?;
    report.grouping = Some(grouping);
    artifacts::write(context, run, artifacts::SAMPLES, &lines).await?;
    let plan = &setup.plan;
    report.split =
        Some(SplitRecord { train: plan.train.into(), valid: plan.valid.into(), test: plan.test.into() });

    let train: Vec<Digest> = samples[..plan.train as usize].iter().map(|sample| sample.sha256).collect();
    let rest: Vec<Digest> = samples[plan.train as usize..].iter().map(|sample| sample.sha256).collect();
    let (mut sum, mut features) = (ScalingSum::new(), Hasher::default());
    for page in train.chunks(PAGE) {
        let found = embeddings(context, &space, page).await?;
        add_features(&mut features, page, &found);
        found.iter().for_each(|embedding| sum.add(embedding));
    }
    // Fails now rather than in a worker if embeddings of the other splits are missing.
    for page in rest.chunks(PAGE) {
        add_features(&mut features, page, &embeddings(context, &space, page).await?);
    }
    report.features_sha256 = Some(features.finish());
    let store = &context.store;
    store.put_blob(run, RunDocument::Samples, &encode_samples(&samples)).await?;
    store.put_blob(run, RunDocument::Scaling, &sum.finish().to_bytes()).await?;
    store.put_document(run, RunDocument::Plan, plan).await?;
    store.put_document(run, RunDocument::Report, report).await?;
    store.put_document(run, RunDocument::Setup, &setup).await?;
    Ok(setup)
}

fn add_features(features: &mut Hasher, digests: &[Digest], embeddings: &[Embedding]) {
    for (digest, embedding) in digests.iter().zip(embeddings) {
        features.update(&digest.0);
        features.update(&embedding.to_bytes());
    }
}

/// Appendix to an error: the skipped items by reason.
fn skipped_note(skipped: &[SkippedRecord]) -> String {
    if skipped.is_empty() {
        return String::new();
    }
    let reasons: Vec<String> =
        skipped.iter().map(|skipped| format!("{} ({})", skipped.items, skipped.reason)).collect();
    format!("; skipped items: {}", reasons.join(", "))
}

/// Creates the embed submission of the run, or finds the earlier one, and drives it to its end.
async fn embed(
    context: &Context,
    run: &Submission,
    spec: &RunSpec,
    report: &mut RunReport,
) -> Result<Submission, RunError> {
    let known: Option<SubmissionId> = context.store.document(run.id, RunDocument::Embed).await?;
    // A resumed run needs a new one if the earlier one failed, expired, or was lost when the store was restored from an
    // older state.
    let known = match known {
        Some(id) => {
            let state = context.store.state(id).await?;
            state.filter(|state| !matches!(state, State::Failed | State::Cancelled)).map(|_| id)
        }
        None => None,
    };
    let id = match known {
        Some(id) => id,
        None => {
            let embed_spec = EmbedSpec {
                dataset: Some(spec.dataset.clone()),
                images: Vec::new(),
                rows_only: true,
                space: spec.space.clone(),
                uniform_hardware: spec.uniform_hardware,
            };
            let id = SubmissionId::now();
            context.store.put_document(run.id, RunDocument::Embed, &id).await?;
            let traceparent = run.traceparent.clone();
            let options = SubmitOptions { parent: Some(run.id), traceparent, ..SubmitOptions::default() };
            submissions::create(context, id, SubmissionKind::Embed, &embed_spec, options).await?;
            id
        }
    };
    let (embedded, ()) = tokio::join!(wait_for_end(context, run.id, id, report), drive_to_end(context, id));
    embedded
}

/// Drives the embed submission `id` until the store says that it has ended. A store restored from an older state may
/// have lost the end, so the state is read after each drive.
async fn drive_to_end(context: &Context, id: SubmissionId) {
    loop {
        submissions::drive(context, id).await;
        let state = context.store.state(id).await.ok().flatten();
        if context.stop.is_cancelled() || state.is_none_or(State::is_terminal) {
            return;
        }
    }
}

/// Reports the progress of the run's embed submission `id` until it has ended.
async fn wait_for_end(
    context: &Context,
    run: SubmissionId,
    id: SubmissionId,
    report: &mut RunReport,
) -> Result<Submission, RunError> {
    let waiter = context.notifier.waiter(id);
    let mut start: Option<(Instant, u64)> = None;
    loop {
        let embed = context.store.submission(id).await?.ok_or(RunError::StateLost)?;
        let done = embed.succeeded + embed.failed;
        report.progress = match embed.state {
            State::Preparing => "reading the dataset".to_owned(),
            _ if embed.is_listing => {
                format!(
                    "embedding {done} of {} images so far; the dataset is still being listed",
                    embed.items
                )
            }
            _ => {
                let (began, before) = *start.get_or_insert_with(|| (Instant::now(), done));
                let pace = began.elapsed().as_secs_f64() / done.saturating_sub(before) as f64;
                let remaining = Some(pace * embed.items.saturating_sub(done) as f64);
                report.remaining_seconds = remaining.filter(|seconds| seconds.is_finite());
                format!("embedding {done} of {} images", embed.items)
            }
        };
        let fleet = Fleet::read(&context.store).await?;
        if let Some(reason) = submissions::reason_to_wait(&embed, &fleet) {
            report.progress.push_str(&format!("; waiting: {reason}"));
        }
        match embed.state {
            State::Preparing | State::Running => {
                context.store.put_document(run, RunDocument::Report, report).await?;
            }
            State::Succeeded | State::CompletedWithErrors => return Ok(embed),
            State::Failed | State::Cancelled => {
                let error =
                    embed.error.unwrap_or_else(|| format!("the run's embed submission {id} was cancelled"));
                return Err(RunError::Failed(error));
            }
        }
        let open = require_open(context, run).await;
        if let Err(RunError::Closed) = open {
            context.store.close_submission(id, State::Cancelled, None, false).await?;
        }
        open?;
        tokio::select! {
            () = context.stop.cancelled() => return Err(RunError::Stopping),
            () = waiter.wait(EMBED_POLL_INTERVAL) => tokio::time::sleep(EMBED_POLL_INTERVAL / 5).await,
        }
    }
}

/// Returns the space of a run whose embed submission an earlier version made. Waits for a live worker with a model, since
/// all workers may be restarting.
async fn space_in_use(
    context: &Context,
    run: SubmissionId,
    report: &mut RunReport,
) -> Result<Space, RunError> {
    loop {
        if let Some(space) = spaces::in_use(&context.store).await? {
            return Ok(space);
        }
        "waiting for a worker with a model".clone_into(&mut report.progress);
        context.store.put_document(run, RunDocument::Report, report).await?;
        require_open(context, run).await?;
        tokio::select! {
            () = context.stop.cancelled() => return Err(RunError::Stopping),
            () = tokio::time::sleep(WORKER_POLL_INTERVAL) => {}
        }
    }
}

/// Returns the embedded items with their labels. For each other item, adds the reason to `reasons`.
async fn labelled_items(
    context: &Context,
    embed: &Submission,
    spec: &RunSpec,
    reasons: &mut Vec<String>,
) -> Result<Vec<LabelledItem>, RunError> {
    let layout = submissions::layout(embed)
        .ok_or_else(|| RunError::Failed("the run's manifest is missing".to_owned()))?;
    if !layout.labelled {
        return Err(RunError::Failed(format!(
            "{} has no metadata (metadata.jsonl, .csv or .parquet): training needs rows with views or subscribers; without \
             them, you can only embed and predict",
            spec.dataset
        )));
    }
    reasons.extend(std::iter::repeat_n(NO_ROW.to_owned(), layout.without_row as usize));
    let mut items = Vec::new();
    let parts = submissions::Parts::new(layout);
    let layout = parts.layout();
    for part in 0..layout.parts() {
        let manifest: Vec<ManifestItem> =
            parts.read(part).await.map_err(|error| RunError::Failed(error.to_string()))?;
        let results = context.store.results(embed.id, layout.first_item(part), manifest.len() as u64).await?;
        for (item, result) in manifest.into_iter().zip(results) {
            match result {
                Some(ItemResult::Embedded { sha256, .. }) => match spec.settings.target.label(&item) {
                    Ok(label) => items.push(LabelledItem::new(item, sha256, label)),
                    Err(reason) => reasons.push(reason),
                },
                Some(ItemResult::Failed(failure)) => reasons.push(failure.reason.to_string()),
                Some(ItemResult::Predicted { .. } | ItemResult::Crawled(_) | ItemResult::Other(_)) | None => {
                    reasons.push("not embedded".to_owned());
                }
            }
        }
    }
    Ok(items)
}

async fn embeddings(
    context: &Context,
    space: &Space,
    digests: &[Digest],
) -> Result<Vec<Embedding>, RunError> {
    let found = context.store.embeddings(space, digests).await?;
    let missing = found.iter().filter(|embedding| embedding.is_none()).count();
    if missing > 0 {
        return Err(RunError::Failed(format!(
            "{missing} of {} images have no embedding in the space {space}: was it dropped meanwhile?",
            digests.len()
        )));
    }
    Ok(found.into_iter().flatten().collect())
}
