//! Submissions of many items: their first jobs run while the dataset is still being listed.
//!
//! The datasets have more rows than a coordinator reads until it has been paused; most of the rows name no file, so
//! they cost no worker's time.

use std::{fmt::Write, fs, path::PathBuf};

use common::{
    ids::SubmissionId,
    store::{JobState, State, Submission},
};
use serde_json::Value;
use tests::cluster::{Cluster, eventually};

/// Rows with a file before and after the others. More than the first file of a manifest has.
const FIRST: usize = 1100;
const LAST: usize = 300;
/// Rows without a file.
const MISSING: usize = 60_000;
const ITEMS: u64 = (FIRST + LAST) as u64;

/// The rows of a dataset: images of one picture, and rows without a file between them.
struct Rows {
    dataset: PathBuf,
    lines: Vec<String>,
}

impl Rows {
    async fn make(cluster: &Cluster) -> Self {
        let thumbnails = cluster.sample(1).await.join("thumbnails");
        let picture = fs::read_dir(thumbnails).unwrap().next().unwrap().unwrap().path();
        let dataset = cluster.folder().join("many");
        fs::create_dir_all(dataset.join("images")).unwrap();
        let row = |name: String| format!("{{\"file_name\":\"images/{name}.jpg\"}}");
        for number in 0..FIRST + LAST {
            fs::hard_link(&picture, dataset.join(format!("images/{number}.jpg"))).unwrap();
        }
        let mut lines: Vec<String> = (0..FIRST).map(|number| row(number.to_string())).collect();
        lines.extend((0..MISSING).map(|number| row(format!("missing-{number}"))));
        lines.extend((FIRST..FIRST + LAST).map(|number| row(number.to_string())));
        let rows = Self { dataset, lines };
        rows.write();
        rows
    }

    fn write(&self) {
        let mut text = String::new();
        self.lines.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        fs::write(self.dataset.join("metadata.jsonl"), text).unwrap();
    }

    fn path(&self) -> String {
        self.dataset.display().to_string()
    }
}

/// Submits a dataset and pauses the coordinator once the first jobs are published. Returns the record, which the workers
/// alone change from then on.
async fn pause_while_listing(cluster: &Cluster, rows: &Rows) -> Submission {
    let id = cluster.detach(&["embed", &rows.path()]).await;
    eventually("jobs are published", || async { cluster.submission(id).await.jobs_published > 0 }).await;
    cluster.coordinator.pause();
    let paused = cluster.submission(id).await;
    assert!(paused.is_listing, "the dataset was listed before its first jobs were published: {paused:?}");
    assert_eq!((paused.state, paused.items, paused.jobs), (State::Running, 1024, 16));
    paused
}

/// Waits until workers have finished all published jobs.
async fn published_jobs_are_finished(cluster: &Cluster, id: SubmissionId) {
    eventually("the published jobs are finished", || async {
        let submission = cluster.submission(id).await;
        submission.jobs_finished >= submission.jobs_published
    })
    .await;
}

/// Checks the counts and the order of results.
async fn check_complete(cluster: &Cluster, ended: &Submission) {
    let (missing, jobs) = (MISSING as u64, ITEMS.div_ceil(64));
    assert_eq!(ended.state, State::CompletedWithErrors, "{ended:?}");
    assert_eq!((ended.items, ended.succeeded, ended.failed), (ITEMS + missing, ITEMS, missing), "{ended:?}");
    assert_eq!((u64::from(ended.jobs), u64::from(ended.jobs_finished)), (jobs, jobs), "{ended:?}");
    assert!(!ended.is_listing && !ended.has_output);
    let client = tests::http();
    let page = async |cursor: u64| -> Value {
        let url = format!("{}/v1/submissions/{}/results?cursor={cursor}&limit=2", cluster.url(), ended.id);
        client.get(url).send().await.unwrap().json().await.unwrap()
    };
    let first = page(ITEMS - 1).await;
    let names: Vec<&str> =
        first["items"].as_array().unwrap().iter().map(|item| item["item"].as_str().unwrap()).collect();
    assert_eq!(names, ["images/1399.jpg", "images/missing-0.jpg"], "rejected items follow the others");
    let last = page(ITEMS + missing - 1).await;
    assert_eq!(last["items"][0]["item"], format!("images/missing-{}.jpg", MISSING - 1));
    assert_eq!(last["next"], Value::Null);
}

#[tokio::test]
async fn first_jobs_run_while_the_dataset_is_listed() {
    let cluster = Cluster::start(1).await;
    let rows = Rows::make(&cluster).await;
    let paused = pause_while_listing(&cluster, &rows).await;
    let id = paused.id;
    published_jobs_are_finished(&cluster, id).await;
    let computed = cluster.submission(id).await;
    assert!(computed.jobs_finished > 0 && computed.is_listing, "{computed:?}");
    assert_eq!(computed.state, State::Running, "the last job of those listed so far does not end it");

    cluster.coordinator.resume();
    let view = cluster.json(&["status", &id.to_string(), "-o", "json"], &[0]).await;
    let is_shown = view["incomplete"] == true && view["items"].as_u64() <= Some(ITEMS);
    assert!(is_shown || !cluster.submission(id).await.is_listing, "{view}");
    let ended = cluster.wait_for_end(id).await;
    check_complete(&cluster, &ended).await;
    let view = cluster.json(&["status", &id.to_string(), "-o", "json"], &[0]).await;
    assert!(view.get("incomplete").is_none(), "{view}");
    cluster.finish().await;
}

