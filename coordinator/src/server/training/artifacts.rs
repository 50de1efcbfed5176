//! Artifacts of a run: its samples with their split, its test predictions, its head.
//!
//! Owns the files in `runs/<id>/` of the artifacts folder, and reading them in pages. A resumed run writes the same
//! bytes again.

use common::{ids::SubmissionId, store::RunDocument, training::protocol::Head};
use dataset::{files::parts, split::Split, target::Target};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    error::RunError,
    setup::{SampleLine, Setup},
};
use crate::{
    api::{HeadView, Page, SampleView, TestPredictionView, number_or_null},
    server::{context::Context, error::RequestError, lookup, pages::PageSize},
};

/// Folder of the samples, in manifest order.
pub(super) const SAMPLES: &str = "samples";
/// Folder of the predictions on the test split, in manifest order.
const TEST_PREDICTIONS: &str = "tested";
/// Lines per part.
const PART: usize = 4096;

/// A line of `TEST_PREDICTIONS`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct TestPredictionLine {
    item: String,
    #[serde(deserialize_with = "number_or_null")]
    prediction: f64,
    label: f64,
    target: Target,
}

/// Writes `lines` as parts of the folder `name`. The last part is shorter than the others, possibly empty, which marks
/// the end for readers.
pub(super) async fn write<T: Serialize>(
    context: &Context,
    run: SubmissionId,
    name: &str,
    lines: &[T],
) -> Result<(), RunError> {
    let folder = folder(context, run, name);
    let whole = lines.chunks_exact(PART);
    let rest = whole.remainder();
    for (part, lines) in whole.chain(std::iter::once(rest)).enumerate() {
        parts::write_part(&folder, part as u32, lines)
            .await
            .map_err(|error| RunError::Failed(format!("cannot write the run's {}: {error}", title(name))))?;
    }
    Ok(())
}

/// Writes the predictions on the test split with their labels.
pub(super) async fn write_test_predictions(
    context: &Context,
    run: SubmissionId,
    predictions: &[f64],
    setup: &Setup,
) -> Result<(), RunError> {
    let unreadable =
        |error: &dyn std::fmt::Display| RunError::Failed(format!("cannot read the run's samples: {error}"));
    let mut tested = Vec::with_capacity(predictions.len());
    let mut cursor = Some("0".to_owned());
    while let Some(position) = cursor {
        let page: Page<SampleLine> =
            read(context, run, SAMPLES, Some(&position)).await.map_err(|error| unreadable(&error))?;
        let samples = page.items.into_iter().filter(|sample| sample.split == Split::Test);
        for (sample, prediction) in samples.zip(&predictions[tested.len()..]) {
            tested.push(TestPredictionLine {
                item: sample.item,
                prediction: *prediction,
                label: sample.label,
                target: setup.target,
            });
        }
        cursor = page.next;
    }
    write(context, run, TEST_PREDICTIONS, &tested).await
}

/// Returns a page of a run's samples; `NotFound` before the dataset is split.
pub(crate) async fn samples(
    context: &Context,
    run: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<SampleView>, RequestError> {
    lookup::run(context, run).await?;
    let Page { items, next } = read::<SampleLine>(context, run, SAMPLES, cursor).await?;
    Ok(Page { items: items.into_iter().map(SampleView::from).collect(), next })
}

/// Returns a page of the predictions on a run's test split; `NotFound` before the test.
pub(crate) async fn test_predictions(
    context: &Context,
    run: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<TestPredictionView>, RequestError> {
    lookup::run(context, run).await?;
    let Page { items, next } = read::<TestPredictionLine>(context, run, TEST_PREDICTIONS, cursor).await?;
    Ok(Page { items: items.into_iter().map(TestPredictionView::from).collect(), next })
}

/// Returns a run's head; `Conflict` before the run has ended.
pub(crate) async fn head(context: &Context, run: SubmissionId) -> Result<HeadView, RequestError> {
    lookup::run(context, run).await?;
    let none = || {
        RequestError::Conflict(format!(
            "run {run} has no head: it has not completed an epoch, or has not ended"
        ))
    };
    let head: Head = context.store.document(run, RunDocument::Head).await?.ok_or_else(none)?;
    let setup: Setup = context.store.document(run, RunDocument::Setup).await?.ok_or_else(none)?;
    Ok(HeadView {
        run,
        space: head.space.to_string(),
        target: setup.target,
        transform: setup.transform,
        target_mean: setup.scale.mean,
        target_std: setup.scale.std,
        weights_sha256: head.digest(),
        weight: head.weight,
        bias: head.bias,
    })
}

/// Reads a page of lines: at most a part. The cursor is the number of the first line.
async fn read<T: Serialize + DeserializeOwned>(
    context: &Context,
    run: SubmissionId,
    name: &str,
    cursor: Option<&str>,
) -> Result<Page<T>, RequestError> {
    let first: usize = lookup::cursor(cursor)?.unwrap_or(0);
    let part = u32::try_from(first / PART).map_err(|_| lookup::invalid_cursor(&first.to_string()))?;
    let lines: Vec<T> = match parts::read_part(&parts::part_url(&folder(context, run, name), part)).await {
        Ok(lines) => lines,
        Err(parts::PartError::Read(dataset::files::ReadError::Missing { .. })) => {
            return Err(RequestError::NotFound(format!("run {run} has no {} yet", title(name))));
        }
        Err(error) => {
            tracing::error!(%run, name, part, %error, "cannot read an artifact of the run");
            return Err(RequestError::Unavailable(format!("cannot read the {} of run {run}", title(name))));
        }
    };
    let (total, mut size) = (lines.len(), PageSize::default());
    let (mut items, mut next) = (Vec::new(), first);
    for line in lines.into_iter().skip(first % PART) {
        if size.is_full() {
            return Ok(Page { items, next: Some(next.to_string()) });
        }
        size.add(&line);
        items.push(line);
        next += 1;
    }
    // A shorter part is the last one.
    let following = (part as usize + 1) * PART;
    Ok(Page { items, next: (total == PART).then(|| following.to_string()) })
}

fn title(name: &str) -> &str {
    if name == TEST_PREDICTIONS { "test predictions" } else { name }
}

fn folder(context: &Context, run: SubmissionId, name: &str) -> Url {
    context.artifacts.join(&format!("runs/{run}/{name}/")).expect("the artifacts URL can be a base")
}

impl From<SampleLine> for SampleView {
    fn from(SampleLine { item, split, sha256, label }: SampleLine) -> Self {
        Self { item, split, sha256, label }
    }
}

impl From<TestPredictionLine> for TestPredictionView {
    fn from(TestPredictionLine { item, prediction, label, target }: TestPredictionLine) -> Self {
        Self { item, prediction, label, target }
    }
}
