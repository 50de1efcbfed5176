//! Admission control: idempotency keys, and the limit on active submissions.
//!
//! A request repeated with its idempotency key finds the submission of the first one, even if a process died in
//! between.

use common::{digest::Digest, ids::SubmissionId, store::Claim};
use serde::Serialize;

use crate::server::{context::Context, error::RequestError, memory};

const MAX_KEY_BYTES: usize = 255;

/// An idempotency key: 1 to 255 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn new(text: &str) -> Result<Self, RequestError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_KEY_BYTES || !visible {
            return Err(RequestError::Invalid(format!(
                "the idempotency key must have 1 to {MAX_KEY_BYTES} visible ASCII characters without spaces"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What the headers of a submit request say.
#[derive(Clone, Default, Debug)]
pub(crate) struct Caller {
    /// Name of the access token.
    pub(crate) token: Option<String>,
    pub(crate) key: Option<IdempotencyKey>,
    /// W3C trace context, passed on to the submission's jobs.
    pub(crate) traceparent: Option<String>,
}

pub(super) enum Admission {
    /// A new request: create this submission.
    Create(SubmissionId),
    /// A repeated request: the submission of the first one.
    Repeat(SubmissionId),
}

/// Finds the submission of an earlier request with the same key. Called before the request is checked: the dataset or
/// run of a repeat may not exist any more.
///
/// # Errors
/// `Conflict` if the key was used for another request.
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

/// Admits a request and claims its key.
///
/// # Errors
/// `Conflict` if the key was used for another request; `Busy` if too many submissions are active, or the memory of Redis
/// is nearly used up.
pub(super) async fn admit(
    context: &Context,
    request: &impl Serialize,
    key: Option<&IdempotencyKey>,
) -> Result<Admission, RequestError> {
    let store = &context.store;
    let Some(IdempotencyKey(key)) = key else {
        require_capacity(context).await?;
        return Ok(Admission::Create(SubmissionId::now()));
    };
    let request = digest(request);
    // A new key is claimed only if the request is admitted: a rejected one can be repeated with its key.
    let capacity = require_capacity(context).await;
    if capacity.is_err() && store.claimed_key(key, request).await?.is_none() {
        capacity?;
    }
    match store.claim_key(key, request, SubmissionId::now()).await? {
        Claim::Submission(id) if store.state(id).await?.is_some() => Ok(Admission::Repeat(id)),
        // The process that claimed the key died before it wrote the record, or is about to write it.
        Claim::Submission(id) => Ok(Admission::Create(id)),
        Claim::Conflict => Err(conflict()),
    }
}

async fn require_capacity(context: &Context) -> Result<(), RequestError> {
    let (active, limit) = (context.store.active_submission_count().await?, context.settings.jobs.max_active);
    if active >= limit {
        return Err(RequestError::Busy(format!(
            "the number of unfinished submissions and runs ({active}) has reached the limit of {limit} \
             (SUBWATCH_MAX_ACTIVE): try again when one has ended"
        )));
    }
    memory::require_free(&context.store).await
}

fn digest(request: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(request).expect("a request is plain data"))
}

fn conflict() -> RequestError {
    let detail = "this idempotency key was used for another request: use a new key for a new request";
    RequestError::Conflict(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_limited_to_255_visible_characters() {
        for good in ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", &"x".repeat(255)] {
            assert!(IdempotencyKey::new(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "two words", "line\n", "schlüssel", &"x".repeat(256)] {
            assert!(IdempotencyKey::new(bad).is_err(), "{bad}");
        }
    }
}
