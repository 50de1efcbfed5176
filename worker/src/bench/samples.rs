//! Times of repeated work, and their statistics.

use std::time::{Duration, Instant};

/// Fewest repetitions, however long one takes.
const FEWEST: usize = 3;

/// How long each repetition took.
pub(super) struct Samples(Vec<Duration>);

impl Samples {
    /// Repeats `work` for `duration`, and at least three times.
    pub(super) fn take<E>(duration: Duration, mut work: impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        let mut times = Vec::new();
        let began = Instant::now();
        while times.len() < FEWEST || began.elapsed() < duration {
            let start = Instant::now();
            work()?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(Self(times))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn median(&self) -> Duration {
        median(&self.0)
    }

    pub(super) fn least(&self) -> Duration {
        self.0[0]
    }

    pub(super) fn largest(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

/// The middle of sorted times; the mean of the two in the middle where their number is even.
fn median(sorted: &[Duration]) -> Duration {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        let check = |millis: &[u64], want: u64| {
            let times: Vec<_> = millis.iter().copied().map(Duration::from_millis).collect();
            assert_eq!(median(&times), Duration::from_millis(want), "{millis:?}");
        };
        check(&[7], 7);
        check(&[1, 3], 2);
        check(&[1, 2, 90], 2);
        check(&[1, 2, 4, 90], 3);
    }

    #[test]
    fn work_is_repeated_until_the_time_is_over() {
        let mut calls = 0;
        let work = || {
            calls += 1;
            Ok::<(), ()>(())
        };
        assert_eq!(Samples::take(Duration::ZERO, work).unwrap().count(), FEWEST);
        assert_eq!(calls, FEWEST);
        assert!(Samples::take(Duration::ZERO, || Err(())).is_err());
    }
}
