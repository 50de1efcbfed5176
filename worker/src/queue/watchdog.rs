//! The watch over a worker's own health: whether it hears its queues and its model answers.
//!
//! Owns the judgement of a *stalled* consumer, which RabbitMQ takes for served and serves nothing, and of a
//! stuck model; and what is done about them: a new connection first, then failed liveness; an end of the
//! process. Does not own connections or the end (see [`crate::run`]). The decisions are pure: `ConsumerMonitor` and
//! `stuck` are fed with times and counts.

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

/// How often the model is looked at.
const CHECK_MODEL_EVERY: Duration = Duration::from_secs(1);
/// How often the broker is asked about a queue that serves nothing.
const CHECK_QUEUES_EVERY: Duration = Duration::from_secs(10);
/// Silence of a queue in which jobs wait after which its consumer counts as stalled. Longer than one interval
/// between questions, so that no single answer decides.
const STALLED_AFTER: Duration = Duration::from_secs(15);

/// The watch over one worker.
pub struct Watchdog {
    worker: Arc<Worker>,
    counts: JobCounts,
    fatal: FatalSignal,
    consuming: Arc<AtomicBool>,
    reconnect: ReconnectHandle,
    stalled: Mutex<Option<String>>,
}

/// What one look at a queue found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Observation {
    /// Whether the consuming connection is up.
    connected: bool,
    count: QueueCount,
    /// Jobs waiting in the queue.
    waiting: u32,
}

/// What a look tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConsumerHealth {
    /// Nothing is wrong, or nothing can be said.
    Healthy,
    /// The consumer is stalled: replace its connection.
    Reconnect,
    /// It is stalled over a new connection as well; replacing that one once more does no harm.
    Stalled,
}

/// The judgement of one queue's consumer over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ConsumerMonitor {
    deliveries: u64,
    /// When it last was served, held something, or had nothing to be served with.
    healthy_at: Instant,
    /// Connections replaced since then.
    reconnects: u32,
}

impl ConsumerMonitor {
    fn new(now: Instant) -> Self {
        Self { deliveries: 0, healthy_at: now, reconnects: 0 }
    }

