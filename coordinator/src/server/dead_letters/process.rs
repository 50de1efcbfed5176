//! Requeues or purges a selection of dead letters.
//!
//! Owns what a selection means and how far one request goes; the cursor also says until when letters count, or a
//! job that dies again while it is requeued would keep the command from ending.

use common::store::{DeadLetter, DeadLetterCursor};

use super::{
    list::{parse_place, place_text, unknown, view},
    requeue::requeue,
};
use crate::{
    api::{DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, Refused},
    server::{context::Context, error::RequestError},
};

/// Letters looked at by one request.
const LETTERS: usize = 500;
/// Ids in one request.
const MAX_IDS: usize = 500;

/// What is done with a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Publish its job again under a new generation.
    Requeue,
    /// Forget it.
    Purge,
}

/// Requeues or purges the selected letters; a large selection takes several requests.
///
/// # Errors
/// When nothing is selected, the cursor is none, or the store does not serve.
pub(crate) async fn process(
    context: &Context,
    action: Action,
    selection: DeadLetterSelection,
) -> Result<DeadLetterOutcome, RequestError> {
    let DeadLetterSelection { ids, filter, all, cursor } = selection;
    let filter = match (ids.is_empty(), filter, all) {
        (false, None, false) => return process_ids(context, action, ids).await,
        (true, Some(filter), false) if filter != DeadLetterFilter::default() => filter,
        (true, None, true) => DeadLetterFilter::default(),
        _ => {
            return Err(RequestError::Invalid(
                "say which dead letters: ids, or a filter by kind, reason or submission, or all".to_owned(),
            ));
        }
    };
    let store = &context.store;
    let (until_ms, place) = match cursor.as_deref() {
        Some(cursor) => parse_progress(cursor).map(|(until_ms, place)| (until_ms, Some(place)))?,
        None => (store.now_ms().await?, None),
    };
    let (letters, next) = store.dead_letter_page(place.as_ref(), LETTERS).await?;
    // What dies again while it is requeued is for the next command, or this one would never end.
    let next = next.filter(|next| next.recorded_ms <= until_ms);
    let next = next.map(|next| format!("{until_ms}/{}", place_text(&next)));
    let mut outcome = DeadLetterOutcome { next, ..DeadLetterOutcome::default() };
    for letter in letters.into_iter().filter(|letter| letter.recorded_ms <= until_ms) {
        if filter.accepts(&view(letter.clone(), false)) {
            process_one(context, action, letter, &mut outcome).await?;
        }
    }
    Ok(outcome)
}

async fn process_ids(
    context: &Context,
    action: Action,
    ids: Vec<String>,
) -> Result<DeadLetterOutcome, RequestError> {
    if ids.len() > MAX_IDS {
        return Err(RequestError::Invalid(format!("{} ids are over the limit of {MAX_IDS}", ids.len())));
    }
    let mut outcome = DeadLetterOutcome::default();
    for id in ids {
        match context.store.dead_letter(&id).await? {
            Some(letter) => process_one(context, action, letter, &mut outcome).await?,
            None => outcome.refused.push(Refused { reason: unknown(&id).to_string(), id }),
        }
    }
    Ok(outcome)
}

async fn process_one(
    context: &Context,
    action: Action,
    letter: DeadLetter,
    outcome: &mut DeadLetterOutcome,
) -> Result<(), RequestError> {
    let restored_items = match action {
        Action::Requeue => match requeue(context, &letter).await {
            Ok(restored_items) => restored_items,
            Err(RequestError::Unavailable(error)) => return Err(RequestError::Unavailable(error)),
            Err(error) => {
                outcome.refused.push(Refused { id: letter.id, reason: error.to_string() });
                return Ok(());
            }
        },
        Action::Purge => 0,
    };
    let place = DeadLetterCursor { recorded_ms: letter.recorded_ms, id: letter.id };
    context.store.remove_dead_letter(&place).await?;
    outcome.done += 1;
    outcome.restored_items += restored_items;
    Ok(())
}

/// How far a selection is settled, of the letters recorded until a time.
fn parse_progress(text: &str) -> Result<(u64, DeadLetterCursor), RequestError> {
    let invalid = || RequestError::Invalid(format!("'{text}' is no cursor"));
    let (until_ms, place) = text.split_once('/').ok_or_else(invalid)?;
    Ok((until_ms.parse().map_err(|_| invalid())?, parse_place(place)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_whatever_the_id() {
        for id in ["", "a:b", "0190", "ü\n"] {
            let place = DeadLetterCursor { recorded_ms: 1_764_000_000_000, id: id.to_owned() };
            assert_eq!(parse_place(&place_text(&place)).ok(), Some(place));
        }
        assert!(parse_place("x").is_err() && parse_place("x:y").is_err());
        let place = DeadLetterCursor { recorded_ms: 5, id: "a/b:c".to_owned() };
        assert_eq!(parse_progress(&format!("7/{}", place_text(&place))).ok(), Some((7, place)));
        assert!(parse_progress("5:a").is_err() && parse_progress("x/5:a").is_err());
    }
}
