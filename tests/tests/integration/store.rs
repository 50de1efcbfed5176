//! The store's scripts on a real Redis: effects are applied once, crashes are blamed on the right job.

use std::time::Duration;

use common::{
    ids::{BootId, Digest, SubmissionId},
    outcome::{FailureReason, ItemFailure, ItemResult},
    store::{
        Company, Finish, JobState, NewSubmission, NodeFinish, Opening, Parameters, Start, State, Store,
        StoreConfig, SubmissionKind,
    },
    tree::Node,
};
use tests::environment::Servers;

async fn store() -> Store {
    let url = Servers::from_environment().redis_url.as_str().into();
    let key_prefix = format!("store-{}:", SubmissionId::now());
    Store::connect(&StoreConfig { url, key_prefix }).await.expect("Redis answers")
}

/// Makes an open submission of `jobs` jobs of two items each.
async fn submission(store: &Store, kind: SubmissionKind, jobs: u32) -> SubmissionId {
    let id = SubmissionId::now();
    let new = NewSubmission {
        id,
        kind,
        spec: serde_json::json!({}),
        parent: None,
        retention: Duration::from_secs(60),
    };
    store.create_submission(&new).await.unwrap();
    let opening =
        Opening { items: u64::from(jobs) * 2, jobs, manifest: serde_json::json!({}), rejected: Vec::new() };
    store.open_submission(id, &opening).await.unwrap();
    id
}

fn embedded(cached: bool) -> ItemResult {
    ItemResult::Embedded { sha256: Digest::of(b"image"), cached }
}

fn failed() -> ItemResult {
    ItemResult::Failed(ItemFailure::new(FailureReason::Missing, "gone"))
}

#[tokio::test]
async fn an_outcome_is_applied_once_and_the_last_one_closes_the_submission() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let finish = |name: &'static str, results: Vec<(u64, ItemResult)>| {
        let store = store.clone();
        async move { store.finish_job(id, name, 0, JobState::Done, &results).await.unwrap() }
    };
    assert_eq!(finish("0", vec![(0, embedded(false)), (1, embedded(true))]).await, Finish::Applied);
    assert_eq!(
        finish("0", vec![(0, failed()), (1, failed())]).await,
        Finish::WithoutEffect("it is finished already")
    );
    assert_eq!(store.state(id).await.unwrap(), Some(State::Running));
    assert_eq!(finish("1", vec![(2, failed()), (3, embedded(false))]).await, Finish::Applied);

    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!(record.state, State::CompletedWithErrors);
    assert_eq!((record.succeeded, record.cached, record.failed), (3, 1, 1));
    assert!(record.finished_ms.is_some());
    let results = store.results(id, 0, 4).await.unwrap();
    assert_eq!(results[0], Some(embedded(false)));
    assert_eq!(finish("1", vec![(2, failed())]).await, Finish::WithoutEffect("its submission is closed"));
}

#[tokio::test]
async fn an_item_resolved_by_an_earlier_attempt_is_not_counted_again() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    store
        .finish_job(id, "0", 0, JobState::Done, &[(0, embedded(false)), (1, embedded(false))])
        .await
        .unwrap();
    // Job 1 claims item 1 as well: the first result stands.
    store.finish_job(id, "1", 0, JobState::Done, &[(1, failed()), (2, embedded(false))]).await.unwrap();
    let record = store.submission(id).await.unwrap().unwrap();
    assert_eq!((record.succeeded, record.failed), (3, 0));
}

#[tokio::test]
async fn a_job_of_a_submission_that_is_gone_has_no_effect() {
    let store = store().await;
    let id = SubmissionId::now();
    let gone = "its submission is gone";
    assert_eq!(
        store.start_job(id, "0", 0, BootId::random(), false, Company::Shared).await.unwrap(),
        Start::Skip(gone)
    );
    let finish = store.finish_job(id, "0", 0, JobState::Done, &[(0, embedded(false))]).await.unwrap();
    assert_eq!(finish, Finish::WithoutEffect(gone));
    assert!(store.submission(id).await.unwrap().is_none(), "nothing is recreated");
}

#[tokio::test]
async fn only_deaths_while_alone_make_a_job_poison() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 2).await;
    let start = |redelivered, company| {
        let store = store.clone();
        async move { store.start_job(id, "0", 0, BootId::random(), redelivered, company).await.unwrap() }
    };
    let (shared, alone) = (Company::Shared, Company::Alone);
    assert_eq!(start(false, shared).await, Start::Run);
    // A duplicate that was published twice is no crash.
    assert_eq!(start(false, shared).await, Start::Run);
    for crashes in 1..=3 {
        // However many processes die while the job waits for its turn there, none of them is its fault.
        for _ in 0..5 {
            assert_eq!(start(true, shared).await, Start::RunAlone { crashes });
        }
        assert_eq!(start(false, alone).await, Start::Run);
    }
    assert_eq!(start(true, shared).await, Start::Poison { crashes: 4 });
    assert_eq!(
        start(true, shared).await,
        Start::Poison { crashes: 4 },
        "the verdict stands until it is buried"
    );
    store.finish_job(id, "0", 0, JobState::Dead, &[(0, failed()), (1, failed())]).await.unwrap();
    assert_eq!(start(true, shared).await, Start::Skip("it is finished already"));
}

#[tokio::test]
async fn a_released_job_is_no_crash() {
    let store = store().await;
    let id = submission(&store, SubmissionKind::Embed, 1).await;
    for _ in 0..6 {
        let boot = BootId::random();
        assert_eq!(store.start_job(id, "0", 0, boot, true, Company::Shared).await.unwrap(), Start::Run);
        store.release_job(id, "0", boot).await.unwrap();
    }
}

#[tokio::test]
async fn answers_to_an_older_version_have_no_effect_and_differing_ones_are_reported() {
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
    assert_eq!(answer(1, b"sum").await, NodeFinish::WithoutEffect("it is finished already"));
    assert_eq!(answer(1, b"mus").await, NodeFinish::Conflict);
    assert_eq!(store.nodes(run, 1).await.unwrap().unwrap()[&node.to_string()], b"sum");
    assert_eq!(store.nodes(run, 2).await.unwrap(), None, "answers to another version are nobody's");
    put(2).await;
    assert_eq!(answer(1, b"sum").await, NodeFinish::WithoutEffect("a newer version of it exists"));
    assert!(store.nodes(run, 2).await.unwrap().unwrap().is_empty());
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
