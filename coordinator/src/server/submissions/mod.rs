//! Embed, predict and crawl submissions.
//!
//! Owns their path from a request to jobs in the queue and back to results:
//!
//! 1. `submit` checks the request; `admission` admits it once, within the limit on active submissions. First the ID is
//!    added to the active submissions, so that it is found even if this process dies. Then one script writes the record
//!    in the state `preparing` and notifies the leader, which may be another coordinator
//!    ([`crate::server::leadership`]).
//! 2. `drive` is the leader's task for the submission: it reads the record and performs the step of its state, until
//!    the end.
//! 3. `prepare` writes the `manifest` with `manifest_writer` and sets the state to `running`. A large dataset is `running`
//!    when its first items are written, and `listing` adds the others meanwhile.
//! 4. `publish` publishes a job for each part of the manifest, in turns with other submissions
//!    ([`crate::server::feeding`]).
//! 5. `rescue` waits for the end: it republishes lost jobs and discards expired ones. Meanwhile workers resolve the
//!    items. The script that resolves the last item also closes the submission; a crawl is closed by `crawled_rows`, once
//!    its rows are in the dataset, and a prediction with an output by `output`, once its manifest is written.
//! 6. `view`, `results` and `jobs` show it at any time; `submit::cancel` closes it early, and `delete` deletes it after its
//!    end. A discarded job becomes a dead letter ([`crate::server::dead_letters`]), which fails its items.
//!
//! Training runs share the record and the admission. A run creates an embed submission and drives it.

mod admission;
mod crawl;
mod crawled_rows;
mod delete;
mod drive;
mod jobs;
mod listing;
mod manifest;
mod manifest_writer;
mod output;
mod prepare;
mod publish;
mod rescue;
mod results;
mod spec;
mod submit;
mod view;

use common::store::StoreError;

pub(crate) use self::{
    admission::{Caller, IdempotencyKey},
    delete::{delete, delete_all_of},
    drive::drive,
    jobs::jobs,
    manifest::{Parts, layout},
    publish::Jobs,
    results::{embeddings, results},
    spec::EmbedSpec,
    submit::{Checked, SubmitOptions, cancel, create, submit, submit_checked},
    view::{get, list, reason_to_wait, view, waiting},
};

/// Why driving a submission stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// Permanent; the text is for the user.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Store(StoreError),
    /// This coordinator is stopping or another one is the leader; the submission continues there.
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
