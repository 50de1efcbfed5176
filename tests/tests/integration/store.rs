//! The store's scripts on a real Redis: effects are applied once, and crashes are attributed to the right job.

use std::time::Duration;

use common::{
    digest::Digest,
    ids::{InstanceId, SubmissionId},
    job::{
        discard::DiscardReason,
        outcome::{FailureReason, ItemFailure, ItemResult},
    },
    store::{
        Claim, DeadLetter, DeadLetterCursor, Finish, Heartbeat, Holder, Isolation, JobEnd, JobRef, JobState,
        NewSubmission, NodeFinish, Opening, Parameters, Requeue, RunDocument, Start, State, Store,
        StoreConfig, StoreError, SubmissionKind,
    },
    training::tree::Node,
};
use tests::{cluster::eventually, environment::Servers};

const RETRY_DELAY: Duration = Duration::from_secs(5);

pub(crate) async fn store() -> Store {
    let url = Servers::from_environment().redis_url.as_str().into();
    let key_prefix = format!("store-{}:", SubmissionId::now());
    Store::connect(&StoreConfig { url, ca_certificates: None, key_prefix }).await.expect("Redis is available")
}

pub(crate) fn new_submission(kind: SubmissionKind, retention: Duration) -> NewSubmission {
    NewSubmission {
        id: SubmissionId::now(),
        kind,
        spec: serde_json::json!({}),
        parent: None,
        retention,
        deadline: None,
        traceparent: None,
        submitted_by: None,
    }
}

/// Creates an opened submission of `jobs` jobs with two items each.
async fn submission(store: &Store, kind: SubmissionKind, jobs: u32) -> SubmissionId {
    let new = new_submission(kind, Duration::from_secs(60));
    store.create_submission(&new).await.unwrap();
    let opening = Opening { items: u64::from(jobs) * 2, jobs, ..Opening::default() };
    store.open_submission(new.id, &opening).await.unwrap();
    new.id
}

/// Creates a run that is kept for 3 s after it has ended, and cancels it.
async fn cancelled_run(store: &Store) -> SubmissionId {
    let new = new_submission(SubmissionKind::Train, Duration::from_secs(3));
    store.create_submission(&new).await.unwrap();
    store.close_submission(new.id, State::Cancelled, None, true).await.unwrap();
    new.id
}

/// Returns job `name` of a submission, in generation 0.
pub(crate) fn job(submission: SubmissionId, name: &str) -> JobRef<'_> {
    JobRef { submission, name, generation: 0 }
}

fn holder(instance: InstanceId) -> Holder<'static> {
    Holder { instance, worker: "here:1" }
}

pub(crate) fn embedded(cached: bool) -> ItemResult {
    ItemResult::Embedded { sha256: Digest::of(b"image"), cached }
}

pub(crate) fn failed() -> ItemResult {
    ItemResult::Failed(ItemFailure::new(FailureReason::Missing, "gone"))
}

#[tokio::test]
async fn outcome_is_applied_once_and_the_last_one_closes_the_submission() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let finish = |name: &'static str, results: Vec<(u64, ItemResult)>| {
        let store = store.clone();
        async move { store.finish_job(job(id, name), JobEnd::Done, &results).await.unwrap() }
    };
    assert_eq!(finish("0", vec![(0, embedded(false)), (1, embedded(true))]).await, Finish::Applied);
    assert_eq!(
        finish("0", vec![(0, failed()), (1, failed())]).await,
        Finish::Ignored("the job has already finished")
    );
    assert_eq!(store.state(id).await.unwrap(), Some(State::Running));
    assert_eq!(finish("1", vec![(2, failed()), (3, embedded(false))]).await, Finish::Applied);

    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!(record.state, State::CompletedWithErrors);
    assert_eq!((record.succeeded, record.cached, record.failed), (3, 1, 1));
    assert!(record.finished_ms.is_some());
    let results = store.results(id, 0, 4).await.unwrap();
    assert_eq!(results[0], Some(embedded(false)));
    assert_eq!(finish("1", vec![(2, failed())]).await, Finish::Ignored("the submission is closed"));
}

#[tokio::test]
async fn item_resolved_by_an_earlier_attempt_is_not_counted_again() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    store
        .finish_job(job(id, "0"), JobEnd::Done, &[(0, embedded(false)), (1, embedded(false))])
        .await
        .unwrap();
    // Job 1 reports item 1 as well: the first result is kept.
    store.finish_job(job(id, "1"), JobEnd::Done, &[(1, failed()), (2, embedded(false))]).await.unwrap();
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.succeeded, record.failed), (3, 0));
}

