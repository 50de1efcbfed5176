//! The leader's task for a submission: prepares, publishes and watches it, from any state to its end.
//!
//! Owns the order of the steps and the reaction to errors. Invariant: an interrupted submission continues from the
//! state in the store; every step is idempotent.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    store::{State, StoreError, Submission, SubmissionKind},
};
use tokio::sync::watch;

use super::{
    SubmissionError, crawled_rows,
    listing::{self, Listing},
    output, prepare, publish, rescue,
    spec::without_lists,
};
use crate::server::context::Context;

/// Delay before a submission is tried again when the store was unavailable.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Drives a submission to its end, or until the coordinator stops.
pub(crate) async fn drive(context: &Context, id: SubmissionId) {
    loop {
        let error = match advance(context, id).await {
            Ok(()) => break,
            Err(SubmissionError::Stopping) => return,
            Err(SubmissionError::Store(error)) => error.to_string(),
            Err(SubmissionError::Failed(error)) => {
                tracing::warn!(submission = %id, %error, "submission failed");
                match context.store.close_submission(id, State::Failed, Some(&error), false).await {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(StoreError::Replaced) => return,
                    Err(error) => error.to_string(),
                }
            }
        };
        tracing::warn!(submission = %id, %error, "submission continues in {RETRY_DELAY:?}");
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_DELAY) => {}
        }
    }
    if let Err(error) = context.store.set_inactive(id).await {
        tracing::warn!(submission = %id, %error, "cannot set the ended submission inactive");
    }
}

/// Publishes the jobs in turns with other submissions, and watches them meanwhile and until the end. Lists the rest of the
/// dataset at the same time.
async fn publish_and_watch(
    context: &Context,
    submission: &Submission,
    listing: Option<Listing>,
) -> Result<(), SubmissionError> {
    let (cursor, published) = watch::channel(submission.jobs_published);
    let (progress, listed) = watch::channel(submission.is_listing);
    let list = async {
        match submission.is_listing {
            true => listing::list(context, submission, listing, &progress).await,
            false => Ok(()),
        }
    };
    tokio::select! {
        watched = rescue::watch(context, submission.id, published, listed.clone()) => watched,
        Err(error) = publish::publish(context, submission, &cursor, listed) => Err(error),
        Err(error) = list => Err(error),
    }
}

/// Performs the step of the submission's state until it has ended.
async fn advance(context: &Context, id: SubmissionId) -> Result<(), SubmissionError> {
    if !context.store.take_over(id).await? {
        return Ok(());
    }
    let mut listing = None;
    // States can also go backwards, when the store is restored from an older state.
    loop {
        let Some(submission) = context.store.submission(id).await? else { return Ok(()) };
        if submission.state != State::Preparing
            && let Some(spec) = without_lists(&submission.spec)
        {
            context.store.replace_spec(id, &spec).await?;
        }
        match submission.state {
            State::Preparing => listing = prepare::prepare(context, &submission).await?,
            State::Running if submission.awaits_leader() => match submission.kind {
                SubmissionKind::Crawl => crawled_rows::finish(context, &submission).await?,
                _ => output::finish(context, &submission).await?,
            },
            State::Running => publish_and_watch(context, &submission, listing.take()).await?,
            State::Cancelled | State::Failed if submission.kind == SubmissionKind::Crawl => {
                crawled_rows::keep(context, &submission).await?;
                return Ok(());
            }
            _ if submission.has_output => {
                output::settle(context, &submission).await?;
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
}
