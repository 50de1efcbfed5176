//! Detects a stalled consumer and a stuck model.
//!
//! A consumer is *stalled* if it receives nothing although jobs wait in its queue. The watchdog first requests a new
//! connection; if that does not help, the liveness probe fails. A model that is stuck or has failed ends the process (see
//! [`crate::run`]). The
//! decisions, `ConsumerMonitor` and `stuck`, are pure functions of times and counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::broker::ReconnectHandle;

use super::{
    counts::{JobCounts, QueueCount},
    fatal_signal::{Blame, FatalSignal},
};
use crate::worker::Worker;

/// Interval of the model checks.
const MODEL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the queue checks.
const QUEUE_INTERVAL: Duration = Duration::from_secs(10);
/// A consumer is stalled after this long without a delivery while jobs wait. Longer than [`QUEUE_INTERVAL`], so that
/// one observation is not enough.
const STALLED_AFTER: Duration = Duration::from_secs(15);

pub struct Watchdog {
    worker: Arc<Worker>,
    counts: JobCounts,
    fatal: FatalSignal,
    consuming: Arc<AtomicBool>,
    reconnect: ReconnectHandle,
    stalled: Mutex<Option<String>>,
}

/// One check of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Observation {
    /// Whether the consuming connection is up.
    connected: bool,
    count: QueueCount,
    /// Ready messages in the queue.
    waiting: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConsumerHealth {
    /// Not known to be stalled.
    Healthy,
    /// Stalled: replace the connection.
    Reconnect,
    /// Stalled again after a reconnect. Another reconnect does no harm.
    Stalled,
}

/// State of one queue's consumer across checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ConsumerMonitor {
    deliveries: u64,
    /// When it last received a job, had one in flight, or had an empty queue.
    healthy_at: Instant,
    /// Reconnects since `healthy_at` was last set by one of those.
    reconnects: u32,
}

impl ConsumerMonitor {
    fn new(now: Instant) -> Self {
        Self { deliveries: 0, healthy_at: now, reconnects: 0 }
    }

    fn observe(&mut self, now: Instant, observation: Observation) -> ConsumerHealth {
        let Observation { connected, count, waiting } = observation;
        if !connected {
            // Restart the clock but keep `reconnects`: a lost connection does not prove the consumer healthy.
            self.healthy_at = now;
            return ConsumerHealth::Healthy;
        }
        if count.in_flight > 0 || count.deliveries != self.deliveries || waiting == 0 {
            *self = Self { deliveries: count.deliveries, ..Self::new(now) };
            return ConsumerHealth::Healthy;
        }
        if now.duration_since(self.healthy_at) < STALLED_AFTER {
            return ConsumerHealth::Healthy;
        }
        self.healthy_at = now;
        self.reconnects += 1;
        if self.reconnects == 1 { ConsumerHealth::Reconnect } else { ConsumerHealth::Stalled }
    }
}

/// Returns why the model counts as stuck: one batch has run for more than half of the job timeout. Half, so that the
/// model is blamed before the oldest of the jobs that share the batch times out.
pub(crate) fn stuck(busy: Option<Duration>, job_timeout: Duration) -> Option<String> {
    let busy = busy.filter(|busy| *busy > job_timeout / 2)?;
    Some(format!(
        "the model has been computing one batch for {} s, more than half of SUBWATCH_JOB_TIMEOUT_SECONDS={}",
        busy.as_secs(),
        job_timeout.as_secs()
    ))
}

impl Watchdog {
    /// `consuming` and `reconnect` are those of the worker's consumer.
    #[must_use]
    pub fn new(
        worker: Arc<Worker>,
        counts: JobCounts,
        fatal: FatalSignal,
        consuming: Arc<AtomicBool>,
        reconnect: ReconnectHandle,
    ) -> Self {
        Self { worker, counts, fatal, consuming, reconnect, stalled: Mutex::default() }
    }