#[tokio::test]
async fn job_of_a_deleted_submission_has_no_effect() {
    let store = store().await;
    let id = SubmissionId::now();
    let gone = "the submission no longer exists";
    assert_eq!(
        store
            .start_job(job(id, "0"), holder(InstanceId::random()), false, Isolation::Shared, None)
            .await
            .unwrap(),
        Start::Skip(gone)
    );
    let finish = store.finish_job(job(id, "0"), JobEnd::Done, &[(0, embedded(false))]).await.unwrap();
    assert_eq!(finish, Finish::Ignored(gone));
    assert!(store.submission(id).await.unwrap().is_none(), "the submission must not be recreated");
}

#[tokio::test]
async fn only_exclusive_crashes_make_a_job_poison() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let start = |redelivered, isolation| {
        let store = store.clone();
        async move {
            store
                .start_job(job(id, "0"), holder(InstanceId::random()), redelivered, isolation, None)
                .await
                .unwrap()
        }
    };
    let (shared, exclusive) = (Isolation::Shared, Isolation::Exclusive);
    assert_eq!(start(false, shared).await, Start::Run);
    // A duplicate publish is not a crash.
    assert_eq!(start(false, shared).await, Start::Run);
    for crashes in 1..=3 {
        // Crashes before the job runs exclusively do not count against it.
        for _ in 0..5 {
            assert_eq!(start(true, shared).await, Start::RunExclusive { crashes });
        }
        assert_eq!(start(false, exclusive).await, Start::Run);
    }
    assert_eq!(start(true, shared).await, Start::Poison { crashes: 4 });
    assert_eq!(
        start(true, shared).await,
        Start::Poison { crashes: 4 },
        "the job stays poison until its end is recorded"
    );
    store.finish_job(job(id, "0"), JobEnd::Discarded, &[(0, failed()), (1, failed())]).await.unwrap();
    assert_eq!(start(true, shared).await, Start::Skip("the job has already finished"));
}

#[tokio::test]
async fn released_job_counts_no_crash() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 1).await;
    for _ in 0..6 {
        let instance = InstanceId::random();
        assert_eq!(
            store.start_job(job(id, "0"), holder(instance), true, Isolation::Shared, None).await.unwrap(),
            Start::Run
        );
        store.release_job(job(id, "0"), instance).await.unwrap();
    }
}

#[tokio::test]
async fn results_for_an_older_version_are_ignored_and_differing_ones_conflict() {
    let store = store().await;
    let run = submission(&store, SubmissionKind::Train, 0).await;
    let put = |version| {
        let store = store.clone();
        async move { store.put_parameters(run, &Parameters { version, bytes: vec![1, 2, 3, 4] }).await.unwrap() }
    };
    put(1).await;
    let node = Node::root(4);
    let answer = |version, bytes: &'static [u8]| {
        let store = store.clone();
        async move { store.finish_node(run, "job", version, node, bytes).await.unwrap() }
    };
    assert_eq!(answer(1, b"sum").await, NodeFinish::Applied);
    assert_eq!(answer(1, b"sum").await, NodeFinish::Ignored("the job has already finished"));
    assert_eq!(answer(1, b"mus").await, NodeFinish::Conflict);
    assert_eq!(store.nodes(run, 1, &[node]).await.unwrap().unwrap()[&node], b"sum");
    assert_eq!(store.nodes(run, 2, &[node]).await.unwrap(), None, "results are stored per version");
    put(2).await;
    assert_eq!(
        answer(1, b"sum").await,
        NodeFinish::Ignored("the generation or parameter version is not the current one")
    );
    assert!(store.nodes(run, 2, &[node]).await.unwrap().unwrap().is_empty());
    assert_eq!(store.parameters(run).await.unwrap().unwrap().version, 2);
}

#[tokio::test]
async fn submissions_are_listed_newest_first_in_pages() {
    let store = store().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(submission(&store, SubmissionKind::Embed, 1).await);
    }
    ids.reverse();
    let page = |before| {
        let store = store.clone();
        async move { store.submissions(before, 2).await.unwrap().iter().map(|s| s.id).collect::<Vec<_>>() }
    };
    assert_eq!(page(None).await, ids[..2]);
    assert_eq!(page(Some(ids[1])).await, ids[2..4]);
    assert_eq!(page(Some(ids[3])).await, ids[4..]);
    assert!(page(Some(ids[4])).await.is_empty());
}

