//! Training runs and what they leave.

use common::{
    ids::SubmissionId,
    store::{Submission, SubmissionKind},
};

use super::{
    Coordinator, RequestError,
    admission::{Admission, IdempotencyKey},
};
use crate::{
    api::{HeadView, Page, RunRequest, RunView, SampleView, TestedView},
    server::{
        submissions::{self, Terms},
        training as runs,
    },
};

impl Coordinator {
    /// Accepts a run. Sent again under the same key, it is the same run.
    ///
    /// # Errors
    /// When the request is wrong, not let in, or cannot be recorded.
    pub async fn submit_run(
        &self,
        request: RunRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<RunView, RequestError> {
        if let Some(id) = self.repeat_of(&request, key).await? {
            return self.run(id).await;
        }
        let spec = runs::check(&self.context, request.clone())?;
        let id = match self.admit(&request, key).await? {
            Admission::Repeat(id) => return self.run(id).await,
            Admission::Create(id) => id,
        };
        let context = &self.context;
        submissions::create(context, id, SubmissionKind::Train, &spec, Terms::default()).await?;
        context.store.open_run(id).await?;
        self.run(id).await
    }

    /// Opens a run that failed again; it goes on from its last checkpoint.
    ///
    /// # Errors
    /// When there is none with this id, it did not fail, or the store does not serve.
    pub async fn resume_run(&self, id: SubmissionId) -> Result<RunView, RequestError> {
        let run = self.find_run(id).await?;
        // First of all, so that whoever leads finds it even if this process dies in between.
        self.context.store.set_active(id).await?;
        if !self.context.store.reopen_run(id).await? {
            return Err(RequestError::Conflict(format!(
                "run {id} is {}: only a run that failed can be resumed",
                run.state
            )));
        }
        // Again, since a leader that looked in between found it ended and took it off.
        self.context.store.set_active(id).await?;
        self.run(id).await
    }

    /// Returns a run.
    ///
    /// # Errors
    /// When there is none with this id, or the store does not serve.
    pub async fn run(&self, id: SubmissionId) -> Result<RunView, RequestError> {
        let submission = self.find_run(id).await?;
        runs::view(&self.context, &submission).await
    }

    /// Lists runs, newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store does not serve.
    pub async fn runs(&self, cursor: Option<&str>, limit: usize) -> Result<Page<RunView>, RequestError> {
        let found = self.context.store.runs(crate::server::service::parse_id_cursor(cursor)?, limit).await?;
        let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.to_string());
        let mut items = Vec::with_capacity(found.len());
        for submission in &found {
            items.push(runs::view(&self.context, submission).await?);
        }
        Ok(Page { items, next })
    }

    /// Finds the run that a user names: an id, `latest` or `best`.
    ///
    /// # Errors
    /// When there is none, or it has no head.
    pub async fn resolve_run(&self, name: &str) -> Result<RunView, RequestError> {
        self.run(runs::resolve(&self.context, name).await?).await
    }

    /// Returns a page of a run's samples, in the order of its manifest.
    ///
    /// # Errors
    /// When there is no such run, it was not split yet, or the artifacts cannot be read.
    pub async fn split(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<SampleView>, RequestError> {
        self.find_run(id).await?;
        runs::samples(&self.context, id, cursor).await
    }

    /// Returns a page of the predictions on a run's test split.
    ///
    /// # Errors
    /// When there is no such run, it is not through, or the artifacts cannot be read.
    pub async fn tested(
        &self,
        id: SubmissionId,
        cursor: Option<&str>,
    ) -> Result<Page<TestedView>, RequestError> {
        self.find_run(id).await?;
        runs::tested(&self.context, id, cursor).await
    }

    /// Returns a run's head.
    ///
    /// # Errors
    /// When there is no such run, it has no head, or the store does not serve.
    pub async fn head(&self, id: SubmissionId) -> Result<HeadView, RequestError> {
        self.find_run(id).await?;
        runs::head(&self.context, id).await
    }

    pub(super) async fn find_run(&self, id: SubmissionId) -> Result<Submission, RequestError> {
        let submission = self.find(id).await?;
        if submission.kind != SubmissionKind::Train {
            return Err(RequestError::NotFound(format!("{id} is no run but a submission")));
        }
        Ok(submission)
    }
}
