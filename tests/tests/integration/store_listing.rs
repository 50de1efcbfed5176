//! The store's scripts of submissions whose items are still being listed, on a real Redis.

use std::time::Duration;

use common::{
    ids::{InstanceId, SubmissionId},
    job::outcome::ItemResult,
    store::{End, Finish, JobEnd, Opening, Requeue, State, Store, StoreError, Submission, SubmissionKind},
};
use serde_json::json;
use tests::cluster::eventually;

use crate::store::{embedded, failed, job, new_submission, store};

/// Creates a submission of which two jobs with two items each are listed.
async fn listing(store: &Store, retention: Duration) -> SubmissionId {
    let new = new_submission(SubmissionKind::Embed, retention);
    store.create_submission(&new).await.unwrap();
    let opening = Opening { items: 4, jobs: 2, end: End::Listing, ..Opening::default() };
    store.open_submission(new.id, &opening).await.unwrap();
    new.id
}

async fn record(store: &Store, id: SubmissionId) -> Submission {
    store.submission(id).await.unwrap().unwrap()
}

/// Finishes a job of two items.
async fn finish(store: &Store, id: SubmissionId, name: u64) -> Finish {
    let results = [(2 * name, embedded(false)), (2 * name + 1, embedded(true))];
    store.finish_job(job(id, &name.to_string()), JobEnd::Done, &results).await.unwrap()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn last_job_ends_a_submission_only_once_all_items_are_listed() {
    let store = store().await;
    let id = listing(&store, LONG).await;
    for name in [0, 1] {
        assert_eq!(finish(&store, id, name).await, Finish::Applied);
    }
    let all_finished = record(&store, id).await;
    assert_eq!((all_finished.state, all_finished.jobs_finished), (State::Running, 2));
    assert!(all_finished.is_listing && !all_finished.has_output && !all_finished.awaits_leader());
    store.end_submission(id).await.unwrap();
    assert_eq!(finish(&store, id, 2).await, Finish::Ignored("the submission no longer exists"));

    let manifest = json!({"some": "layout"});
    assert!(store.extend_submission(id, 6, 3, &manifest).await.unwrap());
    let extended = record(&store, id).await;
    assert_eq!((extended.state, extended.items, extended.jobs), (State::Running, 6, 3));
    assert_eq!(extended.manifest, Some(manifest.clone()));

    store.reject_items(id, &[(6, failed()), (7, failed())]).await.unwrap();
    store.complete_listing(id, 2, 6, 3, &manifest).await.unwrap();
    // As after a lost reply.
    store.complete_listing(id, 2, 6, 3, &manifest).await.unwrap();
    let complete = record(&store, id).await;
    assert_eq!((complete.state, complete.items, complete.failed), (State::Running, 8, 2));
    assert!(!complete.is_listing);
    assert!(!store.extend_submission(id, 9, 4, &manifest).await.unwrap(), "its jobs are known");
    assert_eq!(finish(&store, id, 2).await, Finish::Applied);
    let ended = record(&store, id).await;
    assert_eq!((ended.state, ended.items, ended.jobs), (State::CompletedWithErrors, 8, 3));
    assert_eq!((ended.succeeded, ended.cached, ended.failed), (6, 3, 2));
}

#[tokio::test]
async fn submission_ends_with_its_listing_if_its_jobs_are_finished() {
    let store = store().await;
    let id = listing(&store, Duration::from_secs(3)).await;
    for name in [0, 1] {
        finish(&store, id, name).await;
    }
    store.complete_listing(id, 0, 4, 2, &json!({})).await.unwrap();
    let ended = record(&store, id).await;
    assert_eq!((ended.state, ended.succeeded, ended.failed), (State::Succeeded, 4, 0));
    assert!(ended.finished_ms.is_some());
    eventually("record and results expire", async || {
        store.state(id).await.unwrap().is_none() && store.results(id, 0, 1).await.unwrap() == [None]
    })
    .await;
}

#[tokio::test]
async fn jobs_that_redis_has_lost_are_recorded_again() {
    let store = store().await;
    let id = listing(&store, LONG).await;
    for name in [0, 1] {
        finish(&store, id, name).await;
    }
    // A third job was recorded, and the record is older now.
    let manifest = json!({"some": "layout"});
    store.complete_listing(id, 0, 6, 3, &manifest).await.unwrap();
    let complete = record(&store, id).await;
    assert_eq!((complete.state, complete.items, complete.jobs), (State::Running, 6, 3));
    assert_eq!(complete.manifest, Some(manifest));
}

#[tokio::test]
async fn discarded_job_is_requeued_while_items_are_listed() {
    let store = store().await;
    let id = listing(&store, LONG).await;
    finish(&store, id, 1).await;
    let results: [(u64, ItemResult); 2] = [(0, embedded(false)), (1, failed())];
    store.finish_job(job(id, "0"), JobEnd::Discarded, &results).await.unwrap();
    let requeued = store.requeue_job(id, "0", 0..2).await.unwrap();
    assert_eq!(requeued, Requeue::Requeued { generation: 1, restored_items: 0 });
    store.complete_listing(id, 0, 4, 2, &json!({})).await.unwrap();
    assert_eq!(record(&store, id).await.state, State::Running, "the requeued job is unfinished");
}

#[tokio::test]
async fn closed_submission_is_neither_extended_nor_kept() {
    let store = store().await;
    let id = listing(&store, Duration::from_secs(3)).await;
    assert!(store.close_submission(id, State::Cancelled, None, false).await.unwrap());
    assert!(!store.extend_submission(id, 6, 3, &json!({})).await.unwrap());
    store.reject_items(id, &[(6, failed())]).await.unwrap();
    store.complete_listing(id, 1, 6, 3, &json!({})).await.unwrap();
    let cancelled = record(&store, id).await;
    assert_eq!((cancelled.state, cancelled.items, cancelled.failed), (State::Cancelled, 4, 0));
    eventually("the results expire, too", async || store.results(id, 6, 1).await.unwrap() == [None]).await;
}

#[tokio::test]
async fn replaced_leader_adds_no_jobs() {
    let store = store().await;
    let (first, second) = (InstanceId::random(), InstanceId::random());
    let old = store.acquire_lease(first, LONG).await.unwrap().unwrap();
    store.release_lease(first).await.unwrap();
    let new = store.acquire_lease(second, LONG).await.unwrap().unwrap();
    let (old, new) = (store.with_token(old), store.with_token(new));
    let id = listing(&new, LONG).await;
    assert!(new.take_over(id).await.unwrap());
    assert!(matches!(old.extend_submission(id, 6, 3, &json!({})).await, Err(StoreError::Replaced)));
    assert!(matches!(old.complete_listing(id, 0, 4, 2, &json!({})).await, Err(StoreError::Replaced)));
    let unchanged = record(&store, id).await;
    assert_eq!((unchanged.items, unchanged.is_listing), (4, true));
}
