//! Delay tiers: queues whose TTL delays a job before it returns to its own queue.

use std::{fmt, time::Duration};

use super::declaration::{Binding, JOB_EXCHANGE, MAX_QUEUE_BYTES, Queue, delay_arguments};

/// A delay before a job returns to its own queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DelayTier {
    OneSecond,
    FiveSeconds,
    ThirtySeconds,
    TwoMinutes,
    TenMinutes,
}

impl DelayTier {
    /// Shortest first.
    pub const ALL: [Self; 5] =
        [Self::OneSecond, Self::FiveSeconds, Self::ThirtySeconds, Self::TwoMinutes, Self::TenMinutes];

    /// Returns the back-off after failed attempt `attempt`, counted from 1.
    #[must_use]
    pub fn after_attempt(attempt: u32) -> Self {
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        Self::ALL[index.min(Self::ALL.len() - 1)]
    }

    #[must_use]
    pub fn delay(self) -> Duration {
        Duration::from_secs(match self {
            Self::OneSecond => 1,
            Self::FiveSeconds => 5,
            Self::ThirtySeconds => 30,
            Self::TwoMinutes => 120,
            Self::TenMinutes => 600,
        })
    }

    /// Returns the longest tier of at most `wait`, or the shortest tier.
    #[must_use]
    pub fn within(wait: Duration) -> Self {
        Self::ALL.into_iter().rfind(|tier| tier.delay() <= wait).unwrap_or(Self::OneSecond)
    }

    /// Returns the name of the tier's fanout exchange and queue.
    #[must_use]
    pub fn name(self) -> String {
        format!("subwatch.delay.{self}")
    }

    /// Returns the tier's queue. Publish through its exchange only: the default exchange would replace the
    /// routing key by the queue's name, and the job could not return to its own queue.
    #[must_use]
    pub fn queue(self) -> Queue {
        let ttl = i64::try_from(self.delay().as_millis()).expect("the tiers are minutes long");
        Queue {
            name: self.name(),
            arguments: delay_arguments(ttl, JOB_EXCHANGE, MAX_QUEUE_BYTES),
            bindings: vec![Binding { exchange: self.name(), routing_key: String::new() }],
        }
    }
}

impl fmt::Display for DelayTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneSecond => "1s",
            Self::FiveSeconds => "5s",
            Self::ThirtySeconds => "30s",
            Self::TwoMinutes => "2m",
            Self::TenMinutes => "10m",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_at_the_longest() {
        assert!(DelayTier::ALL.windows(2).all(|pair| pair[0].delay() < pair[1].delay()));
        let check = |attempt, tier| assert_eq!(DelayTier::after_attempt(attempt), tier);
        check(0, DelayTier::OneSecond);
        check(1, DelayTier::OneSecond);
        check(2, DelayTier::FiveSeconds);
        check(5, DelayTier::TenMinutes);
        check(u32::MAX, DelayTier::TenMinutes);
    }

    #[test]
    fn delay_exceeds_the_requested_wait_by_at_most_a_second() {
        let check = |seconds, tier| assert_eq!(DelayTier::within(Duration::from_secs(seconds)), tier);
        check(0, DelayTier::OneSecond);
        check(4, DelayTier::OneSecond);
        check(119, DelayTier::ThirtySeconds);
        check(120, DelayTier::TwoMinutes);
        check(24 * 3600, DelayTier::TenMinutes);
    }
}
