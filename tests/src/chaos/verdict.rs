//! Checks the invariants of a system that has settled after its disturbances.
//!
//! Every item has one result or one expected failure, counters equal results, all dead letters are expected,
//! and training ends with the weights of an undisturbed run.

use std::collections::{HashMap, HashSet};

use common::{
    ids::SubmissionId,
    job::outcome::{FailureReason, ItemResult},
    store::{RunDocument, State, Submission, SubmissionKind},
};
use serde_json::Value;

use super::{
    disturb::{ExpectedEffects, embed_job},
    load::{Accepted, Load},
    system::System,
};

/// Counts of inspected objects.
#[derive(Clone, Copy, Default, Debug)]
pub struct Count {
    /// Submissions.
    pub submissions: usize,
    /// Items with a result or an expected failure.
    pub items: u64,
    /// Items without a result and accepted submissions that no longer exist.
    pub lost: u64,
    /// Results or jobs counted more than once.
    pub duplicated: u64,
    /// Runs with the weights of the undisturbed run.
    pub equal_hashes: u64,
}

/// Inspects a settled system, whose submissions are all in a terminal state. Adds violations to its tally.
pub async fn inspect(
    system: &System,
    load: &Load<'_>,
    explained: &ExpectedEffects,
    undisturbed: &str,
) -> Count {
    let mut count = Count::default();
    let submissions = system.store.submissions(None, 10_000).await.expect("Redis is available");
    let accepted: HashMap<SubmissionId, Accepted> =
        load.accepted().iter().map(|accepted| (accepted.id, *accepted)).collect();

    let present: HashSet<SubmissionId> = submissions.iter().map(|submission| submission.id).collect();
    for Accepted { id, kind, at } in accepted.values() {
        let lost_by_rollback = explained.store_rollbacks.iter().any(|(from, to)| from <= at && at <= to);
        if !present.contains(id) && !lost_by_rollback {
            count.lost += 1;
            system.record_violation(format!("accepted {kind:?} submission {id} no longer exists"));
        }
    }
    for submission in &submissions {
        count.submissions += 1;
        match submission.kind {
            SubmissionKind::Train if submission.id == load.warm() => {}
            SubmissionKind::Train => inspect_run(system, submission, undisturbed, &mut count).await,
            SubmissionKind::Embed | SubmissionKind::Predict | SubmissionKind::Crawl => {
                inspect_items(system, submission, explained, &mut count).await;
            }
        }
    }
    inspect_dead_letters(system, explained).await;
    count
}

async fn inspect_run(system: &System, run: &Submission, undisturbed: &str, count: &mut Count) {
    let id = run.id;
    if run.state != State::Succeeded {
        return system.record_violation(format!("run {id} is {}: {:?}", run.state, run.error));
    }
    let report: Option<Value> =
        system.store.document(id, RunDocument::Report).await.expect("Redis is available");
    let weights = report.as_ref().and_then(|report| report["weights_sha256"].as_str());
    if weights == Some(undisturbed) {
        count.equal_hashes += 1;
    } else {
        let skipped = report.as_ref().map(|report| report["skipped"].to_string());
        system.record_violation(format!(
            "run {id} has weights {weights:?}, expected {undisturbed} (skipped: {skipped:?})"
        ));
    }
}

async fn inspect_items(
    system: &System,
    submission: &Submission,
    explained: &ExpectedEffects,
    count: &mut Count,
) {
    let id = submission.id;
    if !matches!(submission.state, State::Succeeded | State::CompletedWithErrors) {
        return system
            .record_violation(format!("submission {id} is {}: {:?}", submission.state, submission.error));
    }
    let part_items = submission.manifest.as_ref().and_then(|manifest| manifest["part_items"].as_u64());
    let part_items = part_items.unwrap_or(1);
    let results = system.store.results(id, 0, submission.items).await.expect("Redis is available");
    let (mut succeeded, mut cached, mut failed) = (0, 0, 0);
    for (index, result) in (0..).zip(&results) {
        match result {
            None => {
                count.lost += 1;
                system.record_violation(format!("item {index} of {id} has no result"));
                continue;
            }
            Some(ItemResult::Failed(failure)) => {
                failed += 1;
                let job = u32::try_from(index / part_items).unwrap_or(u32::MAX);
                let poison = failure.reason == FailureReason::Poison;
                if !(poison && explained.poisoned.contains(&(id, job))) {
                    system.record_violation(format!("item {index} of {id} failed unexpectedly: {failure}"));
                }
            }
            Some(result) => {
                succeeded += 1;
                cached += u64::from(result.is_cached());
            }
        }
        count.items += 1;
    }
    let counted = (submission.succeeded, submission.cached, submission.failed);
    if counted != (succeeded, cached, failed) {
        count.duplicated += (submission.succeeded + submission.failed).saturating_sub(succeeded + failed);
        system.record_violation(format!(
            "submission {id} counts (succeeded, cached, failed) = {counted:?}, but its results give {:?}",
            (succeeded, cached, failed)
        ));
    }
    if submission.jobs_finished != submission.jobs {
        count.duplicated += u64::from(submission.jobs_finished.saturating_sub(submission.jobs));
        let Submission { jobs, jobs_finished, .. } = submission;
        system.record_violation(format!("submission {id} counts {jobs_finished} finished jobs of {jobs}"));
    }
}

async fn inspect_dead_letters(system: &System, explained: &ExpectedEffects) {
    let poisoned = explained.poisoned.iter().map(|(id, job)| embed_job(*id, *job).to_string());
    let (mut found, mut missing) = (0, Vec::new());
    for id in &explained.garbage {
        match system.store.dead_letter(id).await.expect("Redis is available") {
            Some(_) => found += 1,
            None => missing.push(id.as_str()),
        }
    }
    // A server that lost data may have lost dead letters.
    if !missing.is_empty() && explained.store_rollbacks.is_empty() && !explained.broker_wiped {
        system.record_violation(format!("garbage was not dead-lettered: {missing:?}"));
    }
    for id in poisoned {
        found += u64::from(system.store.dead_letter(&id).await.expect("Redis is available").is_some());
    }
    let letters = system.store.dead_letter_count().await.expect("Redis is available");
    if letters != found {
        system.record_violation(format!("{letters} dead letters, of which {found} are expected"));
    }
}
