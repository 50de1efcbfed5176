//! What a disturbed system has to do: embed, train and predict submissions, again and again.
//!
//! Owns the datasets and the list of what the coordinator accepted. Invariant: what is trained on is never
//! poisoned, so every run of one load must end with the same bits.

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

/// Images that are trained on for predictions, before anything is disturbed.
const WARM_IMAGES: u32 = 24;
/// Images of the run whose bits are compared.
const TRAIN_IMAGES: u32 = 64;
/// Epochs of that run: some seconds' worth.
const EPOCHS: &str = "150";
/// Images of each embed submission: six jobs.
const EMBED_IMAGES: u32 = 96;
/// Datasets to embed; they come again, and are found in the cache then.
const EMBED_DATASETS: usize = 10;
/// Images of the datasets that come once each, so that none of their jobs is over in a moment; and how many
/// there are.
const SPARE_IMAGES: u32 = 160;
const SPARE_DATASETS: usize = 4;
/// Images of predict submissions: one for the batches' queue, one for whom somebody waits.
const PREDICT_IMAGES: [u32; 2] = [40, 10];
/// Embed submissions under way at once.
const EMBEDS: usize = 2;
/// Snooze before a look at what is still under way.
const LOOK: Duration = Duration::from_millis(150);

/// The datasets of all schedules. They follow from their seeds, so they are made once and kept.
pub struct Datasets {
    folder: PathBuf,
    warm: PathBuf,
    train: PathBuf,
    embed: Vec<PathBuf>,
    predict: Vec<PathBuf>,
    spare: Vec<PathBuf>,
}

/// A submission that the coordinator said it has.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Its id.
    pub id: SubmissionId,
    /// What kind of thing was asked for.
    pub kind: SubmissionKind,
    /// When the answer came.
    pub at: Instant,
}

/// The work of one system.
pub struct Load<'a> {
    system: &'a System,
    datasets: &'a Datasets,
    warm: SubmissionId,
    accepted: Mutex<Vec<Accepted>>,
    spared: AtomicUsize,
}

impl Datasets {
    /// Makes those that are not there.
    ///
    /// # Panics
    /// When one cannot be made.
    pub async fn make() -> Self {
        let folder = project().join(".local/chaos/datasets");
        std::fs::create_dir_all(&folder).expect("a folder can be made in the project");
        let mut seed = 0;
        let mut make = async |count: u32| {
            seed += 1;
            let path = folder.join(format!("{seed}-{count}"));
            // It is written last.
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

    /// Where they lie.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Trains the run whose bits are compared on a system that nobody disturbs, and returns the digest of
    /// its weights.
    ///
    /// # Panics
    /// When the run does not succeed.
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
    /// Trains the run that predictions are made with.
    ///
    /// # Panics
    /// When it does not succeed.
    pub async fn warm_up(system: &'a System, datasets: &'a Datasets) -> Self {
        let warm = datasets.warm.display().to_string();
        let mut arguments = train_arguments(&warm, "1").to_vec();
        arguments.extend(["-o", "json"]);
        let run = system.json(&arguments).await.expect("an undisturbed run succeeds");
        let warm = run["run"].as_str().and_then(|id| id.parse().ok()).expect("a run has an id");
        Self { system, datasets, warm, accepted: Mutex::default(), spared: AtomicUsize::new(0) }
    }

    /// What the coordinator accepted so far.
    pub fn accepted(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps work coming until `over`.
    pub async fn keep_coming(&self, over: &CancellationToken) {
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
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Submits one of each kind.
    ///
    /// # Panics
    /// When the coordinator does not accept one.
    pub async fn submit_each(&self) {
        let dataset = |path: &Path| path.display().to_string();
        let (train, embed) = (dataset(&self.datasets.train), dataset(&self.datasets.embed[0]));
        let (predict, run) = (dataset(&self.datasets.predict[0]), self.warm.to_string());
        let accepted = self.submit(SubmissionKind::Train, &train_arguments(&train, EPOCHS)).await
            & self.submit(SubmissionKind::Embed, &["embed", &embed]).await
            & self.submit(SubmissionKind::Predict, &["predict", &predict, "--run", &run]).await;
        assert!(accepted, "the coordinator does not accept submissions");
    }

    /// Submits images that are not embedded yet, while there are any and the coordinator is there.
    pub async fn submit_spare(&self) -> Option<SubmissionId> {
        let dataset = self.datasets.spare.get(self.spared.fetch_add(1, Ordering::Relaxed))?;
        self.accepted_as(SubmissionKind::Embed, &["embed", &dataset.display().to_string()]).await
    }

    /// Submits, if the coordinator is there. Returns whether it accepted.
    async fn submit(&self, kind: SubmissionKind, arguments: &[&str]) -> bool {
        self.accepted_as(kind, arguments).await.is_some()
    }

    async fn accepted_as(&self, kind: SubmissionKind, arguments: &[&str]) -> Option<SubmissionId> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--detach", "-o", "json"]);
        let answer = self.system.json(&arguments).await?;
        let id = answer["submission"].as_str().or(answer["run"].as_str());
        let id = id.and_then(|id| id.parse().ok()).expect("a detached command prints its id");
        self.accepted().push(Accepted { id, kind, at: Instant::now() });
        Some(id)
    }

    /// The run that predictions are made with.
    #[must_use]
    pub fn warm(&self) -> SubmissionId {
        self.warm
    }
}

/// A user's embed submission whose jobs are being worked on.
pub(super) fn is_poisonable(submission: &Submission) -> bool {
    submission.kind == SubmissionKind::Embed && submission.parent.is_none() && submission.manifest.is_some()
}
