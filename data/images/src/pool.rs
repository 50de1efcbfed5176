//! Threads for CPU-bound work: image decoding and gradient computation.
//!
//! Work is started in the order in which it came, interactive work first; work whose caller has gone away before it starts is dropped. These are
//! not tokio's blocking threads, so that each keeps its buffers in its core's cache, and takes the next piece of work
//! without a round trip to the caller.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use common::priority::Priority;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// A pool of threads for CPU-bound work.
pub struct CpuPool {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By priority.
    waiting: [VecDeque<Work>; 2],
    ended: bool,
}

impl CpuPool {
    /// Creates a pool of `threads` threads.
    ///
    /// # Panics
    /// When the process cannot start threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let queue = Arc::<Queue>::default();
        for number in 0..threads {
            let queue = queue.clone();
            let work = move || {
                while let Some(work) = queue.next() {
                    work();
                }
            };
            let name = format!("cpu-{number}");
            thread::Builder::new().name(name).spawn(work).expect("the process can start threads");
        }
        Self { queue }
    }

    /// Runs `work` on a thread of the pool. Once started, `work` finishes even if this future is dropped.
    ///
    /// # Panics
    /// When `work` panics.
    pub async fn run<T: Send + 'static>(
        &self,
        priority: Priority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            if !answer.is_closed() {
                // The caller may have gone away in the meantime.
                let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        self.queue.add(priority, Box::new(work));
        match answered.await.expect("the threads live as long as the pool") {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for CpuPool {
    fn drop(&mut self) {
        self.queue.state.lock().expect("no holder of this lock panics").ended = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn add(&self, priority: Priority, work: Work) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        state.waiting[priority as usize].push_back(work);
        self.changed.notify_one();
    }

    /// Waits for the next piece of work; `None` once the pool is dropped.
    fn next(&self) -> Option<Work> {
        let state = self.state.lock().expect("no holder of this lock panics");
        let idle = |state: &mut State| state.waiting.iter().all(VecDeque::is_empty) && !state.ended;
        let mut state = self.changed.wait_while(state, idle).expect("no holder of this lock panics");
        state.waiting.iter_mut().find_map(VecDeque::pop_front)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Runs a future that does not need a runtime.
    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn panics_reach_the_caller_and_spare_the_thread() {
        let pool = CpuPool::new(1);
        let panicked =
            catch_unwind(AssertUnwindSafe(|| wait_for(pool.run(Priority::Bulk, || panic!("torn")))));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"torn"));
        assert_eq!(wait_for(pool.run(Priority::Bulk, || 7)), 7);
    }

    #[test]
    fn work_without_a_caller_is_not_begun() {
        let (pool, begun) = (CpuPool::new(1), Arc::new(AtomicUsize::new(0)));
        let count = || {
            let begun = begun.clone();
            move || begun.fetch_add(1, Ordering::Relaxed)
        };
        let (open, gate) = std::sync::mpsc::channel::<()>();
        wait_for(async {
            let mut held = Box::pin(pool.run(Priority::Bulk, move || gate.recv()));
            let mut dropped = Box::pin(pool.run(Priority::Bulk, count()));
            // Polled once each: queued, not finished.
            assert!(is_pending(&mut held).await && is_pending(&mut dropped).await);
            drop(dropped);
            open.send(()).unwrap();
            held.await.unwrap();
            pool.run(Priority::Bulk, count()).await;
        });
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn interactive_work_overtakes_bulk_work() {
        let (pool, order) = (CpuPool::new(1), Arc::<Mutex<Vec<u32>>>::default());
        let (open, gate) = std::sync::mpsc::channel::<()>();
        wait_for(async {
            let mut held = Box::pin(pool.run(Priority::Bulk, move || gate.recv()));
            assert!(is_pending(&mut held).await);
            let run = |priority, number| {
                let order = order.clone();
                Box::pin(pool.run(priority, move || order.lock().unwrap().push(number)))
            };
            let mut runs = [run(Priority::Bulk, 1), run(Priority::Bulk, 2), run(Priority::Interactive, 3)];
            for run in &mut runs {
                assert!(is_pending(run).await);
            }
            open.send(()).unwrap();
            for run in runs {
                run.await;
            }
        });
        assert_eq!(*order.lock().unwrap(), [3, 1, 2]);
    }

    async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
