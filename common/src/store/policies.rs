//! Policies of RabbitMQ that were seen to act on jobs, for `doctor`.

use std::collections::BTreeMap;

use super::{Store, StoreError};
use crate::topology::Policy;

/// What a policy did to one queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyEffect {
    pub policy: Policy,
    pub queue: String,
    /// Jobs dropped or refused, or deletions of the queue.
    pub count: u64,
    /// The last time, in ms since the Unix epoch.
    pub last_ms: u64,
}

impl Store {
    /// Counts an effect of a policy on a queue.
    pub async fn record_policy(&self, policy: Policy, queue: &str) -> Result<(), StoreError> {
        let (key, now_ms) = (self.keys.policies(), self.now_ms().await?);
        let mut pipe = redis::pipe();
        pipe.hincr(&key, format!("count {policy} {queue}"), 1).ignore();
        pipe.hset(&key, format!("last_ms {policy} {queue}"), now_ms).ignore();
        Ok(pipe.query_async(&mut self.connection.clone()).await?)
    }

    pub async fn policy_effects(&self) -> Result<Vec<PolicyEffect>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.policies());
        let fields: BTreeMap<String, u64> = command.query_async(&mut self.connection.clone()).await?;
        let effect = |(field, count): (&String, &u64)| {
            let what = field.strip_prefix("count ")?;
            let (policy, queue) = what.split_once(' ')?;
            let last_ms = fields.get(&format!("last_ms {what}")).copied().unwrap_or(0);
            Some(PolicyEffect {
                policy: policy.parse().ok()?,
                queue: queue.to_owned(),
                count: *count,
                last_ms,
            })
        };
        Ok(fields.iter().filter_map(effect).collect())
    }
}
