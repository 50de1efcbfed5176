//! Cached data of training runs: plan, samples, features. A run's data never changes, so it is loaded once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use common::{
    digest::Digest,
    embedding::Embedding,
    ids::SubmissionId,
    store::{RunDocument, Store},
    training::protocol::{Phase, RunPlan, Sample, Scaling, decode_samples},
};
use dataset::split::epoch_order;
use tokio::sync::OnceCell;

use super::head::{Example, Features};
use crate::outcome::JobError;

/// Number of cached runs.
const MAX_RUNS: usize = 2;

/// Cache of the data of the latest runs.
#[derive(Default)]
pub struct Runs {
    cached: Mutex<VecDeque<(SubmissionId, Cell)>>,
}

type Cell = Arc<OnceCell<Arc<RunData>>>;

pub struct RunData {
    pub(super) plan: RunPlan,
    samples: Vec<Sample>,
    embeddings: Vec<Embedding>,
    scaling: Scaling,
    /// The order of samples in the latest epoch, with its number.
    order: Mutex<Option<(u32, Arc<Vec<u32>>)>>,
}

impl Runs {
    /// Returns a run's data, from the cache or the store.
    ///
    /// # Errors
    /// `JobError::Permanent` if data that the coordinator stored is missing or malformed.
    pub async fn load(&self, store: &Store, run: SubmissionId) -> Result<Arc<RunData>, JobError> {
        let cell = self.cell(run);
        let load = async || RunData::load(store, run).await.map(Arc::new);
        cell.get_or_try_init(load).await.cloned()
    }

    fn cell(&self, run: SubmissionId) -> Cell {
        let mut cached = self.cached.lock().expect("no holder of this lock panics");
        if let Some((_, cell)) = cached.iter().find(|(id, _)| *id == run) {
            return cell.clone();
        }
        cached.truncate(MAX_RUNS - 1);
        let cell = Arc::new(OnceCell::new());
        cached.push_front((run, cell.clone()));
        cell
    }
}

impl RunData {
    async fn load(store: &Store, run: SubmissionId) -> Result<Self, JobError> {
        let missing =
            |data: &str| JobError::Permanent(format!("the {data} of run {run} is missing or malformed"));
        let plan: RunPlan = store.document(run, RunDocument::Plan).await?.ok_or_else(|| missing("plan"))?;
        let samples = store.blob(run, RunDocument::Samples).await?.and_then(|bytes| decode_samples(&bytes));
        let samples = samples.ok_or_else(|| missing("sample data"))?;
        let scaling =
            store.blob(run, RunDocument::Scaling).await?.and_then(|bytes| Scaling::from_bytes(&bytes));
        let scaling = scaling.ok_or_else(|| missing("feature scaling"))?;
        if samples.len() != (plan.train + plan.valid + plan.test) as usize {
            return Err(missing("sample data"));
        }
        let digests: Vec<Digest> = samples.iter().map(|sample| sample.sha256).collect();
        let embeddings: Option<Vec<Embedding>> =
            store.embeddings(&plan.space, &digests).await?.into_iter().collect();
        let embeddings = embeddings.ok_or_else(|| missing("embedding of a sample"))?;
        Ok(Self { plan, samples, embeddings, scaling, order: Mutex::new(None) })
    }

    /// Returns the sample at `position` of a pass, standardised.
    #[must_use]
    pub(super) fn example(&self, phase: Phase, epoch: u32, step: u32, position: usize) -> Example {
        let (train, valid) = (self.plan.train as usize, self.plan.valid as usize);
        let at = match phase {
            Phase::Train => self.epoch_order(epoch)[self.plan.step_range(step).start + position] as usize,
            Phase::Valid => train + position,
            Phase::Test => train + valid + position,
        };
        Example { features: self.features(at), target: self.samples[at].target }
    }

    fn features(&self, at: usize) -> Features {
        let mut features = self.embeddings[at].to_f32();
        for ((feature, mean), scale) in features.iter_mut().zip(&self.scaling.mean).zip(&self.scaling.scale) {
            *feature = (*feature - mean) * scale;
        }
        features
    }

    fn epoch_order(&self, epoch: u32) -> Arc<Vec<u32>> {
        let mut order = self.order.lock().expect("no holder of this lock panics");
        match &*order {
            Some((ordered, positions)) if *ordered == epoch => positions.clone(),
            _ => {
                let positions = Arc::new(epoch_order(self.plan.seed, epoch, self.plan.train));
                *order = Some((epoch, positions.clone()));
                positions
            }
        }
    }
}
