//! Shows dead letters: one, or a page.
//!
//! Owns the cursor format.

use common::{
    job::{discard::DiscardReason, kind::Kind},
    store::{DeadLetter, DeadLetterCursor},
};

use crate::{
    api::{AttemptErrorView, DeadLetterFilter, DeadLetterView, Page},
    server::{context::Context, error::RequestError, lookup, pages::PageSize},
};

/// Checks that a filter can accept a dead letter at all: a misspelt value would silently select none. The submission may
/// be named by the start of its ID, or `latest`; a whole ID may be of one that has expired.
pub(super) async fn check(
    context: &Context,
    filter: DeadLetterFilter,
) -> Result<DeadLetterFilter, RequestError> {
    let kind = filter.kind.as_deref().map_or(Ok(()), |kind| kind.parse::<Kind>().map(drop));
    kind.map_err(RequestError::Invalid)?;
    match filter.reason.as_deref().filter(|reason| !DiscardReason::NAMES.contains(reason)) {
        None => {}
        Some(reason) => {
            let known = DiscardReason::NAMES.join(", ");
            return Err(RequestError::Invalid(format!("unknown reason '{reason}' (known: {known})")));
        }
    }
    let submission = match &filter.submission {
        Some(name) => Some(lookup::id(context, name).await?.to_string()),
        None => None,
    };
    Ok(DeadLetterFilter { submission, ..filter })
}

/// Records read at a time: each has the body of its message, up to 256 KiB.
const RECORDS: usize = 16;

/// Returns a page of the dead letters that `filter` accepts, oldest first.
pub(crate) async fn list(
    context: &Context,
    filter: DeadLetterFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<DeadLetterView>, RequestError> {
    let filter = check(context, filter).await?;
    let mut position = cursor.map(parse_cursor).transpose()?;
    let (mut items, mut size) = (Vec::new(), PageSize::default());
    loop {
        let (letters, next) = context.store.dead_letter_page(position.as_ref(), limit.min(RECORDS)).await?;
        for letter in letters {
            let cursor = DeadLetterCursor { recorded_ms: letter.recorded_ms, id: letter.id.clone() };
            let view = view(letter, false);
            if filter.accepts(&view) {
                size.add(&view);
                items.push(view);
            }
            if items.len() == limit || size.is_full() {
                return Ok(Page { items, next: Some(format_cursor(&cursor)) });
            }
        }
        match next {
            Some(next) => position = Some(next),
            None => return Ok(Page { items, next: None }),
        }
    }
}

/// Returns a dead letter with its payload.
pub(crate) async fn get(context: &Context, id: &str) -> Result<DeadLetterView, RequestError> {
    let letter = context.store.dead_letter(id).await?;
    letter.map(|letter| view(letter, true)).ok_or_else(|| unknown(id))
}

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
        attempt_errors: letter.history.into_iter().map(AttemptErrorView::from).collect(),
        worker: letter.worker,
        queue: letter.origin,
        recorded_ms: letter.recorded_ms,
        payload: payload.then_some(letter.body),
    }
}

pub(super) fn unknown(id: &str) -> RequestError {
    RequestError::NotFound(format!(
        "dead letter '{id}' does not exist; `subwatch dead-letters list` lists all"
    ))
}

pub(super) fn format_cursor(cursor: &DeadLetterCursor) -> String {
    format!("{}:{}", cursor.recorded_ms, cursor.id)
}

pub(super) fn parse_cursor(text: &str) -> Result<DeadLetterCursor, RequestError> {
    let cursor = text.split_once(':').and_then(|(recorded_ms, id)| {
        Some(DeadLetterCursor { recorded_ms: recorded_ms.parse().ok()?, id: id.to_owned() })
    });
    cursor.ok_or_else(|| lookup::invalid_cursor(text))
}
