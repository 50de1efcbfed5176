//! Shows runs: one, or a page.

use common::{ids::SubmissionId, store::Submission};

use super::{
    find::{read_spec, report},
    notes::notes,
    record::{
        EpochRecord, GroupingRecord, RawErrors, RunReport, RunSpec, SkippedRecord, SplitRecord, TestRecord,
        TrainingSettings,
    },
};
use crate::{
    api::{EpochReport, Grouping, Page, RawReport, RunRequest, RunView, Skipped, SplitCounts, TestReport},
    remaining_time,
    server::{context::Context, error::RequestError, lookup, pages::PageSize},
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
    // One more tells whether another page follows.
    let mut runs = context.store.runs(lookup::cursor(cursor)?, limit + 1).await?;
    let has_next = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| has_next).map(|last| last.id.to_string());
    let (mut items, mut size) = (Vec::with_capacity(runs.len()), PageSize::default());
    for submission in &runs {
        if size.is_full() {
            return Ok(Page { next: items.last().map(|run: &RunView| run.run.to_string()), items });
        }
        let view = view(context, submission).await?;
        size.add(&view);
        items.push(view);
    }
    Ok(Page { items, next })
}

async fn view(context: &Context, submission: &Submission) -> Result<RunView, RequestError> {
    let spec = read_spec(submission).map_err(RequestError::Unavailable)?;
    let report = report(context, submission.id).await?.unwrap_or_default();
    let notes = notes(&report);
    let RunReport {
        progress,
        fraction,
        remaining_seconds,
        split,
        grouping,
        skipped,
        epochs,
        best_epoch,
        test,
        weights_sha256,
        space,
        features_sha256,
        random_weights,
    } = report;
    let remaining_seconds = remaining_seconds.filter(|_| !submission.state.is_terminal());
    let end = match submission.finished_ms {
        Some(finished_ms) => finished_ms,
        None => context.store.now_ms().await?,
    };
    Ok(RunView {
        run: submission.id,
        state: submission.state,
        progress: progress + &remaining_seconds.map(remaining_text).unwrap_or_default(),
        fraction,
        remaining_seconds,
        created_ms: submission.created_ms,
        request: spec.into(),
        split: split.map(SplitCounts::from),
        grouping: grouping.map(Grouping::from),
        skipped: skipped.into_iter().map(Skipped::from).collect(),
        epochs: epochs.into_iter().map(EpochReport::from).collect(),
        best_epoch,
        ratio: test.as_ref().and_then(TestRecord::ratio),
        test: test.map(TestReport::from),
        notes,
        chosen: None,
        weights_sha256,
        space,
        features_sha256,
        random_weights,
        elapsed_seconds: end.saturating_sub(submission.created_ms) as f64 / 1e3,
        error: submission.error.clone(),
    })
}

/// The end of a progress text: the remaining time, rounded.
fn remaining_text(seconds: f64) -> String {
    format!("; about {} left", remaining_time::rounded(seconds))
}

impl From<RunSpec> for RunRequest {
    fn from(spec: RunSpec) -> Self {
        let RunSpec { dataset: _, settings, name, tags, space, uniform_hardware } = spec;
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
        Self {
            dataset,
            target,
            transform,
            epochs,
            batch_size,
            learning_rate,
            seed,
            split_by,
            space: space.map(|space| space.to_string()),
            uniform_hardware,
            leaves,
            name,
            tags,
        }
    }
}

impl From<GroupingRecord> for Grouping {
    fn from(record: GroupingRecord) -> Self {
        let GroupingRecord {
            split_by,
            fallback: _,
            groups,
            channels,
            divided_channels,
            images,
            divided_images,
        } = record;
        Self { split_by, groups, channels, divided_channels, images, divided_images }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_is_rounded() {
        let texts = [0.2, 59.0, 59.9, 200.0, 3599.0, 5400.0].map(remaining_text);
        let times = ["1 s", "59 s", "1 min", "3 min", "1.0 h", "1.5 h"];
        assert_eq!(texts, times.map(|time| format!("; about {time} left")));
    }
}
