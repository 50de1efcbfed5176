//! Dead letters: looking at discarded jobs, giving them another life, forgetting them.
//!
//! Owns what may be requeued: a job whose submission is still kept, under a new generation, so that
//! deliveries of its former life have no effect. Training jobs are not requeued; their run is resumed.

use std::time::Duration;

use common::{
    ids::SubmissionId,
    job::{envelope::Envelope, kind::Kind},
    store::{DeadLetter, DeadPlace, Requeue, State, Submission},
};

use super::{Coordinator, RequestError};
use crate::{
    api::{DeadFilter, DeadOutcome, DeadSelection, DeadView, Page, Refused},
    server::submissions::Jobs,
};

/// Letters looked at by one request.
const LETTERS: usize = 500;
/// Ids in one request.
const MAX_IDS: usize = 500;
/// How long the broker may take to accept a requeued job; after that the sweeper publishes it.
const PUBLISH_LIMIT: Duration = Duration::from_secs(5);

/// What is done with a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeadAction {
    /// Give it another life.
    Requeue,
    /// Forget it.
    Purge,
}

impl Coordinator {
    /// Returns a page of the dead letters that `filter` accepts, oldest first.
    ///
    /// # Errors
    /// When the cursor is none, or the store does not serve.
    pub async fn dead(
        &self,
        filter: &DeadFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeadView>, RequestError> {
        let mut place = cursor.map(parse_place).transpose()?;
        let mut items = Vec::new();
        loop {
            let (letters, next) = self.context.store.dead_page(place.as_ref(), limit).await?;
            for letter in letters {
                let at = DeadPlace { recorded_ms: letter.recorded_ms, id: letter.id.clone() };
                let view = DeadView::of(letter, false);
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
    pub async fn dead_letter(&self, id: &str) -> Result<DeadView, RequestError> {
        let letter = self.context.store.dead_letter(id).await?;
        letter.map(|letter| DeadView::of(letter, true)).ok_or_else(|| unknown(id))
    }

    /// Requeues or purges the selected letters; a large selection takes several requests.
    ///
    /// # Errors
    /// When nothing is selected, the cursor is none, or the store does not serve.
    pub async fn settle_dead(
        &self,
        action: DeadAction,
        selection: DeadSelection,
    ) -> Result<DeadOutcome, RequestError> {
        let DeadSelection { ids, filter, all, cursor } = selection;
        let filter = match (ids.is_empty(), filter, all) {
            (false, None, false) => return self.settle_ids(action, ids).await,
            (true, Some(filter), false) if filter != DeadFilter::default() => filter,
            (true, None, true) => DeadFilter::default(),
            _ => {
                return Err(RequestError::Invalid(
                    "say which dead letters: ids, or a filter by kind, reason or submission, or all"
                        .to_owned(),
                ));
            }
        };
        let store = &self.context.store;
        let (until_ms, place) = match cursor.as_deref() {
            Some(cursor) => parse_progress(cursor).map(|(until_ms, place)| (until_ms, Some(place)))?,
            None => (store.now_ms().await?, None),
        };
        let (letters, next) = store.dead_page(place.as_ref(), LETTERS).await?;
        // What dies again while it is requeued is for the next command, or this one would never end.
        let next = next.filter(|next| next.recorded_ms <= until_ms);
        let next = next.map(|next| format!("{until_ms}/{}", place_text(&next)));
        let mut outcome = DeadOutcome { next, ..DeadOutcome::default() };
        for letter in letters.into_iter().filter(|letter| letter.recorded_ms <= until_ms) {
            if filter.accepts(&DeadView::of(letter.clone(), false)) {
                self.settle_one(action, letter, &mut outcome).await?;
            }
        }
        Ok(outcome)
    }

    async fn settle_ids(&self, action: DeadAction, ids: Vec<String>) -> Result<DeadOutcome, RequestError> {
        if ids.len() > MAX_IDS {
            return Err(RequestError::Invalid(format!("{} ids are over the limit of {MAX_IDS}", ids.len())));
        }
        let mut outcome = DeadOutcome::default();
        for id in ids {
            match self.context.store.dead_letter(&id).await? {
                Some(letter) => self.settle_one(action, letter, &mut outcome).await?,
                None => outcome.refused.push(Refused { reason: unknown(&id).to_string(), id }),
            }
        }
        Ok(outcome)
    }

    async fn settle_one(
        &self,
        action: DeadAction,
        letter: DeadLetter,
        outcome: &mut DeadOutcome,
    ) -> Result<(), RequestError> {
        let healed = match action {
            DeadAction::Requeue => match self.requeue(&letter).await {
                Ok(healed) => healed,
                Err(RequestError::Unavailable(error)) => return Err(RequestError::Unavailable(error)),
                Err(error) => {
                    outcome.refused.push(Refused { id: letter.id, reason: error.to_string() });
                    return Ok(());
                }
            },
            DeadAction::Purge => 0,
        };
        let place = DeadPlace { recorded_ms: letter.recorded_ms, id: letter.id };
        self.context.store.remove_dead_letter(&place).await?;
        outcome.done += 1;
        outcome.healed += healed;
        Ok(())
    }

    /// Gives a discarded job another life. Returns how many items are no longer failed.
    async fn requeue(&self, letter: &DeadLetter) -> Result<u64, RequestError> {
        let kind = letter.message_type.as_deref().and_then(|text| Envelope::parse_type(text).ok());
        let id: Option<SubmissionId> = letter.submission.as_deref().and_then(|text| text.parse().ok());
        let (Some(kind), Some(id), Some(name)) = (kind, id, letter.job.as_deref()) else {
            return Err(RequestError::Conflict(
                "it is no job of this program: it can only be purged".to_owned(),
            ));
        };
        if kind == Kind::TrainEpoch {
            let goes_on = matches!(self.find_run(id).await?.state, State::Preparing | State::Running);
            return if goes_on { Ok(0) } else { self.resume_run(id).await.map(|_| 0) };
        }
        let submission = self.find(id).await?;
        let unreadable = |error: &dyn std::fmt::Display| RequestError::Conflict(error.to_string());
        let jobs = Jobs::of(&self.context, &submission).map_err(|error| unreadable(&error))?;
        let job: u32 = name.parse().map_err(|_| unreadable(&format!("'{name}' is no job of {id}")))?;
        if job >= submission.jobs {
            return Err(unreadable(&format!("submission {id} has no job {job}")));
        }
        self.context.store.set_active(id).await?;
        let (generation, healed) = match self.context.store.requeue_job(id, name, jobs.items(job)).await? {
            Requeue::Requeued { generation, healed } => {
                // Again, since a leader that looked in between found it ended and took it off.
                self.context.store.set_active(id).await?;
                (generation, healed)
            }
            Requeue::NotDead { generation } => {
                (self.unfinished_requeue(&submission, name, generation).await?, 0)
            }
            Requeue::Orphaned => return Err(unreadable(&format!("submission {id} is gone"))),
            Requeue::Closed => {
                return Err(unreadable(&format!("submission {id} is {}: submit it again", submission.state)));
            }
        };
        if tokio::time::timeout(PUBLISH_LIMIT, jobs.publish(&self.context, job, generation)).await.is_err() {
            tracing::warn!(submission = %id, job, "the requeued job was not taken yet; it is published by the sweeper");
        }
        Ok(healed)
    }

    /// The generation of a job whose requeueing was interrupted; one that lives is not requeued.
    async fn unfinished_requeue(
        &self,
        submission: &Submission,
        name: &str,
        generation: u32,
    ) -> Result<u32, RequestError> {
        let mark = self.context.store.job_mark(submission.id, name).await?;
        match mark {
            Some(mark) if mark.state == "requeued" => Ok(generation),
            mark => Err(RequestError::Conflict(format!(
                "the job is not dead: it is {}",
                mark.map_or_else(|| "queued".to_owned(), |mark| mark.state)
            ))),
        }
    }
}

fn unknown(id: &str) -> RequestError {
    RequestError::NotFound(format!("there is no dead letter '{id}'; `subwatch dead list` lists them"))
}

fn place_text(place: &DeadPlace) -> String {
    format!("{}:{}", place.recorded_ms, place.id)
}

/// How far a selection is settled, of the letters recorded until a time.
fn parse_progress(text: &str) -> Result<(u64, DeadPlace), RequestError> {
    let invalid = || RequestError::Invalid(format!("'{text}' is no cursor"));
    let (until_ms, place) = text.split_once('/').ok_or_else(invalid)?;
    Ok((until_ms.parse().map_err(|_| invalid())?, parse_place(place)?))
}

fn parse_place(text: &str) -> Result<DeadPlace, RequestError> {
    let place = text.split_once(':').and_then(|(recorded_ms, id)| {
        Some(DeadPlace { recorded_ms: recorded_ms.parse().ok()?, id: id.to_owned() })
    });
    place.ok_or_else(|| RequestError::Invalid(format!("'{text}' is no cursor")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_whatever_the_id() {
        for id in ["", "a:b", "0190", "ü\n"] {
            let place = DeadPlace { recorded_ms: 1_764_000_000_000, id: id.to_owned() };
            assert_eq!(parse_place(&place_text(&place)).ok(), Some(place));
        }
        assert!(parse_place("x").is_err() && parse_place("x:y").is_err());
        let place = DeadPlace { recorded_ms: 5, id: "a/b:c".to_owned() };
        assert_eq!(parse_progress(&format!("7/{}", place_text(&place))).ok(), Some((7, place)));
        assert!(parse_progress("5:a").is_err() && parse_progress("x/5:a").is_err());
    }
}
