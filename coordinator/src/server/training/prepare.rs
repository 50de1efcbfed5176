//! The first half of a run: embed its dataset, split the items, and store what workers need.
//!
//! Owns the run's embed submission, which it makes, drives and cancels itself. What a split and a scaling are is
//! in `setup`.

use std::time::Duration;

use common::{
    digest::Digest,
    embedding::{Embedding, Space},
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{RunDocument, State, Submission, SubmissionKind},
    training::protocol::encode_samples,
};
use dataset::{files::parts, manifest::ManifestItem};

use super::{
    artifacts,
    error::{RunError, require_open},
    setup::{LabelledItem, LaidOut, ScalingSum, Setup, count_reasons, lay_out},
};
use crate::server::{
    context::Context,
    runs::{LeftOutRecord, RunReport, RunSpec, SplitRecord},
    spaces,
    submissions::{self, EmbedSpec, Terms},
};

/// How often a run asks how far its embedding is.
const EMBED_TIMER: Duration = Duration::from_millis(250);
/// How often a run looks for a worker while there is none.
const WORKER_TIMER: Duration = Duration::from_secs(1);
/// Embeddings read at a time while the scaling is computed.
const PAGE: usize = 4096;

/// Embeds what is not embedded yet, splits, and stores everything a worker needs.
///
/// # Errors
/// When the run cannot go on.
pub(super) async fn prepare(
    context: &Context,
    run: &Submission,
    spec: &RunSpec,
    report: &mut RunReport,
) -> Result<Setup, RunError> {
    let embed = embed(context, run, spec, report).await?;
    let run = run.id;
    let mut reasons = Vec::new();
    let items = labelled_items(context, &embed, spec, &mut reasons).await?;
    report.left_out = count_reasons(reasons);
    let space = space(context, run, report).await?;
    report.space = Some(space.to_string());
    let laid_out = lay_out(&items, space.clone(), &spec.settings);
    let LaidOut { setup, samples, lines } =
        laid_out.map_err(|error| RunError::Failed(format!("{error}{}", without(&report.left_out))))?;
    artifacts::write(context, run, artifacts::SAMPLES, &lines).await?;
    let plan = &setup.plan;
    report.split =
        Some(SplitRecord { train: plan.train.into(), valid: plan.valid.into(), test: plan.test.into() });

    let train: Vec<Digest> = samples[..plan.train as usize].iter().map(|sample| sample.sha256).collect();
    let rest: Vec<Digest> = samples[plan.train as usize..].iter().map(|sample| sample.sha256).collect();
    let mut sum = ScalingSum::new();
    for page in train.chunks(PAGE) {
        for embedding in embeddings(context, &space, page).await? {
            sum.add(&embedding);
        }
    }
    for page in rest.chunks(PAGE) {
        embeddings(context, &space, page).await?;
    }
    let store = &context.store;
    store.put_blob(run, RunDocument::Samples, &encode_samples(&samples)).await?;
    store.put_blob(run, RunDocument::Scaling, &sum.finish().to_bytes()).await?;
    store.put_document(run, RunDocument::Plan, plan).await?;
    store.put_document(run, RunDocument::Report, report).await?;
    store.put_document(run, RunDocument::Setup, &setup).await?;
    Ok(setup)
}

/// Says which samples an error was met without, and why.
fn without(left_out: &[LeftOutRecord]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let reasons: Vec<String> =
        left_out.iter().map(|left_out| format!("{} ({})", left_out.items, left_out.reason)).collect();
    format!("; left out were {}", reasons.join(", "))
}

