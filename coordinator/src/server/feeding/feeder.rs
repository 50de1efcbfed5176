//! The leader's feeder: looks at the queues and tells the tasks of submissions how many jobs to publish.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use common::{
    broker::{Publisher, QueueLoad},
    topology::Route,
};
use futures::future::join_all;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    scheduler::{Scheduler, TurnId},
    window::Window,
};

/// Two looks at a queue that are closer together do not tell its rate.
const MIN_ELAPSED: Duration = Duration::from_millis(5);

/// Feeds queues. Clones share the state.
#[derive(Clone, Default)]
pub(crate) struct Feeder {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The queues that submissions wait for, by name. Those that they have waited for stay, with their rates.
    queues: Mutex<HashMap<String, Queue>>,
    joined: Notify,
}

struct Queue {
    scheduler: Scheduler,
    window: Window,
    /// When the queue was last measured, and whether it was while submissions wait for it.
    measured: Instant,
    is_measured: bool,
    tasks: HashMap<TurnId, Task>,
    last_id: TurnId,
}

/// The task of a submission, as the feeder sees it.
struct Task {
    granted: mpsc::UnboundedSender<u32>,
    /// Jobs that were granted and that the broker has not confirmed yet.
    unconfirmed: u32,
}

/// A submission's turns in a queue. It leaves the queue when this is dropped.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    queue: String,
    id: TurnId,
    granted: mpsc::UnboundedReceiver<u32>,
}

impl Feeder {
    /// Lets a submission take turns, until it has had `jobs` jobs of `job_items` items each.
    pub(crate) fn join(&self, route: &Route, jobs: u32, job_items: u32) -> Turn {
        let name = route.queue_name();
        let (sender, granted) = mpsc::unbounded_channel();
        let id = {
            let mut queues = self.shared.lock();
            let queue = queues.entry(name.clone()).or_insert_with(Queue::new);
            queue.last_id += 1;
            queue.tasks.insert(queue.last_id, Task { granted: sender, unconfirmed: 0 });
            queue.scheduler.join(queue.last_id, jobs, job_items);
            queue.last_id
        };
        self.shared.joined.notify_one();
        Turn { shared: self.shared.clone(), queue: name, id, granted }
    }

    /// Feeds the queues until `stop`. While RabbitMQ is unavailable, no turns are granted.
    pub(crate) async fn run(&self, publisher: &Publisher, stop: &CancellationToken) {
        loop {
            let names = self.shared.waited_for();
            let look = async |name: String| {
                let added = self.shared.lock().get(&name)?.window.added();
                let load = publisher.queue_load(&name).await;
                self.shared.lock().get_mut(&name).map(|queue| queue.feed(load, added, Instant::now()))
            };
            let waits = tokio::select! {
                () = stop.cancelled() => return,
                waits = join_all(names.into_iter().map(look)) => waits,
            };
            let next_look = async {
                match waits.into_iter().flatten().min() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = next_look => {}
                () = self.shared.joined.notified() => {}
            }
        }
    }
}

impl Shared {
    fn waited_for(&self) -> Vec<String> {
        let queues = self.lock();
        queues.iter().filter(|(_, queue)| !queue.tasks.is_empty()).map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::default(),
            window: Window::default(),
            measured: Instant::now(),
            is_measured: false,
            tasks: HashMap::new(),
            last_id: 0,
        }
    }

    /// Grants turns up to the queue's target. `added` jobs were added before its load was requested. Returns the time until
    /// the next look.
    fn feed(&mut self, load: Option<QueueLoad>, added: u32, now: Instant) -> Duration {
        let job_items = self.scheduler.job_items();
        let Some(load) = load else { return self.window.next_look(job_items) };
        let unconfirmed: u32 = self.tasks.values().map(|task| task.unconfirmed).sum();
        let elapsed = now.saturating_duration_since(self.measured);
        if !self.is_measured {
            self.window.resume(load, added, job_items);
            (self.measured, self.is_measured) = (now, true);
        } else if elapsed >= MIN_ELAPSED {
            self.window.measure(load, added, unconfirmed, elapsed, job_items);
            self.measured = now;
        }
        let room = self.window.target().saturating_sub(load.ready).saturating_sub(unconfirmed);
        for (id, jobs) in self.scheduler.grant(room) {
            if let Some(task) = self.tasks.get_mut(&id)
                && task.granted.send(jobs).is_ok()
            {
                task.unconfirmed += jobs;
            }
        }
        self.window.next_look(job_items)
    }
}

impl Turn {
    /// Waits for the next turn. Returns how many jobs to publish, at least one. Cancel safe.
    pub(crate) async fn next(&mut self) -> u32 {
        match self.granted.recv().await {
            Some(jobs) => jobs,
            // The feeder has the sender until this turn is dropped.
            None => std::future::pending().await,
        }
    }

    /// Reports a job of this turn that the broker has confirmed.
    pub(crate) fn confirmed(&self) {
        if let Some(queue) = self.shared.lock().get_mut(&self.queue) {
            queue.window.add(1);
            if let Some(task) = queue.tasks.get_mut(&self.id) {
                task.unconfirmed = task.unconfirmed.saturating_sub(1);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        if let Some(queue) = queues.get_mut(&self.queue) {
            queue.scheduler.leave(self.id);
            queue.tasks.remove(&self.id);
            if queue.tasks.is_empty() {
                queue.is_measured = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(turn: &mut Turn) -> u32 {
        std::iter::from_fn(|| turn.granted.try_recv().ok()).sum()
    }

    /// Looks at the queue of embed jobs and grants turns.
    fn look(feeder: &Feeder, ready: u32) {
        let mut queues = feeder.shared.lock();
        let queue = queues.get_mut(&Route::Embed(None).queue_name()).unwrap();
        let added = queue.window.added();
        queue.feed(Some(QueueLoad { ready, consumers: 9 }), added, Instant::now());
    }

    #[test]
    fn queue_is_filled_once_and_shared() {
        let feeder = Feeder::default();
        let mut first = feeder.join(&Route::Embed(None), 1000, 64);
        look(&feeder, 0);
        assert_eq!(granted(&mut first), 10);
        let mut second = feeder.join(&Route::Embed(None), 1000, 64);
        look(&feeder, 0);
        assert_eq!((granted(&mut first), granted(&mut second)), (0, 0), "ten jobs are being published");
        (0..10).for_each(|_| first.confirmed());
        look(&feeder, 6);
        assert_eq!((granted(&mut first), granted(&mut second)), (2, 2));
    }

    #[test]
    fn unpublished_jobs_of_a_dropped_turn_leave_room() {
        let feeder = Feeder::default();
        let first = feeder.join(&Route::Embed(None), 1000, 64);
        look(&feeder, 0);
        let mut second = feeder.join(&Route::Embed(None), 1000, 64);
        drop(first);
        look(&feeder, 3);
        assert_eq!(granted(&mut second), 7);
        drop(second);
        assert!(feeder.shared.waited_for().is_empty());
        let mut third = feeder.join(&Route::Embed(None), 1000, 64);
        look(&feeder, 3);
        assert_eq!(granted(&mut third), 7, "what was granted to the others does not count");
    }

    #[tokio::test]
    async fn queues_are_independent() {
        let feeder = Feeder::default();
        let mut predict = feeder.join(&Route::Predict(None), 1000, 64);
        let mut embed = feeder.join(&Route::Embed(None), 1, 64);
        look(&feeder, 0);
        assert_eq!((embed.next().await, granted(&mut predict)), (1, 0));
    }
}
