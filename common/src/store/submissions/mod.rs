//! Submissions: their records, lifecycle, indexes and item results.
//!
//! `record` reads a submission, `lifecycle` creates, opens and closes it, `index` lists all and active submissions, and
//! `results` reads item results. How jobs update a submission is in [`super::jobs`].

mod index;
mod lifecycle;
mod record;
mod results;

pub use self::{
    lifecycle::{Deletion, End, NewSubmission, Opening},
    record::{State, Submission, SubmissionKind},
};
