//! What must hold once a disturbed system has settled.
//!
//! Owns the judgement: every item has one result or one explained failure, counters equal results, queues
//! are empty, dead letters are explained, and training ended with the bits of an undisturbed run.

use std::collections::{HashMap, HashSet};

use common::{
    ids::SubmissionId,
    job::outcome::{FailureReason, ItemResult},
    store::{RunDocument, State, Submission, SubmissionKind},
};
use serde_json::Value;

use super::{
    disturb::{Explained, embed_job},
    load::{Accepted, Load},
    system::System,
};

/// What was found.
#[derive(Clone, Copy, Default, Debug)]
pub struct Count {
    /// Submissions inspected.
    pub submissions: usize,
    /// Items with a result or an explained failure.
    pub items: u64,
    /// Items without a result, and accepted submissions that are gone.
    pub lost: u64,
    /// Results or jobs counted more than once.
    pub doubled: u64,
    /// Runs whose weights are those of the undisturbed run.
    pub equal_hashes: u64,
}

/// Inspects a system in which every submission has reached its end. Violations are noted in its tally.
///
/// # Panics
/// When Redis does not answer.
pub async fn inspect(system: &System, load: &Load<'_>, explained: &Explained, undisturbed: &str) -> Count {
    let mut count = Count::default();
    let submissions = system.store.submissions(None, 10_000).await.expect("Redis answers");
    let accepted: HashMap<SubmissionId, Accepted> =
        load.accepted().iter().map(|accepted| (accepted.id, *accepted)).collect();

    let present: HashSet<SubmissionId> = submissions.iter().map(|submission| submission.id).collect();
    for Accepted { id, kind, at } in accepted.values() {
        let forgotten = explained.forgotten.iter().any(|(from, to)| from <= at && at <= to);
        if !present.contains(id) && !forgotten {
            count.lost += 1;
            system.violated(format!("the accepted {kind:?} submission {id} is gone"));
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
        return system.violated(format!("run {id} is {}: {:?}", run.state, run.error));
    }
    let report: Option<Value> = system.store.document(id, RunDocument::Report).await.expect("Redis answers");
    let weights = report.as_ref().and_then(|report| report["weights_sha256"].as_str());
    if weights == Some(undisturbed) {
        count.equal_hashes += 1;
    } else {
        let skipped = report.as_ref().map(|report| report["skipped"].to_string());
        system.violated(format!("run {id} has the weights {weights:?}, not {undisturbed} ({skipped:?})"));
    }
}

async fn inspect_items(system: &System, submission: &Submission, explained: &Explained, count: &mut Count) {
    let id = submission.id;
    if !matches!(submission.state, State::Succeeded | State::CompletedWithErrors) {
        return system.violated(format!("submission {id} is {}: {:?}", submission.state, submission.error));
    }
    let part_items = submission.manifest.as_ref().and_then(|manifest| manifest["part_items"].as_u64());
    let part_items = part_items.unwrap_or(1);
    let results = system.store.results(id, 0, submission.items).await.expect("Redis answers");
    let (mut succeeded, mut cached, mut failed) = (0, 0, 0);
    for (index, result) in (0..).zip(&results) {
        match result {
            None => {
                count.lost += 1;
                system.violated(format!("item {index} of {id} has no result"));
                continue;
            }
            Some(ItemResult::Failed(failure)) => {
                failed += 1;
                let job = u32::try_from(index / part_items).unwrap_or(u32::MAX);
                let poison = failure.reason == FailureReason::Poison;
                if !(poison && explained.poisoned.contains(&(id, job))) {
                    system.violated(format!("item {index} of {id} failed without cause: {failure}"));
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
        count.doubled += (submission.succeeded + submission.failed).saturating_sub(succeeded + failed);
        system.violated(format!(
            "submission {id} counts (succeeded, cached, failed) {counted:?}, its results say {:?}",
            (succeeded, cached, failed)
        ));
    }
    if submission.jobs_finished != submission.jobs {
        count.doubled += u64::from(submission.jobs_finished.saturating_sub(submission.jobs));
        let Submission { jobs, jobs_finished, .. } = submission;
        system.violated(format!("submission {id} counts {jobs_finished} finished jobs of {jobs}"));
    }
}

async fn inspect_dead_letters(system: &System, explained: &Explained) {
    let poisoned = explained.poisoned.iter().map(|(id, job)| embed_job(*id, *job).to_string());
    let (mut found, mut missing) = (0, Vec::new());
    for id in &explained.litter {
        match system.store.dead_letter(id).await.expect("Redis answers") {
            Some(_) => found += 1,
            None => missing.push(id.as_str()),
        }
    }
    // Where a server forgot, what was handed over to it may be forgotten with it.
    if !missing.is_empty() && explained.forgotten.is_empty() && !explained.wiped {
        system.violated(format!("garbage is not among the dead letters: {missing:?}"));
    }
    for id in poisoned {
        found += u64::from(system.store.dead_letter(&id).await.expect("Redis answers").is_some());
    }
    let letters = system.store.dead_letter_count().await.expect("Redis answers");
    if letters != found {
        system.violated(format!("{letters} dead letters, of which {found} are explained"));
    }
}