/// Makes the embed submission of the run, or finds it again, and carries it to its end.
async fn embed(
    context: &Context,
    run: &Submission,
    spec: &RunSpec,
    report: &mut RunReport,
) -> Result<Submission, RunError> {
    let known: Option<SubmissionId> = context.store.document(run.id, RunDocument::Embed).await?;
    // One that failed, or is not kept any more, is no use to a run that was resumed; nor is one that a store
    // put back to an older state has forgotten.
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
            let embed_spec = EmbedSpec { dataset: Some(spec.dataset.clone()), images: Vec::new() };
            let id = SubmissionId::now();
            context.store.put_document(run.id, RunDocument::Embed, &id).await?;
            let traceparent = run.traceparent.clone();
            let terms = Terms { parent: Some(run.id), deadline: None, traceparent };
            submissions::create(context, id, SubmissionKind::Embed, &embed_spec, terms).await?;
            id
        }
    };
    let (embedded, ()) = tokio::join!(embedded(context, run.id, id, report), carry_to_end(context, id));
    embedded
}

/// Drives the embed submission `id` until its end is seen to stand: a store that was put back to an
/// older state may have forgotten it.
async fn carry_to_end(context: &Context, id: SubmissionId) {
    loop {
        submissions::drive(context, id).await;
        let state = context.store.state(id).await.ok().flatten();
        if context.stop.is_cancelled() || state.is_none_or(State::is_terminal) {
            return;
        }
    }
}

/// Shows how far the embed submission `id` of the run is until it has ended.
async fn embedded(
    context: &Context,
    run: SubmissionId,
    id: SubmissionId,
    report: &mut RunReport,
) -> Result<Submission, RunError> {
    let doorbell = context.doorbells.of(id);
    loop {
        let embed = context.store.submission(id).await?.ok_or(RunError::Forgotten)?;
        report.progress = match embed.state {
            State::Preparing => "reading the dataset".to_owned(),
            _ => format!("embedding {} of {} images", embed.succeeded + embed.failed, embed.items),
        };
        match embed.state {
            State::Preparing | State::Running => {
                context.store.put_document(run, RunDocument::Report, report).await?;
            }
            State::Succeeded | State::CompletedWithErrors => return Ok(embed),
            State::Failed | State::Cancelled => {
                let error = embed.error.unwrap_or_else(|| "its embed submission was cancelled".to_owned());
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
            () = doorbell.wait(EMBED_TIMER) => tokio::time::sleep(EMBED_TIMER / 5).await,
        }
    }
}

/// The space that the run trains in, once some worker is there to train: all may be restarting just now.
async fn space(context: &Context, run: SubmissionId, report: &mut RunReport) -> Result<Space, RunError> {
    loop {
        if let Some(space) = spaces::in_use(&context.store).await? {
            return Ok(space);
        }
        "waiting for a worker with a model".clone_into(&mut report.progress);
        context.store.put_document(run, RunDocument::Report, report).await?;
        require_open(context, run).await?;
        tokio::select! {
            () = context.stop.cancelled() => return Err(RunError::Stopping),
            () = tokio::time::sleep(WORKER_TIMER) => {}
        }
    }
}

/// Reads the embedded items back, with their labels; the others go to `reasons`.
async fn labelled_items(
    context: &Context,
    embed: &Submission,
    spec: &RunSpec,
    reasons: &mut Vec<String>,
) -> Result<Vec<LabelledItem>, RunError> {
    let layout =
        submissions::layout(embed).ok_or_else(|| RunError::Failed("its manifest is gone".to_owned()))?;
    if !layout.labelled {
        return Err(RunError::Failed(format!(
            "{} has no metadata.jsonl: images without views and subscribers can be embedded and predicted, not \
             trained on",
            spec.dataset
        )));
    }
    let mut items = Vec::new();
    for part in 0..layout.parts() {
        let manifest: Vec<ManifestItem> =
            parts::read_part(&layout.part(part)).await.map_err(|e| RunError::Failed(e.to_string()))?;
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
            "{missing} of {} images have no embedding in the space {space}: are workers with different weights, \
             precision or devices running?",
            digests.len()
        )));
    }
    Ok(found.into_iter().flatten().collect())
}
