//! How much is in a stage of a pipeline, and how busy it is.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// A stage that works on at most `capacity` pieces at a time. Clones share it.
#[derive(Clone, Debug)]
pub struct Stage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Pieces that wait or are worked on.
    depth: u64,
    working: u32,
    /// Time of all work up to `counted`, divided by the capacity.
    busy: Duration,
    counted: Instant,
}

/// Pieces in a stage, until it is dropped.
#[derive(Debug)]
pub struct InStage {
    stage: Stage,
    pieces: u64,
}

/// Work of a stage, until it is dropped.
#[derive(Debug)]
pub struct Working(Stage);

impl Stage {
    /// # Panics
    /// If `capacity` is 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a stage works on something");
        let state = State { depth: 0, working: 0, busy: Duration::ZERO, counted: Instant::now() };
        let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
        Self(Arc::new(Inner { capacity, state: Mutex::new(state) }))
    }

    /// Counts pieces as in this stage.
    #[must_use]
    pub fn enter(&self, pieces: usize) -> InStage {
        let pieces = pieces as u64;
        self.lock().depth += pieces;
        InStage { stage: self.clone(), pieces }
    }

    /// Counts one piece as worked on.
    #[must_use]
    pub fn work(&self) -> Working {
        self.count().working += 1;
        Working(self.clone())
    }

    /// Pieces that wait or are worked on.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.lock().depth
    }

    /// How long it has worked since its creation; work on fewer pieces than its capacity counts in proportion.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.count().busy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of this lock panics")
    }

    /// Adds the work up to now.
    fn count(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let now = Instant::now();
        let working = state.working.min(self.0.capacity);
        let worked = (now - state.counted) * working / self.0.capacity;
        state.busy += worked;
        state.counted = now;
        state
    }
}

impl Drop for InStage {
    fn drop(&mut self) {
        self.stage.lock().depth -= self.pieces;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.count().working -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(20);

    #[test]
    fn work_counts_in_proportion_to_the_capacity() {
        let stage = Stage::new(4);
        std::thread::sleep(TIME);
        assert_eq!(stage.busy(), Duration::ZERO);
        let began = Instant::now();
        let _one = stage.work();
        std::thread::sleep(TIME);
        let busy = stage.busy();
        assert!(busy >= TIME / 4 && busy <= began.elapsed() / 4, "{busy:?}");
        // More work than the capacity counts as all of it.
        let more: Vec<Working> = (0..7).map(|_| stage.work()).collect();
        std::thread::sleep(TIME);
        let all = stage.busy() - busy;
        assert!(all >= TIME && all <= began.elapsed(), "{all:?}");
        drop(more);
    }

    #[test]
    fn depth_counts_pieces_that_have_not_left() {
        let stage = Stage::new(1);
        let (group, one) = (stage.enter(16), stage.enter(1));
        assert_eq!(stage.depth(), 17);
        drop(group);
        assert_eq!(stage.depth(), 1);
        drop(one);
        assert_eq!(stage.depth(), 0);
    }
}
