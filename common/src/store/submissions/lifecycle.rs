//! The lifecycle of a submission: created, opened for its jobs, closed.

use std::{sync::LazyLock, time::Duration};

use redis::Script;

use super::record::{State, SubmissionKind, variant_name};
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
static END: LazyLock<Script> = LazyLock::new(|| fenced_script(include_str!("../scripts/end_submission.lua")));
static EXTEND: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/extend_submission.lua")));
static COMPLETE_LISTING: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/complete_listing.lua")));
static REPLACE_SPEC: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/replace_spec.lua")));
static DELETE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("../scripts/delete_submission.lua")));
static SET_PUBLISHED: LazyLock<Script> =
    LazyLock::new(|| fenced_script(include_str!("../scripts/set_published.lua")));

#[derive(Clone, Debug)]
pub struct NewSubmission {
    pub id: SubmissionId,
    pub kind: SubmissionKind,
    /// The request, for the coordinator after a restart.
    pub spec: serde_json::Value,
    /// The run that created it, for its embeddings.
    pub parent: Option<SubmissionId>,
    /// How long to keep it after it has finished.
    pub retention: Duration,
    /// Time until its unfinished jobs are discarded.
    pub deadline: Option<Duration>,
    /// W3C trace context of the request, for its jobs.
    pub traceparent: Option<String>,
    /// Name of the access token that submitted it.
    pub submitted_by: Option<String>,
}

/// The result of preparing a submission.
#[derive(Clone, Default, Debug)]
pub struct Opening {
    /// Number of items, including rejected ones.
    pub items: u64,
    pub jobs: u32,
    /// The layout of the items.
    pub manifest: serde_json::Value,
    /// Items that have already failed (see [`Store::reject_items`]).
    pub rejected: u64,
    /// Who ends it.
    pub end: End,
}

/// Who ends a submission whose jobs are finished.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum End {
    /// The worker that finishes the last job.
    #[default]
    LastJob,
    /// The leader, since its jobs write files ([`Store::end_submission`]).
    Output,
    /// Its items are still being listed ([`Store::extend_submission`]); the last job ends it once all of them are
    /// ([`Store::complete_listing`]).
    Listing,
}

/// The result of [`Store::delete_submission`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deletion {
    Deleted,
    /// It has not ended, or the leader has not finished with it.
    Open,
    Missing,
}

