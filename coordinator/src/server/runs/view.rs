//! Shows runs: one, or a page.

use common::{ids::SubmissionId, store::Submission};

use super::{
    find::{read_spec, report},
    record::{EpochRecord, RawErrors, RunReport, SkippedRecord, SplitRecord, TestRecord, TrainingSettings},
};
use crate::{
    api::{EpochReport, Page, RawReport, RunRequest, RunView, Skipped, SplitCounts, TestReport},
    server::{context::Context, error::RequestError, lookup},
};

pub(crate) async fn get(context: &Context, id: SubmissionId) -> Result<RunView, RequestError> {
    view(context, &lookup::run(context, id).await?).await
}

/// Lists runs, newest first.
pub(crate) async fn list(
    context: &Context,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<RunView>, RequestError> {
    let runs = context.store.runs(lookup::cursor(cursor)?, limit).await?;
    let next = runs.last().filter(|_| runs.len() == limit).map(|last| last.id.to_string());
    let mut items = Vec::with_capacity(runs.len());
    for submission in &runs {
        items.push(view(context, submission).await?);
    }
    Ok(Page { items, next })
}

async fn view(context: &Context, submission: &Submission) -> Result<RunView, RequestError> {
    let spec = read_spec(submission).map_err(RequestError::Unavailable)?;
    let RunReport { progress, fraction, split, skipped, epochs, best_epoch, test, weights_sha256, space } =
        report(context, submission.id).await?.unwrap_or_default();
    let end = match submission.finished_ms {
        Some(finished_ms) => finished_ms,
        None => context.store.now_ms().await?,
    };
    Ok(RunView {
        run: submission.id,
        state: submission.state,
        progress,
        fraction,
        request: spec.settings.into(),
        split: split.map(SplitCounts::from),
        skipped: skipped.into_iter().map(Skipped::from).collect(),
        epochs: epochs.into_iter().map(EpochReport::from).collect(),
        best_epoch,
        test: test.map(TestReport::from),
        weights_sha256,
        space,
        elapsed_seconds: end.saturating_sub(submission.created_ms) as f64 / 1e3,
        error: submission.error.clone(),
    })
}

impl From<TrainingSettings> for RunRequest {
    fn from(settings: TrainingSettings) -> Self {
        let TrainingSettings {
            dataset,
            target,
            transform,
            epochs,
            batch_size,
            learning_rate,
            seed,
            split_by,
            leaves,
        } = settings;
        Self { dataset, target, transform, epochs, batch_size, learning_rate, seed, split_by, leaves }
    }
}

impl From<SplitRecord> for SplitCounts {
    fn from(SplitRecord { train, valid, test }: SplitRecord) -> Self {
        Self { train, valid, test }
    }
}

impl From<SkippedRecord> for Skipped {
    fn from(SkippedRecord { reason, items }: SkippedRecord) -> Self {
        Self { reason, items }
    }
}

impl From<EpochRecord> for EpochReport {
    fn from(EpochRecord { epoch, train_mse, valid_mse, seconds }: EpochRecord) -> Self {
        Self { epoch, train_mse, valid_mse, seconds }
    }
}

impl From<TestRecord> for TestReport {
    fn from(TestRecord { mse, mae, r2, spearman, baseline_mse, raw }: TestRecord) -> Self {
        Self { mse, mae, r2, spearman, baseline_mse, raw: raw.into() }
    }
}

impl From<RawErrors> for RawReport {
    fn from(RawErrors { mse, mae, baseline_mse }: RawErrors) -> Self {
        Self { mse, mae, baseline_mse }
    }
}
