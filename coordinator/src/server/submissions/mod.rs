//! Submissions of items: embed, predict and crawl.
//!
//! Owns their way from a request to jobs in the queue and back to results:
//!
//! 1. `submit` checks the request and `admission` lets it in once, if there is room. Its id is put on the list of
//!    active submissions first, so that it is found even if this process dies; then the record is written in the state
//!    `preparing` and its doorbell is rung, in one script. That wakes the coordinator that leads, which may be another
//!    one ([`crate::server::leadership`]).
//! 2. `drive` is what the leader does for it: it reads the record and takes the step of its state, again and
//!    again until the end.
//! 3. `prepare` writes the `manifest` and opens the submission: `running`.
//! 4. `publish` turns each part of the manifest into a job and puts it into the queue.
//! 5. `sweep` watches until the end: it publishes lost jobs again and discards expired ones. Workers resolve the
//!    items meanwhile, and the last resolved item closes the submission, in the script that resolves it.
//! 6. `view`, `results` and `jobs` show it at any time; `submit::cancel` closes it early. A discarded job comes back as
//!    a dead letter ([`crate::server::dead_letters`]), which fails its items.
//!
//! Does not own training: a run makes an embed submission for itself and drives it, and runs share the record
//! and the admission.

mod admission;
mod crawl;
mod drive;
mod jobs;
mod manifest;
mod prepare;
mod publish;
mod results;
mod spec;
mod submit;
mod sweep;
mod view;

use common::store::StoreError;

pub(crate) use self::{
    admission::{Caller, IdempotencyKey},
    drive::drive,
    jobs::jobs,
    manifest::layout,
    publish::Jobs,
    results::{embeddings, results},
    spec::EmbedSpec,
    submit::{Checked, Terms, cancel, create, submit, submit_checked},
    view::{get, list, view},
};

/// Why a submission does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// It cannot be carried out; the text is for its submitter.
    #[error("{0}")]
    Failed(String),
    /// The store does not serve.
    #[error(transparent)]
    Store(StoreError),
    /// This coordinator is ending, or another one leads.
    #[error("the coordinator is stopping")]
    Stopping,
}

impl From<StoreError> for SubmissionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Replaced => Self::Stopping,
            error => Self::Store(error),
        }
    }
}
