//! The load on a disturbed system: a stream of embed, train and predict submissions.
//!
//! Owns the datasets and the list of accepted submissions. Invariant: training data is never poisoned, so all
//! runs end with the same weights.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    ids::SubmissionId,
    store::{Submission, SubmissionKind},
};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::system::System;
use crate::{process::binary, python::project};

/// Training images of the run for predictions, trained before any disturbance.
const WARM_IMAGES: u32 = 24;
/// Training images of the runs whose weights are compared.
const TRAIN_IMAGES: u32 = 64;
/// Epochs of those runs, which take some seconds.
const EPOCHS: &str = "150";
/// Images of each embed submission: six jobs.
const EMBED_IMAGES: u32 = 96;
/// Datasets to embed; from the second round on they are cached.
const EMBED_DATASETS: usize = 10;
/// Images and number of the datasets that are embedded once each: uncached, so that their jobs take a while.
const SPARE_IMAGES: u32 = 160;
const SPARE_DATASETS: usize = 4;
/// Images of predict submissions: one size for the batch queue, one for the interactive queue.
const PREDICT_IMAGES: [u32; 2] = [40, 10];
/// Concurrent embed submissions.
const EMBEDS: usize = 2;
/// How often running submissions are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(150);

/// The datasets of all schedules, generated from seeds and kept across test runs.
pub struct Datasets {
    folder: PathBuf,
    warm: PathBuf,
    train: PathBuf,
    embed: Vec<PathBuf>,
    predict: Vec<PathBuf>,
    spare: Vec<PathBuf>,
}

/// A submission that a coordinator accepted.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub id: SubmissionId,
    pub kind: SubmissionKind,
    /// When the response arrived.
    pub at: Instant,
}

/// The load of one system.
pub struct Load<'a> {
    system: &'a System,
    datasets: &'a Datasets,
    warm: SubmissionId,
    accepted: Mutex<Vec<Accepted>>,
    spared: AtomicUsize,
}

impl Datasets {
    /// Generates missing datasets.
    pub async fn make() -> Self {
        let folder = project().join(".local/chaos/datasets");
        std::fs::create_dir_all(&folder).expect("the repository is writable");
        let mut seed = 0;
        let mut make = async |count: u32| {
            seed += 1;
            let path = folder.join(format!("{seed}-{count}"));
            // metadata.jsonl is written last.
            if path.join("metadata.jsonl").exists() {
                return path;
            }
            let mut command = Command::new(binary("subwatch"));
            command.args(["dataset", "sample"]).arg(&path).args(["--count", &count.to_string()]);
            command.args(["--seed", &seed.to_string()]);
            let made = command.output().await.expect("the command line starts");
            assert!(made.status.success(), "{made:?}");
            path
        };
        let (warm, train) = (make(WARM_IMAGES).await, make(TRAIN_IMAGES).await);
        let (mut embed, mut predict, mut spare) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..EMBED_DATASETS {
            embed.push(make(EMBED_IMAGES).await);
        }
        for count in PREDICT_IMAGES {
            predict.push(make(count).await);
        }
        for _ in 0..SPARE_DATASETS {
            spare.push(make(SPARE_IMAGES).await);
        }
        Self { folder, warm, train, embed, predict, spare }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Trains the reference run on an undisturbed system and returns its weights' digest.
    pub async fn undisturbed_weights(&self, system: &System) -> String {
        let train = self.train.display().to_string();
        let mut arguments = train_arguments(&train, EPOCHS).to_vec();
        arguments.extend(["-o", "json"]);
        let run = system.json(&arguments).await.expect("an undisturbed run succeeds");
        run["weights_sha256"].as_str().expect("a run that succeeded has weights").to_owned()
    }
}

fn train_arguments<'a>(dataset: &'a str, epochs: &'a str) -> [&'a str; 6] {
    ["train", dataset, "--epochs", epochs, "--batch-size", "10"]
}

