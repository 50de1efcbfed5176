//! How much work a queue should have: enough that no worker idles, and little enough that a new submission starts soon.
//!
//! Pure. The rate at which a queue drains is measured from its ready jobs and the jobs that were added meanwhile.

use std::time::Duration;

use common::broker::QueueLoad;

/// The work in one queue.
#[derive(Default)]
pub(super) struct Window {
    /// Jobs per second that workers take from the queue.
    rate: f64,
    /// Ready jobs when the queue was last measured, and those that were added since then.
    ready: u32,
    added: u32,
    /// Jobs that the queue should have.
    target: u32,
}

impl Window {
    /// The largest number of ready jobs.
    pub(super) const MAX_JOBS: u32 = 4096;
    /// A queue has at most the work of this time.
    const LENGTH: Duration = Duration::from_millis(250);
    /// Items that a queue has at least, since a rate is not known at first.
    const MIN_ITEMS: u32 = 256;
    /// Time in which a measurement loses most of its weight.
    const MEMORY: Duration = Duration::from_millis(500);

    /// Counts jobs that were added to the queue.
    pub(super) fn add(&mut self, jobs: u32) {
        self.added = self.added.saturating_add(jobs);
    }

    /// The number of jobs that the queue should have; 0 at first.
    pub(super) fn target(&self) -> u32 {
        self.target
    }

    /// Returns the jobs that were added since the queue was last measured.
    pub(super) fn added(&self) -> u32 {
        self.added
    }

    /// Begins to measure the queue again, with the rate that it had.
    pub(super) fn resume(&mut self, load: QueueLoad, added: u32, job_items: u32) {
        self.added = self.added.saturating_sub(added);
        self.ready = load.ready;
        self.target = self.target.clamp(least(load, job_items), Self::MAX_JOBS);
    }

    /// Measures the queue, `elapsed` after the last time. `added` jobs were in it when its load was requested, and
    /// `coming` ones are being added. Its jobs have up to `job_items` items.
    pub(super) fn measure(
        &mut self,
        load: QueueLoad,
        added: u32,
        coming: u32,
        elapsed: Duration,
        job_items: u32,
    ) {
        let expected = self.ready.saturating_add(added);
        let drained = expected.saturating_sub(load.ready);
        // Of the jobs that were added meanwhile, some are in the load already.
        self.added = self.added.saturating_sub(added).saturating_sub(load.ready.saturating_sub(expected));
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let measured = f64::from(drained) / seconds;
        let weight = 1.0 - (-seconds / Self::MEMORY.as_secs_f64()).exp();
        self.rate += weight * (measured - self.rate);
        let present = load.ready.saturating_add(coming);
        if present == 0 {
            // Workers may have waited for more.
            self.rate = self.rate.max(measured);
        }
        self.ready = load.ready;

        // A worker that takes its first jobs empties the queue without being fast, so the target grows in steps, and
        // only while the queue is nearly empty. It shrinks while the queue has more than it needs until the next look.
        let most = match self.target {
            target if present <= target / 4 => target.saturating_mul(2),
            target if present > target / 4 * 3 => target - target.div_ceil(32),
            target => target,
        };
        let wanted = (self.rate * Self::LENGTH.as_secs_f64()) as u32;
        self.target = wanted.min(most).clamp(least(load, job_items), Self::MAX_JOBS);
    }

    /// Returns the time until the queue should be measured again.
    pub(super) fn next_look(&self, job_items: u32) -> Duration {
        let load = QueueLoad { ready: self.ready, consumers: 0 };
        if self.ready == 0 {
            // Workers may wait for more.
            Self::LENGTH / 25
        } else if self.target <= 2 * least(load, job_items) {
            Self::LENGTH / 2
        } else {
            Self::LENGTH / 16
        }
    }
}

/// Returns the least number of jobs that a queue should have. A worker runs several jobs at a time, so one more for each
/// lasts until the queue is measured again.
fn least(load: QueueLoad, job_items: u32) -> u32 {
    load.consumers.saturating_add(1).max(Window::MIN_ITEMS / job_items.max(1)).min(Window::MAX_JOBS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(16);

    /// Simulates a queue that is always filled to its target. Workers take `prefetch` jobs at once and `rate` jobs per
    /// second. Returns the targets.
    fn targets(rate: f64, prefetch: u32, consumers: u32, job_items: u32) -> Vec<u32> {
        let (mut window, mut ready, mut due) = (Window::default(), 0_u32, f64::from(prefetch));
        let look = |_| {
            window.measure(QueueLoad { ready, consumers }, window.added(), 0, LOOK, job_items);
            let room = window.target().saturating_sub(ready);
            window.add(room);
            due += rate * LOOK.as_secs_f64();
            let drained = (ready + room).min(due as u32);
            due -= f64::from(drained);
            ready = ready + room - drained;
            window.target()
        };
        (0..100).map(look).collect()
    }

    #[test]
    fn a_fast_queue_has_enough_work_after_a_few_looks() {
        let targets = targets(2000.0, 8, 2, 64);
        // It drains 32 jobs between two looks.
        assert!(targets[5..].iter().all(|target| (40..=160).contains(target)), "{targets:?}");
    }

    #[test]
    fn a_slow_queue_has_a_few_jobs() {
        let check = |rate, prefetch, consumers, job_items, want: std::ops::RangeInclusive<u32>| {
            let targets = targets(rate, prefetch, consumers, job_items);
            assert!(targets.iter().all(|target| want.contains(target)), "{targets:?}");
        };
        check(2.0, 4, 1, 64, 4..=8);
        check(75.0, 200, 50, 64, 51..=204);
        check(0.1, 4, 1, 1024, 2..=4);
    }

    #[test]
    fn a_queue_without_workers_is_bounded() {
        assert_eq!(targets(0.0, 0, 0, 64), [4; 100]);
        assert_eq!(targets(0.0, 0, 0, 1), [256; 100]);
        assert_eq!(targets(1e6, 0, 4, 1).pop(), Some(Window::MAX_JOBS));
        assert_eq!(targets(0.0, 0, u32::MAX, 1).pop(), Some(Window::MAX_JOBS));
    }

    #[test]
    fn jobs_that_are_being_added_are_not_taken_for_drained_ones() {
        let mut window = Window::default();
        let mut look = |ready, added, before, coming| {
            window.add(added);
            window.measure(QueueLoad { ready, consumers: 0 }, before, coming, LOOK, 1);
            window.target()
        };
        assert_eq!(look(0, 0, 0, 0), 256);
        // The load has 50 jobs, of which 20 were confirmed when it was requested and 120 when it arrived.
        assert_eq!(look(50, 120, 20, 136), 256);
        assert_eq!(look(256, 136, 206, 0), 256);
        assert_eq!((look(256, 0, 0, 0), window.rate), (256, 0.0));
    }

    #[test]
    fn a_queue_that_loses_its_jobs_is_filled_again() {
        let mut window = Window::default();
        let check = |ready| {
            window.measure(QueueLoad { ready, consumers: 0 }, window.added(), 0, LOOK, 64);
            window.target()
        };
        let targets = [0, 4, 4, 0, 4, 0].map(check);
        assert!(targets.iter().all(|target| (4..=16).contains(target)), "{targets:?}");
    }
}
