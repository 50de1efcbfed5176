//! The scan: which rows can be among the nearest.
//!
//! Reads each row once, as bytes. Invariant: the `count` nearest rows reach the threshold, the `count`-th greatest of the
//! lower bounds found so far. So a row whose upper bound is below it is not among them, whatever its cosine.

use std::sync::Mutex;

use super::{
    parallel::for_each_block,
    quantised::{Bounds, QuantisedQuery, QuantisedRow},
};

/// Rows that a thread takes at a time: about 1 MiB.
const BLOCK: usize = 2048;

/// Returns the positions of all rows that can be among the `count` nearest to `query`, in any order.
pub(super) fn candidates(rows: &[QuantisedRow], query: &QuantisedQuery, count: usize) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let candidates = Mutex::new(Candidates::new(count));
    for_each_block(rows.len(), BLOCK, |block| {
        let threshold = candidates.lock().expect("no holder of this lock panics").threshold;
        let start = block.start;
        let bounds = rows[block].iter().zip(start..).map(|(row, position)| (query.bounds(row), position));
        let found: Vec<_> = bounds.filter(|(bounds, _)| bounds.upper >= threshold).collect();
        candidates.lock().expect("no holder of this lock panics").add(found);
    });
    let mut candidates = candidates.into_inner().expect("no holder of this lock panics");
    candidates.exclude();
    candidates.rows.into_iter().map(|(_, position)| position).collect()
}

struct Candidates {
    count: usize,
    rows: Vec<(Bounds, usize)>,
    threshold: f32,
    /// Number of rows at which they are compared with the threshold again.
    limit: usize,
}

impl Candidates {
    fn new(count: usize) -> Self {
        Self { count, rows: Vec::new(), threshold: f32::NEG_INFINITY, limit: 0 }
    }

    fn add(&mut self, found: Vec<(Bounds, usize)>) {
        self.rows.extend(found);
        if self.rows.len() > self.limit {
            self.exclude();
            // At least doubled, so that comparing takes a constant time a row, however many rows are alike.
            self.limit = 2 * self.rows.len();
        }
    }

    /// Raises the threshold and removes the rows that do not reach it.
    fn exclude(&mut self) {
        if self.rows.len() > self.count {
            let by_lower = |(a, _): &(Bounds, usize), (b, _): &(Bounds, usize)| b.lower.total_cmp(&a.lower);
            let (_, (bounds, _), _) = self.rows.select_nth_unstable_by(self.count - 1, by_lower);
            self.threshold = self.threshold.max(bounds.lower);
            self.rows.retain(|(bounds, _)| bounds.upper >= self.threshold);
        }
    }
}