#[tokio::test]
async fn failed_attempt_keeps_resolved_items_and_its_error() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 1).await;
    let instance = InstanceId::random();
    store.start_job(job(id, "0"), holder(instance), false, Isolation::Shared, None).await.unwrap();
    let fail_attempt = |error: &'static str, results: Vec<(u64, ItemResult)>| {
        let store = store.clone();
        async move {
            store
                .record_failed_attempt(job(id, "0"), holder(instance), error, RETRY_DELAY, &results)
                .await
                .unwrap()
        }
    };
    assert_eq!(fail_attempt("the disk is slow", vec![(1, embedded(false))]).await, Finish::Applied);
    assert_eq!(fail_attempt("the disk is slow", vec![(1, embedded(false))]).await, Finish::Applied);
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.succeeded, record.jobs_finished), (State::Running, 1, 0));
    let mark = store.job_status(id, "0").await.unwrap().unwrap();
    assert_eq!((mark.state, mark.history.len()), (JobState::Retryable, 2));
    assert_eq!(mark.history[0].error, "the disk is slow");
    assert_eq!(mark.history[0].worker.as_deref(), Some("here:1"));
    assert_eq!(
        store
            .start_job(job(id, "0"), holder(InstanceId::random()), true, Isolation::Shared, None)
            .await
            .unwrap(),
        Start::Run,
        "a failed attempt is not a crash"
    );
    for _ in 0..40 {
        fail_attempt("again", Vec::new()).await;
    }
    assert_eq!(store.job_status(id, "0").await.unwrap().unwrap().history.len(), 20, "history is bounded");
    store.finish_job(job(id, "0"), JobEnd::Done, &[(0, failed()), (1, failed())]).await.unwrap();
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.succeeded, record.failed), (State::CompletedWithErrors, 1, 1));
    assert_eq!(fail_attempt("late", Vec::new()).await, Finish::Ignored("the submission is closed"));
}

#[tokio::test]
async fn requeued_job_restores_discarded_items_and_supersedes_its_old_generation() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let unresolved = |reason| ItemResult::Failed(ItemFailure::new(reason, "the job was discarded"));
    store
        .finish_job(job(id, "1"), JobEnd::Done, &[(2, embedded(false)), (3, embedded(false))])
        .await
        .unwrap();
    // Item 0 failed before the job was discarded; item 1 was never resolved.
    let instance = InstanceId::random();
    store.start_job(job(id, "0"), holder(instance), false, Isolation::Shared, None).await.unwrap();
    store
        .record_failed_attempt(job(id, "0"), holder(instance), "later", RETRY_DELAY, &[(0, failed())])
        .await
        .unwrap();
    let discarded = unresolved(FailureReason::Discarded);
    store
        .finish_job(job(id, "0"), JobEnd::Discarded, &[(0, discarded.clone()), (1, discarded)])
        .await
        .unwrap();
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.succeeded, record.failed), (State::CompletedWithErrors, 2, 2));

    let requeue = || async { store.requeue_job(id, "0", 0..2).await.unwrap() };
    assert_eq!(requeue().await, Requeue::Requeued { generation: 1, restored_items: 1 });
    assert_eq!(requeue().await, Requeue::NotDiscarded { generation: 1 });
    assert_eq!(store.requeue_job(id, "1", 2..4).await.unwrap(), Requeue::NotDiscarded { generation: 0 });
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.failed, record.jobs_finished), (State::Running, 1, 1));
    assert_eq!(record.finished_ms, None);

    let stale = "the generation or parameter version is not the current one";
    assert_eq!(
        store.start_job(job(id, "0"), holder(instance), true, Isolation::Shared, None).await.unwrap(),
        Start::Skip(stale)
    );
    assert_eq!(
        store.finish_job(job(id, "0"), JobEnd::Done, &[(1, failed())]).await.unwrap(),
        Finish::Ignored(stale)
    );
    let again = JobRef { generation: 1, ..job(id, "0") };
    assert_eq!(
        store.start_job(again, holder(instance), true, Isolation::Shared, None).await.unwrap(),
        Start::Run
    );
    store.finish_job(again, JobEnd::Done, &[(1, embedded(false))]).await.unwrap();
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.succeeded, record.failed), (State::CompletedWithErrors, 3, 1));

    assert_eq!(store.requeue_job(SubmissionId::now(), "0", 0..2).await.unwrap(), Requeue::Orphaned);
    let cancelled = submission(&store, SubmissionKind::Embed, 1).await;
    store.close_submission(cancelled, State::Cancelled, None, false).await.unwrap();
    assert_eq!(store.requeue_job(cancelled, "0", 0..2).await.unwrap(), Requeue::Closed);
}