impl Store {
    /// Records a submission in the state `preparing` and adds it to the index. An existing one stays as it is. After an
    /// error, repeat it.
    pub async fn create_submission(&self, new: &NewSubmission) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let id = new.id.to_string();
        // First, so that the leader finds the submission even if this process dies now.
        redis::cmd("SADD").arg(self.keys.active()).arg(&id).query_async::<()>(&mut connection).await?;
        let mut fields = vec![
            ("kind", variant_name(&new.kind)),
            ("state", State::Preparing.name()),
            ("spec", new.spec.to_string()),
            ("retention_ms", new.retention.as_millis().to_string()),
        ];
        fields.extend(new.parent.map(|parent| ("parent", parent.to_string())));
        fields.extend(new.traceparent.clone().map(|traceparent| ("traceparent", traceparent)));
        fields.extend(new.submitted_by.clone().map(|name| ("submitted_by", name)));
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
        // Last, because index entries without a record are removed.
        self.index_submission(new.id, new.kind).await
    }

    /// Opens a prepared submission for its jobs, unless it was closed in the meantime. If it has no jobs, the caller
    /// closes it with [`Store::close_submission`].
    pub async fn open_submission(&self, id: SubmissionId, opening: &Opening) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let mut call = OPEN.key(self.keys.submission(id));
        call.arg(self.token())
            .arg(opening.items)
            .arg(opening.jobs)
            .arg(opening.rejected)
            .arg(opening.manifest.to_string())
            .arg(match opening.end {
                End::LastJob => "",
                End::Output => "output",
                End::Listing => "listing",
            });
        let opened = self.invoke_fenced(&call).await? == "opened";
        if !opened && self.state(id).await? == Some(State::Cancelled) {
            // Its retention began before these results existed, so they would never expire.
            let mut command = redis::cmd("UNLINK");
            command.arg(self.keys.of_submission(id, "results"));
            command.query_async::<()>(&mut connection).await?;
        }
        Ok(())
    }

    /// Records the items and jobs listed so far of a submission opened with [`End::Listing`]. Returns whether it is still
    /// open and being listed.
    pub async fn extend_submission(
        &self,
        id: SubmissionId,
        items: u64,
        jobs: u32,
        manifest: &serde_json::Value,
    ) -> Result<bool, StoreError> {
        let mut call = EXTEND.key(self.keys.submission(id));
        call.arg(self.token())
            .arg(items)
            .arg(jobs)
            .arg(manifest.to_string())
            .arg(self.keys.notifications())
            .arg(id.to_string());
        Ok(self.invoke_fenced(&call).await? == "extended")
    }

    /// Ends the listing of a submission, after its last [extension](Self::extend_submission) and
    /// [`Store::reject_items`], and closes it if all jobs are finished. Repeating it changes nothing.
    pub async fn complete_listing(
        &self,
        id: SubmissionId,
        rejected: u64,
        items: u64,
        jobs: u32,
        manifest: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let mut call = COMPLETE_LISTING.key(self.keys.submission(id));
        call.key(self.keys.of_submission(id, "results"))
            .key(self.keys.of_submission(id, "jobs"))
            .arg(self.token())
            .arg(rejected)
            .arg(self.keys.notifications())
            .arg(id.to_string())
            .arg(items)
            .arg(jobs)
            .arg(manifest.to_string());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Replaces the stored request, for example by a shorter one once the manifest has its items.
    pub async fn replace_spec(&self, id: SubmissionId, spec: &serde_json::Value) -> Result<(), StoreError> {
        let mut call = REPLACE_SPEC.key(self.keys.submission(id));
        call.arg(self.token()).arg(spec.to_string());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Opens a run, whose jobs are created step by step. No effect unless it is `preparing`.
    pub async fn open_run(&self, run: SubmissionId) -> Result<(), StoreError> {
        OPEN_RUN.key(self.keys.submission(run)).invoke_async::<()>(&mut self.connection.clone()).await?;
        Ok(())
    }

    /// Records that the first `jobs` jobs are published, so that a restart continues from there.
    pub async fn set_published(&self, id: SubmissionId, jobs: u32) -> Result<(), StoreError> {
        let mut call = SET_PUBLISHED.key(self.keys.submission(id));
        call.arg(self.token()).arg(jobs);
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Closes a submission that [awaits the leader](super::Submission::awaits_leader), unless a job is unfinished again.
    /// Workers close other submissions with their last job.
    pub async fn end_submission(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut call = END.key(self.keys.submission(id));
        call.key(self.keys.of_submission(id, "results"))
            .key(self.keys.of_submission(id, "jobs"))
            .arg(self.token())
            .arg(self.keys.notifications())
            .arg(id.to_string());
        self.invoke_fenced(&call).await.map(drop)
    }

    /// Closes a submission other than by its last job. `keep` disables the retention. Returns whether it was open.
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

    /// Deletes an ended submission or run with its data, unless the leader is still occupied with its end.
    pub async fn delete_submission(&self, id: SubmissionId) -> Result<Deletion, StoreError> {
        let mut connection = self.connection.clone();
        let mut member = redis::cmd("SISMEMBER");
        member.arg(self.keys.active()).arg(id.to_string());
        if member.query_async(&mut connection).await? && self.state(id).await?.is_some() {
            return Ok(Deletion::Open);
        }
        let mut count = redis::cmd("HGET");
        count.arg(self.keys.submission(id)).arg("jobs");
        let jobs: Option<u32> = count.query_async(&mut connection).await?;
        let mut call = DELETE.key(self.keys.submission(id));
        call.key(self.keys.of_submission(id, "channels"));
        for key in self.run_data(id) {
            call.key(key);
        }
        let deletion = match call.invoke_async::<String>(&mut connection).await?.as_str() {
            "open" => return Ok(Deletion::Open),
            "missing" => Deletion::Missing,
            _ => Deletion::Deleted,
        };
        for index in [self.keys.submissions(), self.keys.runs()] {
            redis::cmd("ZREM").arg(index).arg(id.to_string()).query_async::<()>(&mut connection).await?;
        }
        for job in 0..jobs.unwrap_or(0) {
            let progress = self.keys.crawled(id, &job.to_string());
            redis::cmd("UNLINK").arg(progress).query_async::<()>(&mut connection).await?;
        }
        Ok(deletion)
    }
}
