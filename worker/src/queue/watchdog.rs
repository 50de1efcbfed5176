//! The watch over a worker's own health: whether it hears its queues and its model answers.
//!
//! Owns the judgement of a *deaf* consumer, which RabbitMQ takes for served and serves nothing, and of a
//! stuck model; and what is done about them: a new connection first, then failed liveness; an end of the
//! process. Does not own connections or the end (see [`crate::run`]). The decisions are pure: `Ear` and
//! `stuck` are fed with times and counts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use common::broker::Renewal;

use super::{
    counts::{JobCounts, QueueCount},
    fatal::Fatal,
};
use crate::worker::Worker;

/// How often the model is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the broker is asked about a queue that serves nothing.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// Silence of a queue in which jobs wait after which its consumer counts as deaf. Longer than one interval
/// between questions, so that no single answer decides.
const DEAF_AFTER: Duration = Duration::from_secs(15);

/// The watch over one worker.
pub struct Watch {
    worker: Arc<Worker>,
    counts: JobCounts,
    fatal: Fatal,
    consuming: Arc<AtomicBool>,
    renewal: Renewal,
    deaf: Mutex<Option<String>>,
}

/// What one look at a queue found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Look {
    /// Whether the consuming connection is up.
    connected: bool,
    count: QueueCount,
    /// Jobs waiting in the queue.
    waiting: u32,
}

/// What a look tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hearing {
    /// Nothing is wrong, or nothing can be said.
    Fine,
    /// The consumer is deaf: replace its connection.
    Renew,
    /// It is deaf over a new connection as well; replacing that one once more does no harm.
    Deaf,
}

/// The judgement of one queue's consumer over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ear {
    deliveries: u64,
    /// When it last was served, held something, or had nothing to be served with.
    fine: Instant,
    /// Connections replaced since then.
    renewals: u32,
}

impl Ear {
    fn new(now: Instant) -> Self {
        Self { deliveries: 0, fine: now, renewals: 0 }
    }

    fn look(&mut self, now: Instant, look: Look) -> Hearing {
        if !look.connected {
            // Being connected again is what is waited for; the count of renewals stays.
            self.fine = now;
            return Hearing::Fine;
        }
        if look.count.in_flight > 0 || look.count.deliveries != self.deliveries || look.waiting == 0 {
            *self = Self { deliveries: look.count.deliveries, ..Self::new(now) };
            return Hearing::Fine;
        }
        if now.duration_since(self.fine) < DEAF_AFTER {
            return Hearing::Fine;
        }
        self.fine = now;
        self.renewals += 1;
        if self.renewals == 1 { Hearing::Renew } else { Hearing::Deaf }
    }
}

/// Says so when one batch has run for more than half of what a job may take. Half, because a job waits for
/// several batches, and because the oldest job must not be blamed alone for a batch it shares.
pub(crate) fn stuck(busy: Option<Duration>, job_limit: Duration) -> Option<String> {
    let busy = busy.filter(|busy| *busy > job_limit / 2)?;
    Some(format!(
        "the model has been computing one batch for {} s, more than half of SUBWATCH_JOB_LIMIT_SECONDS={}",
        busy.as_secs(),
        job_limit.as_secs()
    ))
}

impl Watch {
    /// Makes the watch over `worker`, whose consumer has these `counts`, this flag and this renewal.
    #[must_use]
    pub fn new(
        worker: Arc<Worker>,
        counts: JobCounts,
        fatal: Fatal,
        consuming: Arc<AtomicBool>,
        renewal: Renewal,
    ) -> Self {
        Self { worker, counts, fatal, consuming, renewal, deaf: Mutex::default() }
    }

    /// Says whether a new process would do better, and why.
    ///
    /// # Errors
    /// When the model is stuck or the consumer deaf.
    pub fn alive(&self) -> Result<(), String> {
        if let Some(stuck) = stuck(self.worker.model_busy(), self.worker.job_limit) {
            return Err(stuck);
        }
        match &*self.deaf.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(deaf) => Err(deaf.clone()),
            None => Ok(()),
        }
    }

    /// Watches, and never ends.
    pub async fn run(&self) {
        let mut ears = BTreeMap::new();
        let mut asked = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(stuck) = stuck(self.worker.model_busy(), self.worker.job_limit)
                && self.counts.in_flight() > 0
            {
                self.fatal.report_suspecting_all(stuck);
            }
            if asked.elapsed() >= ASK_EVERY {
                self.listen(&mut ears).await;
                asked = Instant::now();
            }
        }
    }

    /// Looks at every queue once and acts on what that tells.
    async fn listen(&self, ears: &mut BTreeMap<String, Ear>) {
        let (mut deaf, mut renew) = (None, false);
        for (queue, count) in self.counts.queues() {
            let ear = ears.entry(queue.clone()).or_insert_with(|| Ear::new(Instant::now()));
            let connected = self.consuming.load(Ordering::Relaxed);
            // The broker is asked only where the answer matters.
            let idle = connected && count.in_flight == 0 && count.deliveries == ear.deliveries;
            let waiting = if idle { self.worker.publisher.queue_depth(&queue).await.unwrap_or(0) } else { 0 };
            let hearing = ear.look(Instant::now(), Look { connected, count, waiting });
            if hearing != Hearing::Fine {
                tracing::warn!(%queue, waiting, "jobs wait and none is served to this worker: consuming over a new connection");
                renew = true;
            }
            if ear.renewals > 1 {
                deaf = Some(format!(
                    "RabbitMQ serves no jobs of {queue} though they wait there and this worker consumes it, \
                     over a new connection either"
                ));
            }
        }
        if renew {
            self.renewal.ask();
        }
        *self.deaf.lock().unwrap_or_else(PoisonError::into_inner) = deaf;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every ten seconds: connected, deliveries so far, in flight, waiting.
    fn hear(looks: &[(bool, u64, usize, u32)]) -> Vec<Hearing> {
        let began = Instant::now();
        let mut ear = Ear::new(began);
        let mut now = began;
        looks
            .iter()
            .map(|&(connected, deliveries, in_flight, waiting)| {
                now += ASK_EVERY;
                ear.look(now, Look { connected, count: QueueCount { deliveries, in_flight }, waiting })
            })
            .collect()
    }

    #[test]
    fn a_deaf_consumer_is_renewed_once_and_then_given_up() {
        use Hearing::{Deaf, Fine, Renew};
        let deaf = (true, 7, 0, 3);
        // The first look learns how much was delivered before.
        assert_eq!(hear(&[deaf; 8]), [Fine, Fine, Renew, Fine, Deaf, Fine, Deaf, Fine]);
        // Time without a connection is not held against it, nor does it excuse what was.
        let away = (false, 7, 0, 3);
        assert_eq!(hear(&[deaf, deaf, deaf, away, deaf, deaf]), [Fine, Fine, Renew, Fine, Fine, Deaf]);
        assert_eq!(hear(&[away; 6]), [Fine; 6]);
        // Served again, it starts anew.
        let served = (true, 8, 0, 2);
        assert_eq!(hear(&[deaf, deaf, deaf, served, served, served]), [Fine, Fine, Renew, Fine, Fine, Renew]);
    }

    #[test]
    fn who_is_served_holds_something_or_has_nothing_to_do_is_not_deaf() {
        let check = |looks: &[(bool, u64, usize, u32)]| {
            assert!(hear(looks).iter().all(|hearing| *hearing == Hearing::Fine), "{looks:?}");
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
            said.contains("one batch for 151 s") && said.contains("SUBWATCH_JOB_LIMIT_SECONDS=300"),
            "{said}"
        );
    }
}
