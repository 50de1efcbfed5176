//! Dead letters as the API shows them: one, or a page of them.
//!
//! Owns the cursor that names a letter's place in the list.

use common::store::{DeadLetter, DeadLetterCursor};

use crate::{
    api::{AttemptErrorView, DeadLetterFilter, DeadLetterView, Page},
    server::{context::Context, error::RequestError},
};

/// Returns a page of the dead letters that `filter` accepts, oldest first.
///
/// # Errors
/// When the cursor is none, or the store does not serve.
pub(crate) async fn list(
    context: &Context,
    filter: &DeadLetterFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<DeadLetterView>, RequestError> {
    let mut place = cursor.map(parse_place).transpose()?;
    let mut items = Vec::new();
    loop {
        let (letters, next) = context.store.dead_letter_page(place.as_ref(), limit).await?;
        for letter in letters {
            let at = DeadLetterCursor { recorded_ms: letter.recorded_ms, id: letter.id.clone() };
            let view = view(letter, false);
            if filter.accepts(&view) {
                items.push(view);
            }
            if items.len() == limit {
                return Ok(Page { items, next: Some(place_text(&at)) });
            }
        }
        match next {
            Some(next) => place = Some(next),
            None => return Ok(Page { items, next: None }),
        }
    }
}

/// Returns a dead letter with its body.
///
/// # Errors
/// When there is none with this id, or the store does not serve.
pub(crate) async fn get(context: &Context, id: &str) -> Result<DeadLetterView, RequestError> {
    let letter = context.store.dead_letter(id).await?;
    letter.map(|letter| view(letter, true)).ok_or_else(|| unknown(id))
}

/// Makes the view of a letter, with or without its body.
pub(super) fn view(letter: DeadLetter, payload: bool) -> DeadLetterView {
    let kind = letter.message_type.as_deref().and_then(|text| text.rsplit_once('.'));
    DeadLetterView {
        kind: kind.map(|(kind, _)| kind.to_owned()),
        id: letter.id,
        submission: letter.submission,
        job: letter.job,
        reason: letter.reason.to_string(),
        error: letter.error,
        attempts: letter.attempts,
        generation: letter.generation,
        history: letter.history.into_iter().map(AttemptErrorView::from).collect(),
        worker: letter.worker,
        origin: letter.origin,
        recorded_ms: letter.recorded_ms,
        payload: payload.then_some(letter.body),
    }
}

pub(super) fn unknown(id: &str) -> RequestError {
    RequestError::NotFound(format!("there is no dead letter '{id}'; `subwatch dead-letters list` lists them"))
}

pub(super) fn place_text(place: &DeadLetterCursor) -> String {
    format!("{}:{}", place.recorded_ms, place.id)
}

pub(super) fn parse_place(text: &str) -> Result<DeadLetterCursor, RequestError> {
    let place = text.split_once(':').and_then(|(recorded_ms, id)| {
        Some(DeadLetterCursor { recorded_ms: recorded_ms.parse().ok()?, id: id.to_owned() })
    });
    place.ok_or_else(|| RequestError::Invalid(format!("'{text}' is no cursor")))
}
