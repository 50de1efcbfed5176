//! Taking batches: which one leaves next, and when.

use std::{
    mem,
    sync::{Arc, MutexGuard, atomic::Ordering},
    time::{Duration, Instant},
};

use common::{priority::Priority, stage::Working};

use super::{Batch, Collector, State};
use crate::model::BatchMemory;

/// Polling interval while a batch waits.
const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// Most interactive batches that leave one after the other while bulk images wait.
pub(super) const MAX_OVERTAKING: u32 = 8;

/// The other end of an [`Embedder`]: the batches to compute.
pub(in crate::inference) struct Batches {
    pub(super) collector: Arc<Collector>,
    pub(super) linger: Duration,
    /// Interactive batches since the last bulk batch that left while bulk images waited.
    pub(super) overtaking: u32,
}

impl Batches {
    /// Waits for the next batch; `None` once every [`Embedder`] is dropped. Blocks.
    pub(in crate::inference) fn next(&mut self) -> Option<Batch> {
        loop {
            let mut state = self.collector.lock();
            state.idle = true;
            let nothing = |state: &mut State| state.is_empty() && !state.ended;
            state = self.collector.changed.wait_while(state, nothing).expect("no holder of this lock panics");
            state.idle = false;
            drop(state);
            match self.next_beside(0) {
                None if self.collector.lock().ended => return None,
                None => {}
                batch => return batch,
            }
        }
    }

    /// Returns the next batch while the device still computes one of `computing` images; `None` if no image waits.
    pub(in crate::inference) fn next_beside(&mut self, computing: usize) -> Option<Batch> {
        loop {
            let state = self.collector.lock();
            let priority = self.choose(&state)?;
            let bulk_waits = !state.lanes[Priority::Bulk as usize].batches.is_empty();
            let Some(batch) = self.take(state, priority, computing) else { continue };
            self.overtaking = match priority {
                Priority::Interactive if bulk_waits => self.overtaking + 1,
                _ => 0,
            };
            if batch.answers.iter().any(|answer| !answer.sender.is_closed()) {
                return Some(batch);
            }
            // All its images failed, or their jobs were cancelled.
            self.give_back(batch.memory);
        }
    }

    /// Chooses the priority of the next batch; `None` if no image waits.
    fn choose(&self, state: &State) -> Option<Priority> {
        let waits = |priority: Priority| !state.lanes[priority as usize].batches.is_empty();
        let (interactive, bulk) = (waits(Priority::Interactive), waits(Priority::Bulk));
        if interactive && !(bulk && self.overtaking >= MAX_OVERTAKING) {
            return Some(Priority::Interactive);
        }
        bulk.then_some(Priority::Bulk)
    }

    /// Takes the oldest batch of a priority once it is full, or no more images are expected or come within `linger`. The
    /// `computing` images still count as expected. `None` if an interactive image comes before that.
    fn take(&self, mut state: MutexGuard<'_, State>, priority: Priority, computing: usize) -> Option<Batch> {
        let full_by = Instant::now() + self.linger;
        let lane = priority as usize;
        let wait = |state, time| {
            let waited = self.collector.changed.wait_timeout(state, time);
            waited.expect("no holder of this lock panics").0
        };
        loop {
            let oldest = &state.lanes[lane].batches[0];
            let present = oldest.batch.memory.taken() + computing;
            let more = self.collector.expected[lane].load(Ordering::Relaxed) > present;
            if oldest.closed || !more || Instant::now() >= full_by {
                break;
            }
            if priority == Priority::Bulk
                && !state.lanes[Priority::Interactive as usize].batches.is_empty()
                && self.overtaking < MAX_OVERTAKING
            {
                return None;
            }
            state = wait(state, POLL_INTERVAL);
        }
        state.lanes[lane].batches[0].closed = true;
        while state.lanes[lane].batches[0].writing > 0 {
            state = wait(state, POLL_INTERVAL);
        }
        let lane = &mut state.lanes[lane];
        lane.oldest += 1;
        Some(lane.batches.pop_front().expect("only this thread removes batches").batch)
    }

    /// Limits later batches to `images`.
    pub(in crate::inference) fn limit(&self, images: usize) {
        self.collector.limit.fetch_min(images.max(1), Ordering::Relaxed);
    }

    /// Records why the model thread ends.
    pub(in crate::inference) fn fail(&self, reason: String) {
        // Only the first reason counts.
        let _ = self.collector.failure.set(reason);
    }

    /// Counts a batch as being computed, until the guard is dropped.
    pub(in crate::inference) fn work(&self) -> Working {
        self.collector.stage.work()
    }

    /// Takes back the memory of a computed batch.
    pub(in crate::inference) fn give_back(&self, mut memory: BatchMemory) {
        memory.clear();
        // After the limit has shrunk, memory of the old size would hold few images.
        if memory.places() == self.collector.limit.load(Ordering::Relaxed) {
            self.collector.lock().free.push(memory);
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.collector.permits.iter().for_each(|permits| permits.close());
        let mut state = self.collector.lock();
        state.gone = true;
        let waiting = state.lanes.each_mut().map(|lane| {
            lane.oldest += lane.batches.len() as u64;
            mem::take(&mut lane.batches)
        });
        drop(state);
        drop(waiting);
    }
}