    /// # Errors
    /// If the model is stuck or a consumer is stalled, so that a restart may help.
    pub fn alive(&self) -> Result<(), String> {
        let stuck = || stuck(self.worker.model_busy(), self.worker.job_timeout);
        if let Some(failure) = self.worker.model_failure().or_else(stuck) {
            return Err(failure);
        }
        match &*self.stalled.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(stalled) => Err(stalled.clone()),
            None => Ok(()),
        }
    }

    /// Checks model and queues periodically; never returns.
    pub async fn run(&self) {
        let mut monitors = BTreeMap::new();
        let mut checked_queues = Instant::now();
        loop {
            tokio::time::sleep(MODEL_INTERVAL).await;
            if let Some(failure) = self.worker.model_failure() {
                self.fatal.raise(Blame::Nobody, failure);
            }
            if let Some(stuck) = stuck(self.worker.model_busy(), self.worker.job_timeout)
                && self.counts.in_flight() > 0
            {
                self.fatal.raise(Blame::AllInFlight, stuck);
            }
            if checked_queues.elapsed() >= QUEUE_INTERVAL {
                self.check_consumers(&mut monitors).await;
                checked_queues = Instant::now();
            }
        }
    }

    /// Checks every queue once, and requests a reconnect if a consumer is stalled.
    async fn check_consumers(&self, monitors: &mut BTreeMap<String, ConsumerMonitor>) {
        let (mut stalled, mut reconnect) = (None, false);
        for (queue, count) in self.counts.queues() {
            let monitor =
                monitors.entry(queue.clone()).or_insert_with(|| ConsumerMonitor::new(Instant::now()));
            let connected = self.consuming.load(Ordering::Relaxed);
            // Query the broker only if the consumer looks idle.
            let idle = connected && count.in_flight == 0 && count.deliveries == monitor.deliveries;
            let waiting = if idle { self.worker.publisher.queue_depth(&queue).await.unwrap_or(0) } else { 0 };
            let health = monitor.observe(Instant::now(), Observation { connected, count, waiting });
            if health != ConsumerHealth::Healthy {
                tracing::warn!(%queue, waiting, "jobs wait but this consumer receives none; reconnecting");
                reconnect = true;
            }
            if monitor.reconnects > 1 {
                stalled = Some(format!(
                    "the consumer of {queue} is stalled: jobs wait but none is delivered, even after a reconnect"
                ));
            }
        }
        if reconnect {
            self.reconnect.request();
        }
        *self.stalled.lock().unwrap_or_else(PoisonError::into_inner) = stalled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observations at [`QUEUE_INTERVAL`]: connected, deliveries so far, in flight, waiting.
    fn observe(observations: &[(bool, u64, usize, u32)]) -> Vec<ConsumerHealth> {
        let mut now = Instant::now();
        let mut monitor = ConsumerMonitor::new(now);
        observations
            .iter()
            .map(|&(connected, deliveries, in_flight, waiting)| {
                now += QUEUE_INTERVAL;
                monitor.observe(
                    now,
                    Observation { connected, count: QueueCount { deliveries, in_flight }, waiting },
                )
            })
            .collect()
    }

    #[test]
    fn stalled_consumer_is_reconnected_once_and_then_reported() {
        use ConsumerHealth::{Healthy, Reconnect, Stalled};
        let stalled = (true, 7, 0, 3);
        // The first observation only records the deliveries so far.
        assert_eq!(
            observe(&[stalled; 8]),
            [Healthy, Healthy, Reconnect, Healthy, Stalled, Healthy, Stalled, Healthy]
        );
        // Time without a connection does not count, and does not reset the reconnects.
        let disconnected = (false, 7, 0, 3);
        assert_eq!(
            observe(&[stalled, stalled, stalled, disconnected, stalled, stalled]),
            [Healthy, Healthy, Reconnect, Healthy, Healthy, Stalled]
        );
        assert_eq!(observe(&[disconnected; 6]), [Healthy; 6]);
        // A delivery resets the monitor.
        let delivered = (true, 8, 0, 2);
        assert_eq!(
            observe(&[stalled, stalled, stalled, delivered, delivered, delivered]),
            [Healthy, Healthy, Reconnect, Healthy, Healthy, Reconnect]
        );
    }

    #[test]
    fn consumer_with_deliveries_jobs_in_flight_or_an_empty_queue_is_healthy() {
        let check = |observations: &[(bool, u64, usize, u32)]| {
            let healthy = observe(observations).iter().all(|health| *health == ConsumerHealth::Healthy);
            assert!(healthy, "{observations:?}");
        };
        check(&[(true, 0, 0, 0); 9]);
        check(&[(true, 4, 4, 100); 9]);
        check(&[1, 2, 3, 4, 5, 6].map(|deliveries| (true, deliveries, 0, 9)));
        check(&[(true, 0, 0, 1), (true, 0, 0, 0), (true, 0, 0, 1), (true, 0, 0, 0), (true, 0, 0, 1)]);
    }

    #[test]
    fn batch_is_stuck_after_half_of_the_job_timeout() {
        let limit = Duration::from_secs(300);
        assert_eq!(stuck(None, limit), None);
        assert_eq!(stuck(Some(limit / 2), limit), None);
        let reason = stuck(Some(Duration::from_secs(151)), limit).unwrap();
        assert!(
            reason.contains("one batch for 151 s") && reason.contains("SUBWATCH_JOB_TIMEOUT_SECONDS=300"),
            "{reason}"
        );
    }
}
