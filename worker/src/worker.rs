//! The context that all jobs of a worker share: connections, model and thread pools. It has no per-job state.

use std::time::Duration;

use common::{broker::Publisher, embedding::DeviceClass, ids::InstanceId, stage::Stage, store::Store};
use crawler::http::Web;
use images::{decoder::Decoder, pool::CpuPool};

use crate::training::Runs;
#[cfg(feature = "model")]
use crate::{inference::Pipeline, outcome::JobError};

/// One worker process.
pub struct Worker {
    pub instance: InstanceId,
    /// `HOST:PID`, for display.
    pub name: String,
    /// The class of its model's device; `None` without a model.
    pub device_class: Option<DeviceClass>,
    pub store: Store,
    /// Publishes retry copies and dead letters.
    pub publisher: Publisher,
    /// Cached data of training runs.
    pub runs: Runs,
    /// Threads that compute gradients.
    pub trainer: CpuPool,
    /// Threads that decode images.
    pub decoder: Decoder,
    /// Rate-limited HTTP client for crawls.
    pub web: Web,
    /// Time limit of an attempt.
    pub job_timeout: Duration,
    /// `None` if none of the worker's job kinds needs the model.
    #[cfg(feature = "model")]
    pub pipeline: Option<Pipeline>,
}

impl Worker {
    /// # Errors
    /// `JobError::Retryable` if this worker runs without a model: another worker may have one.
    #[cfg(feature = "model")]
    pub fn pipeline(&self) -> Result<&Pipeline, JobError> {
        self.pipeline
            .as_ref()
            .ok_or_else(|| JobError::Retryable("this worker runs without the model".to_owned()))
    }

    /// The stages that images pass, by name; none without a model.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, Stage)> {
        #[cfg(feature = "model")]
        return self.pipeline.as_ref().map_or_else(Vec::new, |pipeline| pipeline.stages().into());
        #[cfg(not(feature = "model"))]
        Vec::new()
    }

    /// Why the model can compute no more; `None` while it can, or without a model.
    #[must_use]
    pub fn model_failure(&self) -> Option<String> {
        #[cfg(feature = "model")]
        return self.pipeline.as_ref()?.failure();
        #[cfg(not(feature = "model"))]
        None
    }

    /// How long the current batch has been running; `None` while the model is idle or not loaded.
    #[must_use]
    pub fn model_busy(&self) -> Option<Duration> {
        #[cfg(feature = "model")]
        return self.pipeline.as_ref()?.busy();
        #[cfg(not(feature = "model"))]
        None
    }
}