#[tokio::test]
async fn unknown_generation_changes_nothing() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let later = JobRef { generation: 1, ..job(id, "0") };
    let skipped = Start::Skip("the generation or parameter version is not the current one");
    let start = || store.start_job(later, holder(InstanceId::random()), false, Isolation::Shared, None);
    assert_eq!(start().await.unwrap(), skipped, "the job is unknown");

    // Redis may lose the requeue, but not the published job, if it crashes before writing.
    store.finish_job(job(id, "0"), JobEnd::Discarded, &[(0, failed()), (1, failed())]).await.unwrap();
    assert_eq!(start().await.unwrap(), skipped);
    let finished = store.finish_job(later, JobEnd::Done, &[(0, embedded(false))]).await.unwrap();
    assert!(matches!(finished, Finish::Ignored(_)), "{finished:?}");
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.state, record.failed, record.jobs_finished), (State::Running, 2, 1));
    let beyond = store.finish_job(job(id, "2"), JobEnd::Discarded, &[(4, failed())]).await.unwrap();
    assert!(matches!(beyond, Finish::Ignored(_)), "the job does not exist: {beyond:?}");
}

#[tokio::test]
async fn heartbeat_after_a_lost_connection_retracts_the_crash() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 1).await;
    let instances = [(); 3].map(|()| InstanceId::random());
    let start = |instance, isolation| store.start_job(job(id, "0"), holder(instance), true, isolation, None);
    let crashes = || async {
        let mark = store.job_status(id, "0").await.unwrap().unwrap();
        (mark.crashes, mark.exclusive_crashes)
    };
    assert_eq!(start(instances[0], Isolation::Shared).await.unwrap(), Start::Run);
    assert_eq!(start(instances[1], Isolation::Shared).await.unwrap(), Start::RunExclusive { crashes: 1 });
    assert_eq!(start(instances[1], Isolation::Exclusive).await.unwrap(), Start::Run);
    assert_eq!(start(instances[2], Isolation::Shared).await.unwrap(), Start::RunExclusive { crashes: 2 });
    assert_eq!(crashes().await, (2, 1));
    // The heartbeats of both retract one crash each, in any order.
    for instance in [instances[1], instances[0], instances[1], instances[0], instances[2]] {
        store.heartbeat_job(job(id, "0"), instance, None).await.unwrap();
    }
    assert_eq!(crashes().await, (0, 0));
    assert_eq!(start(instances[0], Isolation::Shared).await.unwrap(), Start::Run);
}

#[tokio::test]
async fn job_past_its_deadline_is_neither_started_nor_continued() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 1).await;
    let (instance, now_ms) = (InstanceId::random(), store.now_ms().await.unwrap());
    let start = |deadline_ms| {
        let store = store.clone();
        async move {
            store
                .start_job(job(id, "0"), holder(instance), false, Isolation::Shared, Some(deadline_ms))
                .await
                .unwrap()
        }
    };
    assert_eq!(start(now_ms - 1).await, Start::Expired);
    assert_eq!(start(now_ms + 3_600_000).await, Start::Run);
    let heartbeat = |deadline_ms| {
        let store = store.clone();
        async move { store.heartbeat_job(job(id, "0"), instance, deadline_ms).await.unwrap() }
    };
    assert_eq!(heartbeat(None).await, Heartbeat::Open);
    assert_eq!(heartbeat(Some(now_ms + 3_600_000)).await, Heartbeat::Open);
    assert_eq!(heartbeat(Some(now_ms - 1)).await, Heartbeat::Expired);
    store.close_submission(id, State::Cancelled, None, false).await.unwrap();
    assert_eq!(heartbeat(None).await, Heartbeat::Closed);
}

