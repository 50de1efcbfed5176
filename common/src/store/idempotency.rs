//! Idempotency keys: repeating a request with the same key returns the first submission.
//!
//! A key is claimed before its submission is created. If the coordinator dies in between, a repeat creates the
//! submission under the claimed ID.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::{digest::Digest, ids::SubmissionId};

const KEY_TTL: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The key belongs to this request and to this submission.
    Submission(SubmissionId),
    /// The key belongs to another request.
    Conflict,
}

#[derive(Serialize, Deserialize)]
struct ClaimRecord {
    submission: SubmissionId,
    request: Digest,
}

impl ClaimRecord {
    fn check(&self, request: Digest) -> Claim {
        if self.request == request { Claim::Submission(self.submission) } else { Claim::Conflict }
    }
}

impl Store {
    /// Claims `key` for the request with digest `request`. If the key is new, the request will create submission
    /// `id`.
    pub async fn claim_key(&self, key: &str, request: Digest, id: SubmissionId) -> Result<Claim, StoreError> {
        let name = self.keys.idempotency(&Digest::of(key.as_bytes()));
        let claim = ClaimRecord { submission: id, request };
        let json = serde_json::to_string(&claim).expect("a claim is plain data");
        let mut command = redis::cmd("SET");
        command.arg(&name).arg(json).arg("NX").arg("GET").arg("EX").arg(KEY_TTL.as_secs());
        let earlier: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        let Some(json) = earlier else { return Ok(Claim::Submission(id)) };
        let earlier: ClaimRecord =
            serde_json::from_str(&json).map_err(|error| StoreError::corrupt(&name, &error))?;
        Ok(earlier.check(request))
    }

    /// Returns the claim on `key` without making one.
    pub async fn claimed_key(&self, key: &str, request: Digest) -> Result<Option<Claim>, StoreError> {
        let name = self.keys.idempotency(&Digest::of(key.as_bytes()));
        let mut command = redis::cmd("GET");
        command.arg(&name);
        let json: Option<String> = command.query_async(&mut self.connection.clone()).await?;
        json.map(|json| serde_json::from_str::<ClaimRecord>(&json).map(|claim| claim.check(request)))
            .transpose()
            .map_err(|error| StoreError::corrupt(&name, &error))
    }
}
