//! The leader lease: of several coordinators, one drives submissions and runs.
//!
//! Owns the lease and its fencing token, which the leader writes to each submission. Invariant: writes with an older
//! token are rejected, so a replaced coordinator cannot change anything, however late it notices.

use std::{sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation};

use super::{Store, StoreError, jobs::optional};
use crate::ids::{InstanceId, SubmissionId};

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/acquire_lease.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release_lease.lua")));
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/take_over.lua")));

/// A script that only the leader may run. Its first argument is [`Store::token`].
pub(super) fn fenced_script(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/fence.lua")))
}

impl Store {
    /// Acquires or renews the lease for `time_to_live`. Returns its fencing token, which is new whenever the lease was
    /// not held before; `None` if another instance holds the lease.
    pub async fn acquire_lease(
        &self,
        instance: InstanceId,
        time_to_live: Duration,
    ) -> Result<Option<u64>, StoreError> {
        let token: u64 = ACQUIRE
            .key(self.keys.lease())
            .key(self.keys.lease_token())
            .arg(instance.to_string())
            .arg(time_to_live.as_millis() as u64)
            .invoke_async(&mut self.connection.clone())
            .await?;
        Ok((token != 0).then_some(token))
    }

    /// Releases the lease, so that another coordinator need not wait for it to expire.
    pub async fn release_lease(&self, instance: InstanceId) -> Result<(), StoreError> {
        Ok(RELEASE
            .key(self.keys.lease())
            .arg(instance.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Returns a client whose writes fail with [`StoreError::Replaced`] once a newer token has taken over.
    #[must_use]
    pub fn with_token(&self, token: u64) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// Fences a submission with this client's token. Returns whether the submission exists.
    pub async fn take_over(&self, id: SubmissionId) -> Result<bool, StoreError> {
        let mut call = TAKE_OVER.key(self.keys.submission(id));
        call.arg(self.token());
        Ok(self.invoke_fenced(&call).await? == "taken")
    }

    pub(super) fn token(&self) -> String {
        optional(self.token)
    }

    pub(super) async fn invoke_fenced(&self, call: &ScriptInvocation<'_>) -> Result<String, StoreError> {
        let verdict: String = call.invoke_async(&mut self.connection.clone()).await?;
        if verdict == "fenced" { Err(StoreError::Replaced) } else { Ok(verdict) }
    }
}