#[tokio::test]
async fn next_leader_lists_the_rest_of_the_dataset() {
    let mut cluster = Cluster::start(1).await;
    let rows = Rows::make(&cluster).await;
    let paused = pause_while_listing(&cluster, &rows).await;
    cluster.coordinator.kill().await;
    published_jobs_are_finished(&cluster, paused.id).await;
    assert!(cluster.submission(paused.id).await.is_listing);
    let finished = async || {
        let statuses = cluster.store.job_statuses(paused.id).await.unwrap();
        statuses.into_iter().filter(|(_, status)| status.state == JobState::Done).count()
    };
    assert!(finished().await > 0);

    cluster.restart_coordinator().await;
    let ended = cluster.wait_for_end(paused.id).await;
    assert!(cluster.coordinator.log().contains("listing the dataset again"));
    check_complete(&cluster, &ended).await;
    cluster.finish().await;
}

#[tokio::test]
async fn dataset_that_changes_between_two_leaders_fails_its_submission() {
    let mut cluster = Cluster::start(1).await;
    let mut rows = Rows::make(&cluster).await;
    let paused = pause_while_listing(&cluster, &rows).await;
    cluster.coordinator.kill().await;
    rows.lines.remove(0);
    rows.write();

    cluster.restart_coordinator().await;
    let ended = cluster.wait_for_end(paused.id).await;
    assert_eq!(ended.state, State::Failed);
    let error = ended.error.unwrap();
    assert!(error.contains("the dataset changed while it was being listed: its first 1024 items"), "{error}");
    assert!(ended.is_listing && ended.succeeded <= 1024);
    cluster.finish().await;
}

#[tokio::test]
async fn rows_that_were_added_between_two_leaders_are_listed() {
    let mut cluster = Cluster::start(1).await;
    let mut rows = Rows::make(&cluster).await;
    let paused = pause_while_listing(&cluster, &rows).await;
    cluster.coordinator.kill().await;
    let missing = rows.lines.len() - LAST;
    rows.lines.truncate(missing);
    rows.lines.insert(FIRST, "{\"file_name\":\"images/1100.jpg\"}".to_owned());
    rows.write();

    cluster.restart_coordinator().await;
    let ended = cluster.wait_for_end(paused.id).await;
    // The images that lost their rows are items without a row, after all rows.
    assert_eq!((ended.succeeded, ended.failed), (ITEMS, MISSING as u64), "{ended:?}");
    cluster.finish().await;
}

#[tokio::test]
async fn cancelled_submission_is_not_listed_further() {
    let mut cluster = Cluster::start(1).await;
    let rows = Rows::make(&cluster).await;
    let paused = pause_while_listing(&cluster, &rows).await;
    cluster.coordinator.kill().await;
    let standby = cluster.add_standby().await;
    cluster.use_coordinator(&standby);
    let cancelled = cluster.cli(&["cancel", &paused.id.to_string()]).await;
    let shown = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(cancelled.status.success() && shown.contains(" items listed so far were resolved"), "{shown}");
    let ended = cluster.submission(paused.id).await;
    assert_eq!((ended.state, ended.is_listing), (State::Cancelled, true), "{ended:?}");
    eventually("the submission is inactive", || async {
        cluster.store.active_submission_count().await.unwrap() == 0
    })
    .await;
    assert_eq!(cluster.submission(paused.id).await.items, ended.items);
    let deleted = cluster.json(&["delete", &paused.id.to_string(), "-o", "json"], &[0]).await;
    assert_eq!(deleted["deleted"], 1);
    cluster.finish().await;
}

#[tokio::test]
async fn late_duplicate_ends_a_submission_whose_jobs_run() {
    let cluster = Cluster::start(1).await;
    let mut rows = Rows::make(&cluster).await;
    rows.lines.push(rows.lines[0].clone());
    rows.write();
    let paused = pause_while_listing(&cluster, &rows).await;
    published_jobs_are_finished(&cluster, paused.id).await;
    cluster.coordinator.resume();
    let ended = cluster.wait_for_end(paused.id).await;
    let error = ended.error.as_deref().unwrap();
    assert!(error.contains("duplicate file_name 'images/0.jpg': metadata.jsonl:1 and"), "{error}");
    assert_eq!((ended.state, ended.failed), (State::Failed, 0));
    assert!(ended.succeeded > 0 && ended.succeeded <= ITEMS, "{ended:?}");
    cluster.finish().await;
}
