//! What a run leaves for people: its samples with their split, its test predictions, its head.
//!
//! Owns the files below `runs/<id>/` in the artifacts folder and how they are read back in pages. A run
//! that is resumed writes the same again.

use common::{ids::SubmissionId, store::RunDocument, training::protocol::Head};
use dataset::{files::parts, split::Side, target::Target};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::{
    error::RunError,
    setup::{SampleLine, Setup},
};
use crate::{
    api::{HeadView, Page, SampleView, TestedView},
    server::{context::Context, error::RequestError, lookup},
};

/// Folder of the samples, in manifest order.
pub(super) const SAMPLES: &str = "samples";
/// Folder of the predictions on the test split, in manifest order.
const TESTED: &str = "tested";
/// Lines in a part.
const PART: usize = 4096;

/// A prediction on the test split, a line each.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct TestedLine {
    item: String,
    prediction: f64,
    label: f64,
    target: Target,
}

/// Writes `lines` as the parts of `what`; the last one is shorter than the others.
pub(super) async fn write<T: Serialize>(
    context: &Context,
    run: SubmissionId,
    what: &str,
    lines: &[T],
) -> Result<(), RunError> {
    let folder = folder(context, run, what);
    let whole = lines.chunks_exact(PART);
    let rest = whole.remainder();
    for (part, lines) in whole.chain(std::iter::once(rest)).enumerate() {
        parts::write_part(&folder, part as u32, lines)
            .await
            .map_err(|error| RunError::Failed(format!("what the run leaves cannot be written: {error}")))?;
    }
    Ok(())
}

/// Writes the predictions on the test split beside their samples.
pub(super) async fn write_tested(
    context: &Context,
    run: SubmissionId,
    predictions: &[f64],
    setup: &Setup,
) -> Result<(), RunError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        RunError::Failed(format!("the run's samples cannot be read: {error}"))
    };
    let mut tested = Vec::with_capacity(predictions.len());
    let mut cursor = Some("0".to_owned());
    while let Some(at) = cursor {
        let page: Page<SampleLine> =
            read(context, run, SAMPLES, Some(&at)).await.map_err(|error| unreadable(&error))?;
        let samples = page.items.into_iter().filter(|sample| sample.split == Side::Test);
        for (sample, prediction) in samples.zip(&predictions[tested.len()..]) {
            tested.push(TestedLine {
                item: sample.item,
                prediction: *prediction,
                label: sample.label,
                target: setup.target,
            });
        }
        cursor = page.next;
    }
    write(context, run, TESTED, &tested).await
}

/// Returns a page of a run's samples.
///
/// # Errors
/// When there is no such run, it has none yet, or they cannot be read.
pub(crate) async fn samples(
    context: &Context,
    run: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<SampleView>, RequestError> {
    lookup::run(context, run).await?;
    let Page { items, next } = read::<SampleLine>(context, run, SAMPLES, cursor).await?;
    Ok(Page { items: items.into_iter().map(SampleView::from).collect(), next })
}

/// Returns a page of the predictions on a run's test split.
///
/// # Errors
/// When there is no such run, it has none yet, or they cannot be read.
pub(crate) async fn tested(
    context: &Context,
    run: SubmissionId,
    cursor: Option<&str>,
) -> Result<Page<TestedView>, RequestError> {
    lookup::run(context, run).await?;
    let Page { items, next } = read::<TestedLine>(context, run, TESTED, cursor).await?;
    Ok(Page { items: items.into_iter().map(TestedView::from).collect(), next })
}

/// Returns a run's head.
///
/// # Errors
/// When there is no such run, it has none yet, or the store does not serve.
pub(crate) async fn head(context: &Context, run: SubmissionId) -> Result<HeadView, RequestError> {
    lookup::run(context, run).await?;
    let none = || RequestError::Conflict(format!("run {run} has no head yet"));
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

async fn read<T: DeserializeOwned>(
    context: &Context,
    run: SubmissionId,
    what: &str,
    cursor: Option<&str>,
) -> Result<Page<T>, RequestError> {
    let part: u32 = lookup::cursor(cursor)?.unwrap_or(0);
    let items: Vec<T> = match parts::read_part(&parts::part_url(&folder(context, run, what), part)).await {
        Ok(items) => items,
        Err(parts::PartError::Read(dataset::files::ReadError::Missing { .. })) => {
            return Err(RequestError::NotFound(format!("run {run} has no {what} yet")));
        }
        Err(error) => {
            tracing::error!(%run, what, part, %error, "an artifact cannot be read");
            return Err(RequestError::Unavailable(format!("the {what} of run {run} cannot be read")));
        }
    };
    let next = (items.len() == PART).then(|| (part + 1).to_string());
    Ok(Page { items, next })
}

fn folder(context: &Context, run: SubmissionId, what: &str) -> Url {
    context.artifacts.join(&format!("runs/{run}/{what}/")).expect("the artifacts folder takes a path")
}

impl From<SampleLine> for SampleView {
    fn from(SampleLine { item, split, sha256, label }: SampleLine) -> Self {
        Self { item, split, sha256, label }
    }
}

impl From<TestedLine> for TestedView {
    fn from(TestedLine { item, prediction, label, target }: TestedLine) -> Self {
        Self { item, prediction, label, target }
    }
}
