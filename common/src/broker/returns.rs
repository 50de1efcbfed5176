//! Matching of `basic.return`s to publishes.
//!
//! Every publish is mandatory: without a return, the broker would confirm an unroutable job and drop it.

/// What became of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PublishOutcome {
    Confirmed,
    Unroutable,
    Rejected,
}

/// Identifies a returned message. Publishes with the same key are the same job on the same route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MessageKey {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) id: Option<String>,
}

/// Tells returned publishes from confirmed ones.
///
/// The broker sends a return before the confirm of the same publish, but confirms of other publishes may come in
/// between, and lapin attaches each return to the confirm that it resolves next. So returns are matched by key. A
/// confirm that came with the return of another publish is undecided, since its own return may be queued behind that
/// one. A later confirm without a return, or the last one in flight, shows that no return is queued.
pub(super) struct ReturnedMessages<P> {
    unmatched: Vec<MessageKey>,
    undecided: Vec<(MessageKey, P)>,
}

impl<P> Default for ReturnedMessages<P> {
    fn default() -> Self {
        Self { unmatched: Vec::new(), undecided: Vec::new() }
    }
}

impl<P> ReturnedMessages<P> {
    pub(super) fn is_empty(&self) -> bool {
        self.unmatched.is_empty() && self.undecided.is_empty()
    }

    /// Records a return that came with a confirm of another publish.
    pub(super) fn add_return(&mut self, returned: Option<MessageKey>) {
        self.unmatched.extend(returned);
    }

    /// Takes the confirm of `publication` and the return that came with it, and completes every publish whose outcome
    /// is now known. `last`: no other publish is in flight.
    pub(super) fn resolve(
        &mut self,
        key: MessageKey,
        publication: P,
        returned: Option<MessageKey>,
        last: bool,
        mut complete: impl FnMut(P, PublishOutcome),
    ) {
        let none_queued = returned.is_none() || last;
        self.unmatched.extend(returned);
        self.undecided.push((key, publication));
        let unmatched = &mut self.unmatched;
        let is_returned = |(key, _): &mut (MessageKey, P)| {
            let position = unmatched.iter().position(|returned| returned == key);
            position.map(|index| unmatched.swap_remove(index)).is_some()
        };
        for (_, publication) in self.undecided.extract_if(.., is_returned) {
            complete(publication, PublishOutcome::Unroutable);
        }
        if none_queued {
            for (_, publication) in self.undecided.drain(..) {
                complete(publication, PublishOutcome::Confirmed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn key(id: usize) -> MessageKey {
        MessageKey {
            exchange: "subwatch.jobs".to_owned(),
            routing_key: "embed.v1".to_owned(),
            id: Some(id.to_string()),
        }
    }

    proptest! {
        /// Simulates lapin: returns queue up before their publish is confirmed, and each confirm takes the first.
        #[test]
        fn every_return_is_matched_to_its_publish(
            unroutable in prop::collection::vec(any::<bool>(), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 40),
            early in prop::collection::vec(0_usize..40, 40),
        ) {
            let mut to_return: VecDeque<usize> = (0..unroutable.len()).filter(|id| unroutable[*id]).collect();
            let mut waiting = VecDeque::new();
            let mut in_flight: Vec<usize> = (0..unroutable.len()).collect();
            let (mut returns, mut outcomes) = (ReturnedMessages::default(), Vec::new());
            for (index, early) in order.iter().zip(early) {
                if in_flight.is_empty() {
                    break;
                }
                let id = in_flight.swap_remove(index.index(in_flight.len()));
                while to_return.contains(&id) || waiting.len() < early.min(to_return.len()) {
                    waiting.extend(to_return.pop_front().map(key));
                }
                let last = in_flight.is_empty();
                returns.resolve(key(id), id, waiting.pop_front(), last, |id, outcome| outcomes.push((id, outcome)));
            }
            prop_assert!(returns.is_empty());
            prop_assert_eq!(outcomes.len(), unroutable.len());
            for (id, outcome) in outcomes {
                let want = if unroutable[id] { PublishOutcome::Unroutable } else { PublishOutcome::Confirmed };
                prop_assert_eq!(outcome, want, "{}", id);
            }
        }
    }

    #[test]
    fn confirm_with_a_foreign_return_stays_undecided_until_its_own_is_ruled_out() {
        let (mut returns, mut outcomes) = (ReturnedMessages::default(), Vec::new());
        let mut resolve = |id, returned, last| {
            returns.resolve(key(id), id, returned, last, |id, outcome| outcomes.push((id, outcome)));
            std::mem::take(&mut outcomes)
        };
        assert_eq!(resolve(2, Some(key(1)), false), []);
        assert_eq!(resolve(1, Some(key(3)), false), [(1, PublishOutcome::Unroutable)]);
        assert_eq!(resolve(4, None, false), [(2, PublishOutcome::Confirmed), (4, PublishOutcome::Confirmed)]);
        assert_eq!(resolve(3, None, true), [(3, PublishOutcome::Unroutable)]);
    }
}
