//! Identifiers: who asked, which job, which process, which bytes.
//!
//! Owns the newtypes and how they are derived; does not own what they refer to.
//! Invariant: a [`JobId`] is a pure function of its submission, kind and index, so a coordinator that
//! publishes the same chunk twice publishes the same job.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jobs::Kind;

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
    /// Derives the id of the job of `kind` that `name` singles out within `submission`.
    #[must_use]
    pub fn derive(submission: SubmissionId, kind: Kind, name: &str) -> Self {
        Self(Uuid::new_v5(&submission.0, format!("{kind}/{name}").as_bytes()))
    }
}

impl BootId {
    /// Makes a random id for this life of the process.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// The SHA-256 of some bytes: an image file, a weights file. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Computes the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Returns the first `digits` hexadecimal digits.
    #[must_use]
    pub fn prefix(&self, digits: usize) -> String {
        let mut hex = self.to_string();
        hex.truncate(digits);
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Names what made a set of embeddings: backbone weights hash, preprocessing version, kernel version,
/// precision and device class. Embeddings of different spaces are never compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space(pub String);

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names the arithmetic that computes a gradient: workers with the same fingerprint agree bit for bit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_are_stable_and_distinct() {
        let submission = SubmissionId::now();
        let job = JobId::derive(submission, Kind::Embed, "7");
        assert_eq!(job, JobId::derive(submission, Kind::Embed, "7"));
        assert_ne!(job, JobId::derive(submission, Kind::Embed, "8"));
        assert_ne!(job, JobId::derive(submission, Kind::Predict, "7"));
        assert_ne!(job, JobId::derive(SubmissionId::now(), Kind::Embed, "7"));
    }

    #[test]
    fn digest_round_trips_through_text() {
        let digest = Digest::of(b"thumbnail");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert_eq!(digest.prefix(3), digest.to_string()[..3]);
        assert!("abc".parse::<Digest>().is_err());
    }
}
