//! Jobs whose message RabbitMQ dropped because of a policy: whether and when they are published again.

use std::sync::LazyLock;

use redis::Script;

use super::script::{JobRef, ignored_reason, job_script};
use crate::{
    store::{Store, StoreError},
    topology::DelayTier,
};

static DELAY: LazyLock<Script> =
    LazyLock::new(|| job_script(include_str!("../scripts/delay_dropped_job.lua")));

/// What to do about a dropped job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DroppedJob {
    /// Publish it again after this delay, which grows with every drop.
    PublishAgain(DelayTier),
    /// It needs no message, for this reason.
    Ignored(&'static str),
}

impl Store {
    /// Records that RabbitMQ dropped a job's message.
    pub async fn delay_dropped_job(&self, job: JobRef<'_>) -> Result<DroppedJob, StoreError> {
        let mut call = DELAY.prepare_invoke();
        call.key(self.keys.submission(job.submission))
            .key(self.keys.of_submission(job.submission, "jobs"))
            .arg(job.name)
            .arg(job.generation);
        for tier in DelayTier::ALL {
            call.arg(u64::try_from(tier.delay().as_millis()).unwrap_or(u64::MAX));
        }
        let (drops, ignored): (u32, String) = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match drops {
            0 => DroppedJob::Ignored(ignored_reason(&ignored)),
            drops => DroppedJob::PublishAgain(DelayTier::after_attempt(drops)),
        })
    }
}
