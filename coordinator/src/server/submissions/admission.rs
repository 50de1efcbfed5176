//! Which requests are let in: those that are new, and not too many at once.
//!
//! Owns the meaning of an idempotency key and the limit on what is going on. A request that is sent again
//! under its key finds the submission that it made, whatever happened in between.

use common::{digest::Digest, ids::SubmissionId, store::Claim};
use serde::Serialize;

use crate::server::{context::Context, error::RequestError};

/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 255;

/// A key under which a caller may send a request again: 1 to 255 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes a caller's key.
    ///
    /// # Errors
    /// When it is empty, too long, or holds other than visible ASCII characters.
    pub(crate) fn new(text: &str) -> Result<Self, RequestError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_KEY_BYTES || !visible {
            return Err(RequestError::Invalid(format!(
                "the idempotency key must be 1 to {MAX_KEY_BYTES} visible ASCII characters without spaces"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a caller says of a request to submit beside its body.
#[derive(Clone, Default, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Option<IdempotencyKey>,
    /// W3C trace context, which the jobs of the submission carry on.
    pub(crate) traceparent: Option<String>,
}

/// What to do about a request.
pub(super) enum Admission {
    /// Record it as this submission.
    Create(SubmissionId),
    /// It was recorded before as this submission.
    Repeat(SubmissionId),
}

/// Finds what a request made when it was sent before. Asked first of all: what a repeat names may be gone
/// by now.
///
/// # Errors
/// When the key belongs to another request, or the store does not serve.
pub(super) async fn repeat_of(
    context: &Context,
    request: &impl Serialize,
    key: Option<&IdempotencyKey>,
) -> Result<Option<SubmissionId>, RequestError> {
    let (Some(IdempotencyKey(key)), store) = (key, &context.store) else { return Ok(None) };
    match store.claimed_key(key, digest(request)).await? {
        Some(Claim::Submission(id)) if store.state(id).await?.is_some() => Ok(Some(id)),
        Some(Claim::Conflict) => Err(conflict()),
        Some(Claim::Submission(_)) | None => Ok(None),
    }
}

/// Lets a request in, if it may be.
///
/// # Errors
/// When the key belongs to another request, too much is going on, or the store does not serve.
pub(super) async fn admit(
    context: &Context,
    request: &impl Serialize,
    key: Option<&IdempotencyKey>,
) -> Result<Admission, RequestError> {
    let store = &context.store;
    let Some(IdempotencyKey(key)) = key else {
        require_room(context).await?;
        return Ok(Admission::Create(SubmissionId::now()));
    };
    let request = digest(request);
    // A new key is claimed only if there is room: a refusal must not cost the caller its key.
    let room = require_room(context).await;
    if room.is_err() && store.claimed_key(key, request).await?.is_none() {
        room?;
    }
    match store.claim_key(key, request, SubmissionId::now()).await? {
        Claim::Submission(id) if store.state(id).await?.is_some() => Ok(Admission::Repeat(id)),
        // The process that claimed it died before it recorded it, or another is about to.
        Claim::Submission(id) => Ok(Admission::Create(id)),
        Claim::Conflict => Err(conflict()),
    }
}

async fn require_room(context: &Context) -> Result<(), RequestError> {
    let (active, limit) = (context.store.active_submission_count().await?, context.settings.jobs.max_active);
    if active < limit {
        return Ok(());
    }
    Err(RequestError::Busy(format!(
        "{active} submissions and runs are going on, and no more than {limit} may be (SUBWATCH_MAX_ACTIVE): try \
         again when some have ended"
    )))
}

fn digest(request: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(request).expect("a request is plain data"))
}

fn conflict() -> RequestError {
    let what = "this idempotency key was used for another request: use a new key for a new request";
    RequestError::Conflict(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_and_bounded() {
        for good in ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", &"x".repeat(255)] {
            assert!(IdempotencyKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "two words", "line\n", "schlüssel", &"x".repeat(256)] {
            assert!(IdempotencyKey::new(bad).is_err(), "{bad}");
        }
    }
}
