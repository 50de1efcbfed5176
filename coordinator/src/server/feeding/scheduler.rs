//! Whose jobs are next: deficit round-robin by items (Shreedhar and Varghese, 1995).
//!
//! Pure. In each round, every submission is credited the same number of items, at least one job of the submission
//! with the largest jobs, and spends the credit on its jobs. Credit that is too small for a job is kept for the next
//! round. So over any period, two submissions that both wait get the same number of items, give or take one job.

use std::collections::{BTreeMap, VecDeque};

/// A submission's place in a queue of turns.
pub(super) type TurnId = u64;

/// The submissions that have unpublished jobs for one queue.
#[derive(Default)]
pub(super) struct Scheduler {
    /// The first one is next.
    waiting: VecDeque<Waiting>,
    /// Whether the first one has its credit for this round.
    is_credited: bool,
}

struct Waiting {
    id: TurnId,
    /// Unpublished jobs.
    jobs: u32,
    /// Items of each job.
    job_items: u32,
    /// Items that it may publish in this round.
    credit: u64,
}

impl Scheduler {
    /// Adds a submission, which is last in this round.
    pub(super) fn join(&mut self, id: TurnId, jobs: u32, job_items: u32) {
        if jobs > 0 {
            self.waiting.push_back(Waiting { id, jobs, job_items: job_items.max(1), credit: 0 });
        }
    }

    pub(super) fn leave(&mut self, id: TurnId) {
        if self.waiting.front().is_some_and(|first| first.id == id) {
            self.is_credited = false;
        }
        self.waiting.retain(|waiting| waiting.id != id);
    }

    /// Items of the largest job.
    pub(super) fn job_items(&self) -> u32 {
        self.waiting.iter().map(|waiting| waiting.job_items).max().unwrap_or(1)
    }

    /// Divides room for `room` jobs. Returns the number of jobs of each submission that may be published now.
    pub(super) fn grant(&mut self, mut room: u32) -> BTreeMap<TurnId, u32> {
        let credit = u64::from(self.job_items());
        let mut granted = BTreeMap::new();
        while room > 0
            && let Some(first) = self.waiting.front_mut()
        {
            if !self.is_credited {
                first.credit += credit;
                self.is_credited = true;
            }
            let affordable = u32::try_from(first.credit / u64::from(first.job_items)).unwrap_or(u32::MAX);
            let jobs = affordable.min(first.jobs).min(room);
            first.credit -= u64::from(jobs) * u64::from(first.job_items);
            first.jobs -= jobs;
            room -= jobs;
            if jobs > 0 {
                *granted.entry(first.id).or_default() += jobs;
            }
            if first.jobs == 0 {
                self.waiting.pop_front();
                self.is_credited = false;
            } else if jobs == affordable {
                self.waiting.rotate_left(1);
                self.is_credited = false;
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scheduler(waiting: &[(TurnId, u32, u32)]) -> Scheduler {
        let mut scheduler = Scheduler::default();
        for (id, jobs, job_items) in waiting {
            scheduler.join(*id, *jobs, *job_items);
        }
        scheduler
    }

    /// Grants room for one job at a time, `count` times, and returns the submissions in order.
    fn order(scheduler: &mut Scheduler, count: usize) -> Vec<TurnId> {
        (0..count).flat_map(|_| scheduler.grant(1).into_keys()).collect()
    }

    #[test]
    fn one_submission_alone_gets_all_room() {
        let mut alone = scheduler(&[(7, 1000, 64)]);
        assert_eq!(alone.grant(300), [(7, 300)].into());
        assert_eq!(alone.grant(900), [(7, 700)].into());
        assert_eq!(alone.grant(900), [].into());
    }

    #[test]
    fn submissions_take_turns() {
        let mut two = scheduler(&[(1, 15_625, 64), (2, 3, 64)]);
        assert_eq!(order(&mut two, 8), [1, 2, 1, 2, 1, 2, 1, 1]);
        let mut many = scheduler(&[(1, 9, 64), (2, 9, 64), (3, 9, 64)]);
        assert_eq!(many.grant(7), [(1, 3), (2, 2), (3, 2)].into());
        assert_eq!(many.grant(2), [(2, 1), (3, 1)].into(), "the round goes on where it stopped");
    }

    #[test]
    fn turns_count_items_rather_than_jobs() {
        let mut two = scheduler(&[(1, 1000, 1024), (2, 100_000, 64)]);
        let granted = two.grant(17 * 50);
        assert_eq!(granted, [(1, 50), (2, 50 * 16)].into());
        let mut uneven = scheduler(&[(1, 1000, 3), (2, 1000, 2)]);
        let granted = uneven.grant(500);
        assert_eq!(granted, [(1, 200), (2, 300)].into(), "credit is carried over");
    }

    #[test]
    fn submissions_join_and_leave_at_any_time() {
        let mut scheduler = scheduler(&[(1, 1000, 64)]);
        assert_eq!(order(&mut scheduler, 2), [1, 1]);
        scheduler.join(2, 1000, 64);
        scheduler.join(3, 0, 64);
        assert_eq!(order(&mut scheduler, 4), [1, 2, 1, 2]);
        scheduler.leave(1);
        assert_eq!(order(&mut scheduler, 2), [2, 2]);
        scheduler.leave(2);
        assert!(order(&mut scheduler, 2).is_empty());
    }

    proptest! {
        #[test]
        fn no_submission_waits_longer_than_a_round(
            sizes in prop::collection::vec((1_u32..50, 1_u32..1025), 1..12),
            rooms in prop::collection::vec(1_u32..40, 1..40),
        ) {
            let waiting: Vec<_> = sizes.iter().zip(1..).map(|((jobs, items), id)| (id, *jobs, *items)).collect();
            let mut scheduler = scheduler(&waiting);
            let largest = u64::from(scheduler.job_items());
            let mut granted: BTreeMap<TurnId, u32> = BTreeMap::new();
            for room in rooms {
                let now = scheduler.grant(room);
                let left: u32 = waiting.iter().map(|(id, jobs, _)| jobs - granted.get(id).unwrap_or(&0)).sum();
                prop_assert_eq!(now.values().sum::<u32>(), room.min(left), "no room is wasted");
                for (id, jobs) in now {
                    *granted.entry(id).or_default() += jobs;
                }
                let items = |(id, _, job_items): &(TurnId, u32, u32)| {
                    u64::from(*granted.get(id).unwrap_or(&0)) * u64::from(*job_items)
                };
                let is_waiting = |(id, jobs, _): &&(TurnId, u32, u32)| granted.get(id).unwrap_or(&0) < jobs;
                let most = waiting.iter().map(items).max().unwrap_or(0);
                let least = waiting.iter().filter(is_waiting).map(items).min().unwrap_or(most);
                prop_assert!(most - least <= 2 * largest, "{most} and {least} items, {largest} in a job");
            }
        }
    }
}