    fn observe(&mut self, now: Instant, seen: Observation) -> ConsumerHealth {
        if !seen.connected {
            // Being connected again is what is waited for; the count of reconnects stays.
            self.healthy_at = now;
            return ConsumerHealth::Healthy;
        }
        if seen.count.in_flight > 0 || seen.count.deliveries != self.deliveries || seen.waiting == 0 {
            *self = Self { deliveries: seen.count.deliveries, ..Self::new(now) };
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

/// Says so when one batch has run for more than half of what a job may take. Half, because a job waits for
/// several batches, and because the oldest job must not be blamed alone for a batch it shares.
pub(crate) fn stuck(busy: Option<Duration>, job_timeout: Duration) -> Option<String> {
    let busy = busy.filter(|busy| *busy > job_timeout / 2)?;
    Some(format!(
        "the model has been computing one batch for {} s, more than half of SUBWATCH_JOB_TIMEOUT_SECONDS={}",
        busy.as_secs(),
        job_timeout.as_secs()
    ))
}

impl Watchdog {
    /// Makes the watch over `worker`, whose consumer has these `counts`, this flag and this reconnect.
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

    /// Says whether a new process would do better, and why.
    ///
    /// # Errors
    /// When the model is stuck or the consumer stalled.
    pub fn alive(&self) -> Result<(), String> {
        if let Some(stuck) = stuck(self.worker.model_busy(), self.worker.job_timeout) {
            return Err(stuck);
        }
        match &*self.stalled.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(stalled) => Err(stalled.clone()),
            None => Ok(()),
        }
    }

    /// Watches, and never ends.
    pub async fn run(&self) {
        let mut monitors = BTreeMap::new();
        let mut asked = Instant::now();
        loop {
            tokio::time::sleep(CHECK_MODEL_EVERY).await;
            if let Some(stuck) = stuck(self.worker.model_busy(), self.worker.job_timeout)
                && self.counts.in_flight() > 0
            {
                self.fatal.raise(Blame::AllInFlight, stuck);
            }
            if asked.elapsed() >= CHECK_QUEUES_EVERY {
                self.check_consumers(&mut monitors).await;
                asked = Instant::now();
            }
        }
    }

    /// Looks at every queue once and acts on what that tells.
    async fn check_consumers(&self, monitors: &mut BTreeMap<String, ConsumerMonitor>) {
        let (mut stalled, mut reconnect) = (None, false);
        for (queue, count) in self.counts.queues() {
            let monitor =
                monitors.entry(queue.clone()).or_insert_with(|| ConsumerMonitor::new(Instant::now()));
            let connected = self.consuming.load(Ordering::Relaxed);
            // The broker is asked only where the answer matters.
            let idle = connected && count.in_flight == 0 && count.deliveries == monitor.deliveries;
            let waiting = if idle { self.worker.publisher.queue_depth(&queue).await.unwrap_or(0) } else { 0 };
            let health = monitor.observe(Instant::now(), Observation { connected, count, waiting });
            if health != ConsumerHealth::Healthy {
                tracing::warn!(%queue, waiting, "jobs wait and none is served to this worker: consuming over a new connection");
                reconnect = true;
            }
            if monitor.reconnects > 1 {
                stalled = Some(format!(
                    "RabbitMQ serves no jobs of {queue} though they wait there and this worker consumes it, \
                     over a new connection either"
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

    /// Looks every ten seconds: connected, deliveries so far, in flight, waiting.
    fn observe(looks: &[(bool, u64, usize, u32)]) -> Vec<ConsumerHealth> {
        let began = Instant::now();
        let mut monitor = ConsumerMonitor::new(began);
        let mut now = began;
        looks
            .iter()
            .map(|&(connected, deliveries, in_flight, waiting)| {
                now += CHECK_QUEUES_EVERY;
                monitor.observe(
                    now,
                    Observation { connected, count: QueueCount { deliveries, in_flight }, waiting },
                )
            })
            .collect()
    }

    #[test]
    fn a_deaf_consumer_is_renewed_once_and_then_given_up() {
        use ConsumerHealth::{Healthy, Reconnect, Stalled};
        let stalled = (true, 7, 0, 3);
        // The first look learns how much was delivered before.
        assert_eq!(
            observe(&[stalled; 8]),
            [Healthy, Healthy, Reconnect, Healthy, Stalled, Healthy, Stalled, Healthy]
        );
        // Time without a connection is not held against it, nor does it excuse what was.
        let away = (false, 7, 0, 3);
        assert_eq!(
            observe(&[stalled, stalled, stalled, away, stalled, stalled]),
            [Healthy, Healthy, Reconnect, Healthy, Healthy, Stalled]
        );
        assert_eq!(observe(&[away; 6]), [Healthy; 6]);
        // Served again, it starts anew.
        let served = (true, 8, 0, 2);
        assert_eq!(
            observe(&[stalled, stalled, stalled, served, served, served]),
            [Healthy, Healthy, Reconnect, Healthy, Healthy, Reconnect]
        );
    }

    #[test]
    fn who_is_served_holds_something_or_has_nothing_to_do_is_not_deaf() {
        let check = |looks: &[(bool, u64, usize, u32)]| {
            assert!(observe(looks).iter().all(|health| *health == ConsumerHealth::Healthy), "{looks:?}");
        };
        check(&[(true, 0, 0, 0); 9]);
        check(&[(true, 4, 4, 100); 9]);
        check(&[1, 2, 3, 4, 5, 6].map(|deliveries| (true, deliveries, 0, 9)));
        check(&[(true, 0, 0, 1), (true, 0, 0, 0), (true, 0, 0, 1), (true, 0, 0, 0), (true, 0, 0, 1)]);
    }

    #[test]
    fn a_batch_is_stuck_once_it_takes_half_of_what_a_job_may() {
        let limit = Duration::from_secs(300);
        assert_eq!(stuck(None, limit), None);
        assert_eq!(stuck(Some(limit / 2), limit), None);
        let said = stuck(Some(Duration::from_secs(151)), limit).unwrap();
        assert!(
            said.contains("one batch for 151 s") && said.contains("SUBWATCH_JOB_TIMEOUT_SECONDS=300"),
            "{said}"
        );
    }
}
