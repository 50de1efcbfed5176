//! Idempotency keys: a request that is sent again finds what it made the first time.
//!
//! Owns the claim of a key; it precedes the submission it names, so a repeat after a death in between makes
//! that very submission.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{digest::Digest, ids::SubmissionId};

/// How long a key is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What came of claiming a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The request is new, or the same as before: it is about this submission.
    Of(SubmissionId),
    /// The key belongs to another request.
    Conflict,
}

#[derive(Serialize, Deserialize)]
struct Claimed {
    submission: SubmissionId,
    request: Digest,
}

impl Claimed {
    fn by(&self, request: Digest) -> Claim {
        if self.request == request { Claim::Of(self.submission) } else { Claim::Conflict }
    }
}

impl Store {
    /// Claims `key` for a request, which is known by the digest of its body; `id` is the submission it makes
    /// if the key is new.
    ///
    /// # Errors
    /// When Redis does not serve or a claim is not one.
    pub async fn claim_key(&self, key: &str, request: Digest, id: SubmissionId) -> Result<Claim, StoreError> {
        let name = self.keys.idempotency(&Digest::of(key.as_bytes()));
        let claim = Claimed { submission: id, request };
        let json = serde_json::to_string(&claim).expect("a claim is plain data");
        let mut command = redis::cmd("SET");
        command.arg(&name).arg(json).arg("NX").arg("GET").arg("EX").arg(REMEMBERED.as_secs());
        let earlier: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        let Some(json) = earlier else { return Ok(Claim::Of(id)) };
        let earlier: Claimed =
            serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&name, &error))?;
        Ok(earlier.by(request))
    }

    /// Returns what `key` was claimed for, if it was.
    ///
    /// # Errors
    /// When Redis does not serve or a claim is not one.
    pub async fn claimed_key(&self, key: &str, request: Digest) -> Result<Option<Claim>, StoreError> {
        let name = self.keys.idempotency(&Digest::of(key.as_bytes()));
        let mut command = redis::cmd("GET");
        command.arg(&name);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str::<Claimed>(&json).map(|claimed| claimed.by(request)))
            .transpose()
            .map_err(|error| StoreError::corrupt(&name, &error))
    }
}
