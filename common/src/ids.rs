//! Identifiers: which submission or run, which job, which process.
//!
//! Owns the newtypes and how they are derived; does not own what they refer to. Invariant: a [`JobId`] is a pure
//! function of its submission, its kind and its name there (see [`JobArgs::name`](crate::job::args::JobArgs::name)), so
//! a coordinator that publishes the same work twice publishes the same job.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no id like 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct NoId;

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
            type Err = NoId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self).map_err(|_| NoId)
            }
        }
    };
}

uuid_newtype! {
    /// Identifies a submission (UUIDv7, so ids sort by creation time). A train run is a submission too.
    SubmissionId
}

uuid_newtype! {
    /// Identifies a job: UUIDv5 of its submission, kind and index, the same over retries.
    JobId
}

uuid_newtype! {
    /// Identifies one life of one process (UUIDv4): a restarted worker has a new one.
    BootId
}

impl SubmissionId {
    /// Makes a new id from the current time.
    #[must_use]
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }

    /// How long ago it was made, as far as the clocks of its maker and of this machine agree; nothing when it
    /// holds no time, or one to come.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))?;
        made.elapsed().ok()
    }
}

impl JobId {
    /// Derives an id from `name`, which must be unique within `submission`.
    pub(crate) fn from_name(submission: SubmissionId, name: &str) -> Self {
        Self(Uuid::new_v5(&submission.0, name.as_bytes()))
    }
}

impl BootId {
    /// Makes a random id for this life of the process.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}
