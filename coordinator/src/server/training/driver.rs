//! Drives one run from its request to its metrics.
//!
//! Owns the order of effects: embed, lay out, then pass after pass as the state machine asks, with a
//! checkpoint after every epoch. Does not own decisions (see [`crate::server::training::machine`]).

use std::time::{Duration, Instant};

use common::{
    digest::Digest,
    embedding::Space,
    ids::SubmissionId,
    job::outcome::ItemResult,
    store::{State, Submission, SubmissionKind},
    training::protocol::{Phase, Scaling, encode_samples},
};
use dataset::{manifest::ManifestItem, parts};

use super::{
    RunError, RunSpec, artifacts,
    machine::Machine,
    pass::Passes,
    report::Report,
    require_open,
    setup::{LabelledItem, LaidOut, ScalingSum, Setup, count_reasons, fold, lay_out},
};
use crate::{
    api::{LeftOut, SplitCounts},
    server::{
        context::Context,
        spaces,
        submissions::{self, EmbedSpec, Terms},
    },
};

/// How often progress within an epoch is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How often a run asks how far its embedding is.
const EMBED_TIMER: Duration = Duration::from_millis(250);
/// How often a run looks for a worker while there is none.
const WORKER_TIMER: Duration = Duration::from_secs(1);
/// Embeddings read at a time while the scaling is computed.
const PAGE: usize = 4096;

/// Carries a run from wherever it stands to its end.
///
/// # Errors
/// When it cannot go on; the caller closes the run.
pub(super) async fn drive(context: &Context, run: &Submission, spec: &RunSpec) -> Result<(), RunError> {
    let mut report: Report = context.store.document(run.id, "report").await?.unwrap_or_default();
    let setup = match context.store.document::<Setup>(run.id, "setup").await? {
        Some(setup) => setup,
        None => prepare(context, run.id, spec, &mut report).await?,
    };
    let scaling = scaling(context, run.id).await?;
    train(context, run.id, spec, &setup, &scaling, report).await
}

/// Embeds what is not embedded yet, splits, and stores everything a worker needs.
async fn prepare(
    context: &Context,
    run: SubmissionId,
    spec: &RunSpec,
    report: &mut Report,
) -> Result<Setup, RunError> {
    let embed = embed(context, run, spec, report).await?;
    let mut reasons = Vec::new();
    let items = labelled_items(context, &embed, spec, &mut reasons).await?;
    report.left_out = count_reasons(reasons);
    let space = space(context, run, report).await?;
    report.space = Some(space.to_string());
    let laid_out = lay_out(&items, space.clone(), &spec.request);
    let LaidOut { setup, samples, views } =
        laid_out.map_err(|error| RunError::Failed(format!("{error}{}", without(&report.left_out))))?;
    artifacts::write(context, run, artifacts::SAMPLES, &views).await?;
    let plan = &setup.plan;
    report.split =
        Some(SplitCounts { train: plan.train.into(), valid: plan.valid.into(), test: plan.test.into() });

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
    store.put_blob(run, "samples", &encode_samples(&samples)).await?;
    store.put_blob(run, "scaling", &sum.finish().to_bytes()).await?;
    store.put_document(run, "plan", plan).await?;
    store.put_document(run, "report", report).await?;
    store.put_document(run, "setup", &setup).await?;
    Ok(setup)
}

/// Says which samples an error was met without, and why.
fn without(left_out: &[LeftOut]) -> String {
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
    run: SubmissionId,
    spec: &RunSpec,
    report: &mut Report,
) -> Result<Submission, RunError> {
    let known: Option<SubmissionId> = context.store.document(run, "embed").await?;
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
            context.store.put_document(run, "embed", &id).await?;
            let terms = Terms { parent: Some(run), deadline: None };
            submissions::create(context, id, SubmissionKind::Embed, &embed_spec, terms).await?;
            id
        }
    };
    let (embedded, ()) = tokio::join!(embedded(context, run, id, report), carry_to_end(context, id));
    embedded
}

