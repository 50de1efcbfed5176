//! Requeues or purges a selection of dead letters.
//!
//! One request processes a bounded number of letters and returns a cursor. The cursor carries the time of the first
//! request: letters recorded later are excluded, so the command ends even if requeued jobs are discarded again.

use common::store::{DeadLetter, DeadLetterCursor};

use super::{
    list::{check, format_cursor, parse_cursor, unknown, view},
    requeue::requeue,
};
use crate::{
    api::{DeadLetterFilter, DeadLetterOutcome, DeadLetterSelection, Refused},
    server::{context::Context, error::RequestError, lookup},
};

/// Maximum number of letters that one request reads.
const MAX_LETTERS: usize = 500;
/// Maximum number of IDs in one request.
const MAX_IDS: usize = 500;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Publish the job again under a new generation, then delete the letter.
    Requeue,
    /// Delete the letter.
    Purge,
}

/// Requeues or purges the selected letters; a large selection takes several requests.
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
                "select dead letters by exactly one of `ids`, `filter` (kind, reason or submission) and `all`"
                    .to_owned(),
            ));
        }
    };
    let filter = check(context, filter).await?;
    let store = &context.store;
    let (until_ms, position) = match cursor.as_deref() {
        Some(cursor) => parse_progress(cursor).map(|(until_ms, position)| (until_ms, Some(position)))?,
        None => (store.now_ms().await?, None),
    };
    let (letters, next) = store.dead_letter_page(position.as_ref(), MAX_LETTERS).await?;
    let next = next.filter(|next| next.recorded_ms <= until_ms);
    let next = next.map(|next| format!("{until_ms}/{}", format_cursor(&next)));
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
        let detail = format!("{} IDs exceed the limit of {MAX_IDS} per request", ids.len());
        return Err(RequestError::Invalid(detail));
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
    let position = DeadLetterCursor { recorded_ms: letter.recorded_ms, id: letter.id };
    context.store.delete_dead_letter(&position).await?;
    outcome.processed += 1;
    outcome.restored_items += restored_items;
    Ok(())
}

/// Parses a selection's cursor: the latest `recorded_ms` to include, and the position in the list.
fn parse_progress(text: &str) -> Result<(u64, DeadLetterCursor), RequestError> {
    let invalid = || lookup::invalid_cursor(text);
    let (until_ms, position) = text.split_once('/').ok_or_else(invalid)?;
    Ok((until_ms.parse().map_err(|_| invalid())?, parse_cursor(position)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_for_any_id() {
        for id in ["", "a:b", "0190", "ü\n"] {
            let cursor = DeadLetterCursor { recorded_ms: 1_764_000_000_000, id: id.to_owned() };
            assert_eq!(parse_cursor(&format_cursor(&cursor)).ok(), Some(cursor));
        }
        assert!(parse_cursor("x").is_err() && parse_cursor("x:y").is_err());
        let cursor = DeadLetterCursor { recorded_ms: 5, id: "a/b:c".to_owned() };
        assert_eq!(parse_progress(&format!("7/{}", format_cursor(&cursor))).ok(), Some((7, cursor)));
        assert!(parse_progress("5:a").is_err() && parse_progress("x/5:a").is_err());
    }
}
