//! Durations of repeated work, and their statistics.

use std::time::{Duration, Instant};

/// Fewest repetitions, whatever their duration.
const MIN_SAMPLES: usize = 3;

/// Sorted durations of the repetitions.
pub(super) struct Samples(Vec<Duration>);

impl Samples {
    /// Repeats `work` for `duration`, and at least [`MIN_SAMPLES`] times.
    pub(super) fn take<E>(duration: Duration, mut work: impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        let mut times = Vec::new();
        let began = Instant::now();
        while times.len() < MIN_SAMPLES || began.elapsed() < duration {
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

/// The median of sorted durations.
fn median(sorted: &[Duration]) -> Duration {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_an_even_number_is_the_mean_of_two() {
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
    fn work_is_repeated_at_least_min_samples_times() {
        let mut calls = 0;
        let work = || {
            calls += 1;
            Ok::<(), ()>(())
        };
        assert_eq!(Samples::take(Duration::ZERO, work).unwrap().count(), MIN_SAMPLES);
        assert_eq!(calls, MIN_SAMPLES);
        assert!(Samples::take(Duration::ZERO, || Err(())).is_err());
    }
}
