//! What a worker's jobs work with.
//!
//! Owns the connections, the model and the bounds of one process; holds no state of a single job.

use std::time::Duration;

use common::{broker::Publisher, byte_budget::ByteBudget, ids::BootId, store::Store};

#[cfg(feature = "model")]
use crawler::http::Web;
use images::pool::CpuPool;

use crate::{inference::Embedder, jobs::JobError, queue::fatal::Fatal, training::run_data::Runs};

/// One worker process.
pub struct Worker {
    /// This life of the process.
    pub boot: BootId,
    /// Host and process id, for people.
    pub name: String,
    /// The store.
    pub store: Store,
    /// Publishes retry copies and dead letters.
    pub publisher: Publisher,
    /// Ends this process on its own account.
    pub fatal: Fatal,
    /// Runs it computes gradients for.
    pub runs: Runs,
    /// Bytes of images it may hold.
    pub image_memory: ByteBudget,
    /// Threads that decode images.
    pub decoder: CpuPool,
    /// Largest image file.
    pub max_image_bytes: u64,
    /// Asks the web.
    pub web: Web,
    /// Longest it may work on one job.
    pub job_limit: Duration,
    /// The model, if it consumes a kind that needs one.
    #[cfg(feature = "model")]
    pub embedder: Option<Embedder>,
}

impl Worker {
    /// Returns the model.
    ///
    /// # Errors
    /// When this worker was started without one; another may do the job.
    #[cfg(feature = "model")]
    pub fn model(&self) -> Result<&Embedder, JobError> {
        self.embedder
            .as_ref()
            .ok_or_else(|| JobError::Retryable("this worker runs without a model".to_owned()))
    }

    /// Returns how long the model has been at its current batch; nothing while it is free or there is none.
    #[must_use]
    pub fn model_busy(&self) -> Option<Duration> {
        #[cfg(feature = "model")]
        return self.embedder.as_ref()?.busy();
        #[cfg(not(feature = "model"))]
        None
    }
}