/// Looks after the embed submission `id` until its end is seen to stand: a store that was put back to an
/// older state may have forgotten it.
async fn carry_to_end(context: &Context, id: SubmissionId) {
    loop {
        submissions::look_after(context, id).await;
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
    report: &mut Report,
) -> Result<Submission, RunError> {
    let doorbell = context.doorbells.of(id);
    loop {
        let embed = context.store.submission(id).await?.ok_or(RunError::Forgotten)?;
        report.progress = match embed.state {
            State::Preparing => "reading the dataset".to_owned(),
            _ => format!("embedding {} of {} images", embed.succeeded + embed.failed, embed.items),
        };
        match embed.state {
            State::Preparing | State::Running => context.store.put_document(run, "report", report).await?,
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
async fn space(context: &Context, run: SubmissionId, report: &mut Report) -> Result<Space, RunError> {
    loop {
        if let Some(space) = spaces::in_use(&context.store).await? {
            return Ok(space);
        }
        "waiting for a worker with a model".clone_into(&mut report.progress);
        context.store.put_document(run, "report", report).await?;
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
                Some(ItemResult::Embedded { sha256, .. }) => match spec.request.target.label(&item) {
                    Ok(label) => items.push(LabelledItem::new(item, sha256, label)),
                    Err(reason) => reasons.push(reason),
                },
                Some(ItemResult::Failed(failure)) => reasons.push(failure.reason.to_string()),
                Some(ItemResult::Predicted { .. } | ItemResult::Crawled(_)) | None => {
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
) -> Result<Vec<common::embedding::Embedding>, RunError> {
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

async fn scaling(context: &Context, run: SubmissionId) -> Result<Scaling, RunError> {
    let bytes = context.store.blob(run, "scaling").await?;
    bytes
        .and_then(|bytes| Scaling::from_bytes(&bytes))
        .ok_or_else(|| RunError::Failed("its feature scaling is gone from the store".to_owned()))
}

async fn train(
    context: &Context,
    run: SubmissionId,
    spec: &RunSpec,
    setup: &Setup,
    scaling: &Scaling,
    mut report: Report,
) -> Result<(), RunError> {
    let fresh = || Machine::new(spec.request.epochs, spec.request.learning_rate);
    let mut machine: Machine = context.store.document(run, "checkpoint").await?.unwrap_or_else(fresh);
    let mut passes = Passes::new(context, run, &setup.plan);
    let mut epoch_began = Instant::now();
    let mut shown: Option<Instant> = None;
    loop {
        if shown.is_none_or(|shown| shown.elapsed() > SHOW_EVERY) {
            show(context, run, &mut report, &machine, setup).await?;
            shown = Some(Instant::now());
        }
        let work = machine.work();
        match work.phase {
            Phase::Train => machine.trained(&passes.gradient(&work).await?, &setup.plan)?,
            Phase::Valid => {
                let predictions = passes.predictions(&work).await?;
                machine.validated(&predictions, setup, epoch_began.elapsed().as_secs_f64())?;
                context.store.put_document(run, "checkpoint", &machine).await?;
                tracing::info!(%run, epoch = work.epoch, valid_mse = machine.reports().last().map(|r| r.valid_mse),
                    "epoch done");
                epoch_began = Instant::now();
            }
            Phase::Test => {
                let predictions = passes.predictions(&work).await?;
                let head = fold(run, machine.best_parameters(), scaling, setup);
                report.test = Some(machine.tested(&predictions, setup));
                report.weights_sha256 = Some(head.digest());
                artifacts::write_tested(context, run, &machine.predictions(&predictions, setup), setup)
                    .await?;
                show(context, run, &mut report, &machine, setup).await?;
                context.store.put_document(run, "head", &head).await?;
                context.store.close_submission(run, State::Succeeded, None, true).await?;
                return Ok(());
            }
        }
    }
}

async fn show(
    context: &Context,
    run: SubmissionId,
    report: &mut Report,
    machine: &Machine,
    setup: &Setup,
) -> Result<(), RunError> {
    report.progress = machine.describe(&setup.plan);
    report.fraction = machine.fraction(&setup.plan);
    report.epochs = machine.reports().to_vec();
    report.best_epoch = machine.best_epoch();
    Ok(context.store.put_document(run, "report", report).await?)
}
