//! Feeding: how the leader divides each queue among the submissions with unpublished jobs for it.
//!
//! A submission may have a million jobs, and a queue delivers in order. So the leader keeps little work in a queue
//! (`window`) and fills it in turns, the same number of items for each submission (`scheduler`). `feeder` looks at the
//! queues and tells the submissions' tasks how many jobs to publish. It publishes nothing itself, and keeps no state
//! beyond this process: a submission's cursor `jobs_published` is in its record.
//!
//! Invariant: a queue has at most [`Window::MAX_JOBS`] ready jobs that were fed. Jobs of users who wait
//! ([`common::topology::Route::Interactive`]), of training passes, and those that are published again, are not fed.

mod feeder;
mod scheduler;
mod window;

pub(crate) use self::feeder::Feeder;
