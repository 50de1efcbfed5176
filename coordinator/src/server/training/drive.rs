//! The leader's task for a run: prepares it, then performs the passes that the state machine requests.
//!
//! Owns the effects, with a checkpoint after every epoch, and the reaction to errors. Decisions are made by
//! [`super::machine`]. Invariant: an interrupted run continues from its last checkpoint, using the store alone, and
//! computes the same bits.

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

/// Delay before a run continues from its checkpoint after a transient error.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// Interval of progress reports within an epoch.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Drives a run to its end, or until the coordinator stops. If Redis is unavailable or restored from an older state,
/// the run continues from its checkpoint. A failed or cancelled run keeps its checkpoint, so that it can be resumed.
pub(crate) async fn drive(context: &Context, run: SubmissionId) {
    loop {
        let error = match drive_once(context, run).await {
            Ok(()) => break tracing::info!(%run, "run succeeded"),
            Err(RunError::Stopping) => return,
            Err(RunError::Closed) => break tracing::info!(%run, "run was closed"),
            Err(error) if error.is_transient() => error.to_string(),
            Err(error) => {
                let error = error.to_string();
                match context.store.close_submission(run, State::Failed, Some(&error), true).await {
                    Ok(true) => break tracing::error!(%run, error, "run failed"),
                    // Closing a run also stops its other work, whose errors are its consequence.
                    Ok(false) => break tracing::info!(%run, error, "run was closed"),
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(%run, %error, "run continues from its checkpoint in {RETRY_DELAY:?}");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
    if let Err(error) = keep_best_epoch(context, run).await {
        // The run stays active, so the leader tries again.
        tracing::warn!(%run, %error, "cannot keep the best epoch of the ended run");
        return;
    }
    if let Err(error) = clean_up(context, run).await {
        tracing::warn!(%run, %error, "cannot delete the working data of the ended run");
    }
}

/// Gives a run that ended early the head of its best epoch so far, without test metrics.
async fn keep_best_epoch(context: &Context, run: SubmissionId) -> Result<(), RunError> {
    if !matches!(context.store.state(run).await?, Some(State::Cancelled | State::Failed)) {
        return Ok(());
    }
    let store = &context.store;
    let machine: Option<Machine> = store.document(run, RunDocument::Checkpoint).await?;
    let Some(machine) = machine.filter(|machine| machine.best_epoch().is_some()) else { return Ok(()) };
    let Some(setup) = store.document::<Setup>(run, RunDocument::Setup).await? else { return Ok(()) };
    let head = fold(run, machine.best_parameters(), &scaling(context, run).await?, &setup);
    let mut report: RunReport = store.document(run, RunDocument::Report).await?.unwrap_or_default();
    report.weights_sha256 = Some(head.digest());
    report.epochs = machine.reports().to_vec();
    report.best_epoch = machine.best_epoch();
    report.remaining_seconds = None;
    store.put_document(run, RunDocument::Head, &head).await?;
    Ok(store.put_document(run, RunDocument::Report, &report).await?)
}

/// Deletes the working data of a run that cannot be resumed, and sets the run inactive.
async fn clean_up(context: &Context, run: SubmissionId) -> Result<(), StoreError> {
    match context.store.state(run).await? {
        Some(State::Succeeded) => context.store.delete_run_state(run).await?,
        // The store was restored from a state before the end: the leader starts the run's task again.
        Some(State::Preparing | State::Running) => return Ok(()),
        // It can be resumed until it expires. If it stayed, runs that never trained would fill Redis.
        Some(_) if context.store.blob(run, RunDocument::Head).await?.is_none() => {
            context.store.expire_run(run).await?;
        }
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
    // A coordinator of an earlier version may have reopened it, which does not end its expiry.
    context.store.keep_run(run).await?;
    let spec = runs::read_spec(&submission).map_err(RunError::Failed)?;
    context.store.open_run(run).await?;
    advance(context, &submission, &spec).await
}

async fn advance(context: &Context, run: &Submission, spec: &RunSpec) -> Result<(), RunError> {
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
        .ok_or_else(|| RunError::Failed("the run's feature scaling is missing from the store".to_owned()))
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
    let new = || Machine::new(spec.settings.epochs, spec.settings.learning_rate);
    let mut machine: Machine =
        context.store.document(run, RunDocument::Checkpoint).await?.unwrap_or_else(new);
    let mut epoch_started = Instant::now();
    let mut reported: Option<Instant> = None;
    loop {
        if reported.is_none_or(|reported| reported.elapsed() > REPORT_INTERVAL) {
            write_report(context, run, &mut report, &machine, setup).await?;
            reported = Some(Instant::now());
        }
        let work = machine.work();
        match work.phase {
            Phase::Train => machine.trained(&passes.gradient(&work).await?, &setup.plan)?,
            Phase::Valid => {
                let predictions = passes.predictions(&work).await?;
                machine.validated(&predictions, setup, epoch_started.elapsed().as_secs_f64())?;
                context.store.put_document(run, RunDocument::Checkpoint, &machine).await?;
                let valid_mse = machine.reports().last().map(|report| report.valid_mse);
                tracing::info!(%run, epoch = work.epoch, valid_mse, "epoch done");
                epoch_started = Instant::now();
            }
            Phase::Test => {
                let predictions = passes.predictions(&work).await?;
                let head = fold(run, machine.best_parameters(), scaling, setup);
                report.test = Some(machine.test_record(&predictions, setup));
                report.weights_sha256 = Some(head.digest());
                artifacts::write_test_predictions(
                    context,
                    run,
                    &machine.predictions(&predictions, setup),
                    setup,
                )
                .await?;
                write_report(context, run, &mut report, &machine, setup).await?;
                context.store.put_document(run, RunDocument::Head, &head).await?;
                context.store.close_submission(run, State::Succeeded, None, true).await?;
                return Ok(());
            }
        }
    }
}

async fn write_report(
    context: &Context,
    run: SubmissionId,
    report: &mut RunReport,
    machine: &Machine,
    setup: &Setup,
) -> Result<(), RunError> {
    report.progress = machine.describe(&setup.plan);
    report.fraction = machine.fraction(&setup.plan);
    report.remaining_seconds = machine.remaining_seconds(&setup.plan);
    report.epochs = machine.reports().to_vec();
    report.best_epoch = machine.best_epoch();
    Ok(context.store.put_document(run, RunDocument::Report, report).await?)
}