impl<'a> Load<'a> {
    /// Trains the run that predictions use.
    pub async fn warm_up(system: &'a System, datasets: &'a Datasets) -> Self {
        let warm = datasets.warm.display().to_string();
        let mut arguments = train_arguments(&warm, "1").to_vec();
        arguments.extend(["-o", "json"]);
        let run = system.json(&arguments).await.expect("an undisturbed run succeeds");
        let warm = run["run"].as_str().and_then(|id| id.parse().ok()).expect("a run has an ID");
        Self { system, datasets, warm, accepted: Mutex::default(), spared: AtomicUsize::new(0) }
    }

    pub fn accepted(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits continuously until `over`.
    pub async fn submit_until(&self, over: &CancellationToken) {
        let (mut embeds, mut predicts) = (0, 0);
        while !over.is_cancelled() {
            if let Some(running) = self.system.running().await {
                let of = |kind| running.iter().filter(|s| s.kind == kind && s.parent.is_none()).count();
                if of(SubmissionKind::Train) == 0 {
                    let dataset = self.datasets.train.display().to_string();
                    self.submit(SubmissionKind::Train, &train_arguments(&dataset, EPOCHS)).await;
                }
                if of(SubmissionKind::Embed) < EMBEDS {
                    let dataset = self.datasets.embed[embeds % EMBED_DATASETS].display().to_string();
                    embeds += usize::from(self.submit(SubmissionKind::Embed, &["embed", &dataset]).await);
                }
                if of(SubmissionKind::Predict) == 0 {
                    let dataset =
                        self.datasets.predict[predicts % PREDICT_IMAGES.len()].display().to_string();
                    let run = self.warm.to_string();
                    let arguments = ["predict", &dataset, "--run", &run];
                    predicts += usize::from(self.submit(SubmissionKind::Predict, &arguments).await);
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Submits one of each kind, which must be accepted.
    pub async fn submit_each(&self) {
        let dataset = |path: &Path| path.display().to_string();
        let (train, embed) = (dataset(&self.datasets.train), dataset(&self.datasets.embed[0]));
        let (predict, run) = (dataset(&self.datasets.predict[0]), self.warm.to_string());
        let accepted = self.submit(SubmissionKind::Train, &train_arguments(&train, EPOCHS)).await
            & self.submit(SubmissionKind::Embed, &["embed", &embed]).await
            & self.submit(SubmissionKind::Predict, &["predict", &predict, "--run", &run]).await;
        assert!(accepted, "the coordinator rejected a submission");
    }

    /// Submits images that are not embedded yet; `None` if none are left or the coordinator is unavailable.
    pub async fn submit_spare(&self) -> Option<SubmissionId> {
        let dataset = self.datasets.spare.get(self.spared.fetch_add(1, Ordering::Relaxed))?;
        self.try_submit(SubmissionKind::Embed, &["embed", &dataset.display().to_string()]).await
    }

    /// Returns whether the coordinator accepted the submission.
    async fn submit(&self, kind: SubmissionKind, arguments: &[&str]) -> bool {
        self.try_submit(kind, arguments).await.is_some()
    }

    async fn try_submit(&self, kind: SubmissionKind, arguments: &[&str]) -> Option<SubmissionId> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--detach", "-o", "json"]);
        let answer = self.system.json(&arguments).await?;
        let id = answer["submission"].as_str().or(answer["run"].as_str());
        let id = id.and_then(|id| id.parse().ok()).expect("a detached command prints an ID");
        self.accepted().push(Accepted { id, kind, at: Instant::now() });
        Some(id)
    }

    /// Returns the run that predictions use.
    #[must_use]
    pub fn warm(&self) -> SubmissionId {
        self.warm
    }
}

/// Whether a submission is an opened embed submission by a user: poisoning it changes no training run.
pub(super) fn is_poisonable(submission: &Submission) -> bool {
    submission.kind == SubmissionKind::Embed && submission.parent.is_none() && submission.manifest.is_some()
}
