//! What a worker's jobs work with.
//!
//! Owns the connections, the model and the bounds of one process; holds no state of a single job.

use std::{sync::Arc, time::Duration};

use common::{broker::Publisher, ids::InstanceId, store::Store};
use crawler::http::Web;
use images::pool::CpuPool;

use crate::training::Runs;
#[cfg(feature = "model")]
use crate::{inference::Pipeline, outcome::JobError};

/// One worker process.
pub struct Worker {
    /// This life of the process.
    pub instance: InstanceId,
    /// Host and process id, for people.
    pub name: String,
    /// The store.
    pub store: Store,
    /// Publishes retry copies and dead letters.
    pub publisher: Publisher,
    /// Runs it computes gradients for.
    pub runs: Runs,
    /// Threads that compute gradients.
    pub trainer: CpuPool,
    /// Threads that decode images.
    pub decoder: Arc<CpuPool>,
    /// Asks the web.
    pub web: Web,
    /// Longest it may work on one job.
    pub job_timeout: Duration,
    /// From images to embeddings, if it consumes a kind that needs the model.
    #[cfg(feature = "model")]
    pub pipeline: Option<Pipeline>,
}

impl Worker {
    /// Returns the way from images to embeddings.
    ///
    /// # Errors
    /// When this worker was started without a model; another may do the job.
    #[cfg(feature = "model")]
    pub fn pipeline(&self) -> Result<&Pipeline, JobError> {
        self.pipeline
            .as_ref()
            .ok_or_else(|| JobError::Retryable("this worker runs without a model".to_owned()))
    }

    /// Returns how long the model has been computing its current batch; `None` while it is free or there is none.
    #[must_use]
    pub fn model_busy(&self) -> Option<Duration> {
        #[cfg(feature = "model")]
        return self.pipeline.as_ref()?.busy();
        #[cfg(not(feature = "model"))]
        None
    }
}