#[tokio::test]
async fn writes_of_a_replaced_leader_are_rejected() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Train, 0).await;
    let (first, second) = (InstanceId::random(), InstanceId::random());
    let ttl = Duration::from_millis(200);
    let token =
        store.acquire_lease(first, Duration::from_secs(60)).await.unwrap().expect("the lease is free");
    assert_eq!(store.acquire_lease(first, ttl).await.unwrap(), Some(token), "renewed");
    let old = store.with_token(token);
    assert!(old.take_over(id).await.unwrap());
    old.put_document(id, RunDocument::Checkpoint, &1).await.unwrap();

    eventually("the lease expires", || async {
        store.acquire_lease(second, Duration::from_secs(60)).await.unwrap().is_some()
    })
    .await;
    let newer = store.acquire_lease(second, ttl).await.unwrap().unwrap();
    assert!(newer > token);
    let new = store.with_token(newer);
    assert!(new.take_over(id).await.unwrap());

    let parameters = Parameters { version: 9, bytes: vec![0; 4] };
    assert!(matches!(old.put_document(id, RunDocument::Checkpoint, &2).await, Err(StoreError::Replaced)));
    assert!(matches!(old.put_parameters(id, &parameters).await, Err(StoreError::Replaced)));
    assert!(matches!(old.set_published(id, 7).await, Err(StoreError::Replaced)));
    assert!(matches!(old.delete_run_state(id).await, Err(StoreError::Replaced)));
    assert!(matches!(old.take_over(id).await, Err(StoreError::Replaced)));
    let closed = old.close_submission(id, State::Succeeded, None, true).await;
    assert!(matches!(closed, Err(StoreError::Replaced)));
    assert_eq!(store.document::<u32>(id, RunDocument::Checkpoint).await.unwrap(), Some(1));
    assert_eq!(store.state(id).await.unwrap(), Some(State::Running));
    new.put_document(id, RunDocument::Checkpoint, &3).await.unwrap();
    assert!(store.close_submission(id, State::Cancelled, None, true).await.unwrap(), "a user may cancel");
}

#[tokio::test]
async fn idempotency_key_belongs_to_one_request() {
    let store = store().await;
    let (id, other) = (SubmissionId::now(), SubmissionId::now());
    let (request, another) = (Digest::of(b"embed a"), Digest::of(b"embed b"));
    assert_eq!(store.claimed_key("key", request).await.unwrap(), None);
    assert_eq!(store.claim_key("key", request, id).await.unwrap(), Claim::Submission(id));
    assert_eq!(store.claim_key("key", request, other).await.unwrap(), Claim::Submission(id));
    assert_eq!(store.claim_key("key", another, other).await.unwrap(), Claim::Conflict);
    assert_eq!(store.claim_key("other", another, other).await.unwrap(), Claim::Submission(other));
    assert_eq!(store.claimed_key("key", request).await.unwrap(), Some(Claim::Submission(id)));
    assert_eq!(store.claimed_key("key", another).await.unwrap(), Some(Claim::Conflict));
}

#[tokio::test]
async fn dead_letters_are_read_in_pages_oldest_first() {
    let store = store().await;
    let letter = |id: &str| DeadLetter {
        id: id.to_owned(),
        submission: None,
        job: None,
        message_type: None,
        reason: DiscardReason::Rejected,
        error: "not a job".to_owned(),
        attempts: 0,
        generation: 0,
        history: Vec::new(),
        worker: None,
        origin: None,
        body: String::new(),
        recorded_ms: 0,
    };
    for id in ["e", "d", "c", "b", "a"] {
        store.record_dead_letter(&letter(id)).await.unwrap();
    }
    let (mut ids, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let (page, next) = store.dead_letter_page(after.as_ref(), 2).await.unwrap();
        ids.extend(page.into_iter().map(|letter| letter.id));
        pages += 1;
        after = next;
        if after.is_none() {
            break;
        }
    }
    ids.sort();
    assert_eq!((ids.join(""), pages), ("abcde".to_owned(), 3));
    let letter = store.dead_letter("c").await.unwrap().unwrap();
    let cursor = DeadLetterCursor { recorded_ms: letter.recorded_ms, id: letter.id.clone() };
    // A letter recorded again is another letter.
    let earlier = DeadLetterCursor { recorded_ms: letter.recorded_ms - 1, ..cursor.clone() };
    assert!(!store.delete_dead_letter(&earlier).await.unwrap());
    assert!(store.delete_dead_letter(&cursor).await.unwrap());
    assert!(!store.delete_dead_letter(&cursor).await.unwrap());
    assert_eq!(store.dead_letter_count().await.unwrap(), 4);
}

#[tokio::test]
async fn runs_expire_unless_they_are_reopened() {
    let store = store().await;
    let (gone, reopened) = (cancelled_run(&store).await, cancelled_run(&store).await);
    for run in [gone, reopened] {
        store.put_document(run, RunDocument::Report, &7).await.unwrap();
        store.expire_run(run).await.unwrap();
    }
    assert!(store.reopen_run(reopened).await.unwrap());
    store.expire_run(reopened).await.unwrap();
    eventually("the run expires", async || store.state(gone).await.unwrap().is_none()).await;
    let report = async |run| store.document::<u32>(run, RunDocument::Report).await.unwrap();
    let state = store.state(reopened).await.unwrap();
    assert_eq!((report(gone).await, report(reopened).await, state), (None, Some(7), Some(State::Running)));
}
