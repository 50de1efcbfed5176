//! What the leader does for a run: prepare it, then pass after pass as the state machine asks.
//!
//! Owns the order of effects, with a checkpoint after every epoch, and what an error means. Does not own
//! decisions (see [`super::machine`]). Invariant: whatever is interrupted is taken up again from the last
//! checkpoint, from the store alone, and replays to the same bits.

use std::time::{Duration, Instant};

use common::{
    ids::SubmissionId,
    store::{RunDocument, State, StoreError, Submission},
    training::protocol::{Phase, Scaling},
};

use super::{
    artifacts,
    error::RunError,
    machine::Machine,
    pass::Passes,
    prepare::prepare,
    setup::{Setup, fold},
};
use crate::server::{
    context::Context,
    runs::{self, RunReport, RunSpec},
};

/// Pause before a run goes on from its checkpoint when the store did not serve.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// How often progress within an epoch is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

/// Carries a run to its end, or until the coordinator stops. A store that does not serve for a while, or was
/// put back to an older state, only delays it: it goes on from its checkpoint. One that fails keeps the
/// checkpoint, so that it can be resumed.
pub(crate) async fn drive(context: &Context, run: SubmissionId) {
    loop {
        let error = match drive_once(context, run).await {
            Ok(()) => break tracing::info!(%run, "run succeeded"),
            Err(RunError::Stopping) => return,
            Err(RunError::Closed) => break tracing::info!(%run, "run was closed"),
            Err(error) if error.is_passing() => error.to_string(),
            Err(error) => {
                tracing::error!(%run, %error, "run failed");
                let error = error.to_string();
                match context.store.close_submission(run, State::Failed, Some(&error), true).await {
                    Ok(_) => break,
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(%run, %error, "run goes on from its checkpoint in {RETRY_PAUSE:?}");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_PAUSE) => {}
        }
    }
    if let Err(error) = settle(context, run).await {
        tracing::warn!(%run, %error, "traces of the run stay in the store");
    }
}

/// Forgets what a run that has ended for good needs no more.
async fn settle(context: &Context, run: SubmissionId) -> Result<(), StoreError> {
    match context.store.state(run).await? {
        Some(State::Succeeded | State::Cancelled) => context.store.forget_run_state(run).await?,
        // The store was put back to before the end, so the run is taken up again.
        Some(State::Preparing | State::Running) => return Ok(()),
        Some(_) | None => {}
    }
    context.store.set_inactive(run).await
}

async fn drive_once(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    if !context.store.take_over(run).await? {
        return Err(RunError::Closed);
    }
    let submission = context.store.submission(run).await?.ok_or(RunError::Closed)?;
    if submission.state.is_terminal() {
        return Err(RunError::Closed);
    }
    let spec = runs::read_spec(&submission).map_err(RunError::Failed)?;
    context.store.open_run(run).await?;
    carry_out(context, &submission, &spec).await
}

async fn carry_out(context: &Context, run: &Submission, spec: &RunSpec) -> Result<(), RunError> {
    let mut report: RunReport =
        context.store.document(run.id, RunDocument::Report).await?.unwrap_or_default();
    let setup = match context.store.document::<Setup>(run.id, RunDocument::Setup).await? {
        Some(setup) => setup,
        None => prepare(context, run, spec, &mut report).await?,
    };
    let scaling = scaling(context, run.id).await?;
    train(context, run, spec, &setup, &scaling, report).await
}

async fn scaling(context: &Context, run: SubmissionId) -> Result<Scaling, RunError> {
    let bytes = context.store.blob(run, RunDocument::Scaling).await?;
    bytes
        .and_then(|bytes| Scaling::from_bytes(&bytes))
        .ok_or_else(|| RunError::Failed("its feature scaling is gone from the store".to_owned()))
}

async fn train(
    context: &Context,
    run: &Submission,
    spec: &RunSpec,
    setup: &Setup,
    scaling: &Scaling,
    mut report: RunReport,
) -> Result<(), RunError> {
    let passes = &mut Passes::new(context, run, &setup.plan);
    let run = run.id;
    let fresh = || Machine::new(spec.settings.epochs, spec.settings.learning_rate);
    let mut machine: Machine =
        context.store.document(run, RunDocument::Checkpoint).await?.unwrap_or_else(fresh);
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
                context.store.put_document(run, RunDocument::Checkpoint, &machine).await?;
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
                context.store.put_document(run, RunDocument::Head, &head).await?;
                context.store.close_submission(run, State::Succeeded, None, true).await?;
                return Ok(());
            }
        }
    }
}

async fn show(
    context: &Context,
    run: SubmissionId,
    report: &mut RunReport,
    machine: &Machine,
    setup: &Setup,
) -> Result<(), RunError> {
    report.progress = machine.describe(&setup.plan);
    report.fraction = machine.fraction(&setup.plan);
    report.epochs = machine.reports().to_vec();
    report.best_epoch = machine.best_epoch();
    Ok(context.store.put_document(run, RunDocument::Report, report).await?)
}
