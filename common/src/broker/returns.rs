//! Which publishes the broker returned because no queue takes them.
//!
//! Owns the pairing of returns with publishes. Every publish is mandatory, for without a return an unroutable job
//! would count as published, and a job that no queue holds is in flight nowhere.

/// What the broker says about a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Confirmed,
    Unroutable,
    Refused,
}

/// What a returned message is recognised by. Publishes that share a key are the same job on the same route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) id: Option<String>,
}

/// Finds out which publishes the broker returned.
///
/// The broker sends a return before the confirm of the same publish, but confirms of others may come in
/// between, and lapin hands each return to whichever confirm it resolves next. So a return counts for the
/// publish it names. A confirm that came with another's return is undecided, for its own may be waiting
/// behind that one; a later confirm without a return, or none left in flight, shows that none was.
pub(super) struct Returns<P> {
    unclaimed: Vec<Key>,
    undecided: Vec<(Key, P)>,
}

impl<P> Default for Returns<P> {
    fn default() -> Self {
        Self { unclaimed: Vec::new(), undecided: Vec::new() }
    }
}

impl<P> Returns<P> {
    pub(super) fn is_quiet(&self) -> bool {
        self.unclaimed.is_empty() && self.undecided.is_empty()
    }

    /// Takes a return that came with something that needs no decision.
    pub(super) fn note(&mut self, returned: Option<Key>) {
        self.unclaimed.extend(returned);
    }

    /// Takes the confirm of `publication` and the return that came with it, and answers what is decided.
    pub(super) fn settle(
        &mut self,
        key: Key,
        publication: P,
        returned: Option<Key>,
        last: bool,
        mut answer: impl FnMut(P, Answer),
    ) {
        let none_waits = returned.is_none() || last;
        self.unclaimed.extend(returned);
        self.undecided.push((key, publication));
        let unclaimed = &mut self.unclaimed;
        let is_returned = |(key, _): &mut (Key, P)| {
            let position = unclaimed.iter().position(|returned| returned == key);
            position.map(|index| unclaimed.swap_remove(index)).is_some()
        };
        for (_, publication) in self.undecided.extract_if(.., is_returned) {
            answer(publication, Answer::Unroutable);
        }
        if none_waits {
            for (_, publication) in self.undecided.drain(..) {
                answer(publication, Answer::Confirmed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn key(id: usize) -> Key {
        Key {
            exchange: "subwatch.jobs".to_owned(),
            routing_key: "embed.v1".to_owned(),
            id: Some(id.to_string()),
        }
    }

    proptest! {
        /// Plays lapin: returns queue up before their publish is confirmed, and each confirm takes the first.
        #[test]
        fn every_return_finds_its_publish(
            unroutable in prop::collection::vec(any::<bool>(), 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 40),
            early in prop::collection::vec(0_usize..40, 40),
        ) {
            let mut to_return: VecDeque<usize> = (0..unroutable.len()).filter(|id| unroutable[*id]).collect();
            let mut waiting = VecDeque::new();
            let mut in_flight: Vec<usize> = (0..unroutable.len()).collect();
            let (mut returns, mut answers) = (Returns::default(), Vec::new());
            for (index, early) in order.iter().zip(early) {
                if in_flight.is_empty() {
                    break;
                }
                let id = in_flight.swap_remove(index.index(in_flight.len()));
                while to_return.contains(&id) || waiting.len() < early.min(to_return.len()) {
                    waiting.extend(to_return.pop_front().map(key));
                }
                let last = in_flight.is_empty();
                returns.settle(key(id), id, waiting.pop_front(), last, |id, answer| answers.push((id, answer)));
            }
            prop_assert!(returns.is_quiet());
            prop_assert_eq!(answers.len(), unroutable.len());
            for (id, answer) in answers {
                let want = if unroutable[id] { Answer::Unroutable } else { Answer::Confirmed };
                prop_assert_eq!(answer, want, "{}", id);
            }
        }
    }

    #[test]
    fn a_confirm_with_anothers_return_waits_until_its_own_can_be_ruled_out() {
        let (mut returns, mut answers) = (Returns::default(), Vec::new());
        let mut settle = |id, returned, last| {
            returns.settle(key(id), id, returned, last, |id, answer| answers.push((id, answer)));
            std::mem::take(&mut answers)
        };
        assert_eq!(settle(2, Some(key(1)), false), []);
        assert_eq!(settle(1, Some(key(3)), false), [(1, Answer::Unroutable)]);
        assert_eq!(settle(4, None, false), [(2, Answer::Confirmed), (4, Answer::Confirmed)]);
        assert_eq!(settle(3, None, true), [(3, Answer::Unroutable)]);
    }
}
