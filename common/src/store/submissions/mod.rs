//! Submissions: what users asked for, how far it is, and the results of its items.
//!
//! Owns the submission's record and its index; does not own how jobs change it (see [`super::jobs`]). `record` is read
//! anywhere, `lifecycle` creates, opens and closes it, `index` lists submissions and those that are active, and
//! `results` holds what became of the items.

mod index;
mod lifecycle;
mod record;
mod results;

pub use self::{
    lifecycle::{NewSubmission, Opening},
    record::{State, Submission, SubmissionKind},
};
