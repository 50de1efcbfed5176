//! IDs of submissions, jobs and worker instances.
//!
//! Invariant: a [`JobId`] is a pure function of the job's submission, kind and
//! [name](crate::job::args::JobArgs::name), so a coordinator that publishes the same work twice publishes the same job.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct InvalidId;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

uuid_newtype! {
    /// Identifies a submission (UUIDv7, so IDs sort by creation time). A training run is a submission too.
    SubmissionId
}

uuid_newtype! {
    /// Identifies a job: UUIDv5 of its submission, kind and index, the same for every attempt.
    JobId
}

uuid_newtype! {
    /// Identifies one run of a process (UUIDv4): a restarted worker has a new instance ID.
    InstanceId
}

impl SubmissionId {
    #[must_use]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// Time since the ID was made, by this machine's clock; `None` if the ID contains no timestamp or a future
    /// one. The ID may come from a machine with a different clock.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        let created = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))?;
        created.elapsed().ok()
    }
}

impl JobId {
    /// Derives an ID from `name`, which must be unique within `submission`.
    pub(crate) fn from_name(submission: SubmissionId, name: &str) -> Self {
        Self(Uuid::new_v5(&submission.0, name.as_bytes()))
    }
}

impl InstanceId {
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}
