//! Concurrency and time limits of a worker.

use std::time::Duration;

use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};

use super::error::{ConfigError, fail};

/// Workers: concurrency and time limits.
#[derive(Clone, Debug, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default)]
pub struct WorkerSettings {
    /// Jobs that a worker runs concurrently, per queue.
    pub prefetch: u16,
    /// How long a worker may take to finish its jobs in flight after SIGTERM, in seconds. It then releases the rest.
    pub shutdown_grace_seconds: u64,
    /// Time limit of a job, in seconds. A job that takes longer is stuck: its worker releases its other jobs and
    /// exits.
    pub job_timeout_seconds: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { prefetch: 4, shutdown_grace_seconds: 30, job_timeout_seconds: 300 }
    }
}

impl WorkerSettings {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.prefetch == 0 {
            return fail("prefetch", &self.prefetch, "at least 1");
        }
        if self.job_timeout_seconds == 0 {
            return fail("job_timeout_seconds", &self.job_timeout_seconds, "at least 1");
        }
        Ok(())
    }

    /// Grace period of a graceful shutdown.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds)
    }

    #[must_use]
    pub fn job_timeout(&self) -> Duration {
        Duration::from_secs(self.job_timeout_seconds)
    }
}
