//! The lease on leading: of several coordinators, one drives submissions and runs.
//!
//! Owns the lease, its token, and the fence that the token raises around a submission. Invariant: what a
//! coordinator that was replaced writes with an older token has no effect, however late it notices.

use std::{sync::LazyLock, time::Duration};

use redis::{Script, ScriptInvocation};

use super::{Store, StoreError, jobs::optional};
use crate::ids::{InstanceId, SubmissionId};

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/acquire_lease.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release_lease.lua")));
static TAKE_OVER: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("scripts/take_over.lua")));

/// A script that only the leading coordinator may run: its first argument is [`Store::token`].
pub(super) fn fenced_script(script: &str) -> Script {
    Script::new(&format!("{}{script}", include_str!("scripts/fence.lua")))
}

impl Store {
    /// Takes or renews the lease for `instance`, for `time_to_live`. Returns the token, which differs from an
    /// earlier one if the lease was somebody else's in between; nothing when somebody else holds it.
    ///
    /// # Errors
    /// When Redis does not serve.
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

    /// Gives the lease back, so that another need not wait for its end.
    ///
    /// # Errors
    /// When Redis does not serve; the lease runs out by itself.
    pub async fn release_lease(&self, instance: InstanceId) -> Result<(), StoreError> {
        Ok(RELEASE
            .key(self.keys.lease())
            .arg(instance.to_string())
            .invoke_async(&mut self.connection.clone())
            .await?)
    }

    /// Returns a handle whose writes carry `token` and fail once somebody with a newer one took over.
    #[must_use]
    pub fn with_token(&self, token: u64) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// Raises the fence around a submission to this handle's token. Returns whether it is there.
    ///
    /// # Errors
    /// When Redis does not serve, or this coordinator was replaced.
    pub async fn take_over(&self, id: SubmissionId) -> Result<bool, StoreError> {
        let mut call = TAKE_OVER.key(self.keys.submission(id));
        call.arg(self.token());
        Ok(self.invoke_fenced(&call).await? == "taken")
    }

    /// The token as an argument of a [`fenced_script`].
    pub(super) fn token(&self) -> String {
        optional(self.token)
    }

    /// Invokes a [`fenced_script`] and returns its verdict.
    pub(super) async fn invoke_fenced(&self, call: &ScriptInvocation<'_>) -> Result<String, StoreError> {
        let verdict: String = call.invoke_async(&mut self.connection.clone()).await?;
        if verdict == "fenced" { Err(StoreError::Replaced) } else { Ok(verdict) }
    }
}
