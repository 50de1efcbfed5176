//! Work on all cores.

use std::{
    num::NonZero,
    ops::Range,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

static CORES: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));

/// Calls `work` with each range of `block` numbers below `len`, the last of which may be shorter. Threads take the next
/// range when they are free, so that none waits for one whose core is busy. Up to `block` numbers take no other thread.
pub(super) fn for_each_block(len: usize, block: usize, work: impl Fn(Range<usize>) + Sync) {
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let start = next.fetch_add(block, Ordering::Relaxed);
            if start >= len {
                return;
            }
            work(start..len.min(start + block));
        }
    };
    thread::scope(|scope| {
        for _ in 1..(*CORES).min(len.div_ceil(block)) {
            scope.spawn(take);
        }
        take();
    });
}
