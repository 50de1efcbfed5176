//! A submission's life: it is created, opened for its jobs, and closed from outside them.

use std::{sync::LazyLock, time::Duration};

use redis::Script;

use super::record::{State, SubmissionKind, word};
use crate::{
    ids::SubmissionId,
    store::{Store, StoreError, lease::fenced_script},
};

static CREATE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/create_submission.lua")));
static OPEN: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/open_submission.lua")));
static OPEN_RUN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/open_run.lua")));
static CLOSE: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/close_submission.lua")));
static SET_PUBLISHED: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/set_published.lua")));

/// A submission to record.
#[derive(Clone, Debug)]
pub struct NewSubmission {
    /// Its id.
    pub id: SubmissionId,
    /// What kind of thing it asks for.
    pub kind: SubmissionKind,
    /// The request, as its coordinator wants to read it again after a restart.
    pub spec: serde_json::Value,
    /// The run that made it for itself.
    pub parent: Option<SubmissionId>,
    /// How long it is kept after its end.
    pub retention: Duration,
    /// How long its jobs may take, all together, before those left are discarded.
    pub deadline: Option<Duration>,
    /// W3C trace context of the request, for its jobs.
    pub traceparent: Option<String>,
}

/// A prepared submission, ready for its jobs.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Items, the rejected ones included.
    pub items: u64,
    /// Jobs.
    pub jobs: u32,
    /// How the items are laid out.
    pub manifest: serde_json::Value,
    /// How many items failed already (see [`Store::reject_items`]).
    pub rejected: u64,
}

impl Store {
    /// Records a submission in the state `preparing` and puts it in the index; one that is there already
    /// stays as it is.
    ///
    /// # Errors
    /// When Redis does not serve; the same call again completes it.
    pub async fn create_submission(&self, new: &NewSubmission) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let id = new.id.to_string();
        // First of all, so that whoever leads finds it even if this process dies now.
        redis::cmd("SADD").arg(self.keys.active()).arg(&id).query_async::<()>(&mut connection).await?;
        let mut fields = vec![
            ("kind", word(&new.kind)),
            ("state", State::Preparing.name()),
            ("spec", new.spec.to_string()),
            ("retention_ms", new.retention.as_millis().to_string()),
        ];
        fields.extend(new.parent.map(|parent| ("parent", parent.to_string())));
        fields.extend(new.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        if let Some(deadline) = new.deadline {
            let deadline_ms = u128::from(self.now_ms().await?) + deadline.as_millis();
            fields.push(("deadline_ms", deadline_ms.to_string()));
        }
        CREATE
            .key(self.keys.submission(new.id))
            .arg(self.keys.notifications())
            .arg(id)
            .arg(&fields)
            .invoke_async::<()>(&mut connection)
            .await?;
        // Only now: an entry without a record leaves the index.
        self.put_in_index(new.id, new.kind).await
    }

    /// Opens a prepared submission for its jobs, unless somebody closed it meanwhile. One without jobs is
    /// closed at once by [`Store::close_submission`].
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn open_submission(&self, id: SubmissionId, opening: &Opening) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut call = OPEN.key(self.keys.submission(id));
        call.arg(self.token())
            .arg(opening.items)
            .arg(opening.jobs)
            .arg(opening.rejected)
            .arg(opening.manifest.to_string());
        let opened = self.invoke_fenced(&call).await? == "opened";
        if !opened && self.state(id).await? == Some(State::Cancelled) {
            // Its retention began before these results were there.
            let mut command = redis::cmd("UNLINK");
            command.arg(self.keys.of_submission(id, "results"));
            command.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    /// Opens a run: it makes its jobs as it goes. One that is no longer `preparing` is left as it is.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn open_run(&self, run: SubmissionId) -> Result<(), StoreError> {
        OPEN_RUN.key(self.keys.submission(run)).invoke_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

    /// Remembers that the first `jobs` jobs are published, so that a restart goes on from there.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn set_published(&self, id: SubmissionId, jobs: u32) -> Result<(), StoreError> {
        let mut call = SET_PUBLISHED.key(self.keys.submission(id));
        call.arg(self.token()).arg(jobs);
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Ends a submission from outside its jobs. Returns whether it was open.
    ///
    /// # Errors
    /// When Redis does not serve.
    pub async fn close_submission(
        &self,
        id: SubmissionId,
        state: State,
        error: Option<&str>,
        keep: bool,
    ) -> Result<bool, StoreError> {
        let mut call = CLOSE.key(self.keys.submission(id));
        call.key(self.keys.of_submission(id, "results"))
            .key(self.keys.of_submission(id, "jobs"))
            .arg(self.token())
            .arg(state.name())
            .arg(error.unwrap_or_default())
            .arg(u8::from(keep))
            .arg(self.keys.notifications())
            .arg(id.to_string());
        Ok(self.invoke_fenced(&call).await? == "closed")
    }
}
