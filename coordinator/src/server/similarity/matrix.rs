//! A matrix of normalised embeddings and the exact nearest-neighbour search over it.
//!
//! A row is 512 f32: 2 KiB per image.

use std::{collections::HashMap, num::NonZero};

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding},
};

/// Minimum number of rows per thread; below it, starting a thread costs more than it saves.
const ROWS_PER_THREAD: usize = 4096;
/// Partial sums of a dot product, which let the compiler use vector registers.
const LANES: usize = 16;

#[derive(Default)]
pub(super) struct Matrix {
    digests: Vec<Digest>,
    rows: Vec<f32>,
    positions: HashMap<Digest, usize>,
}

/// An image with its similarity to the query.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Candidate {
    pub(super) digest: Digest,
    /// From -1 to 1.
    pub(super) cosine: f32,
}

impl Matrix {
    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.positions.contains_key(digest)
    }

    /// Adds an image, unless the matrix has it already.
    pub(super) fn insert(&mut self, digest: Digest, embedding: &Embedding) {
        if !self.contains(&digest) {
            self.positions.insert(digest, self.digests.len());
            self.digests.push(digest);
            self.rows.extend(normalised(embedding));
        }
    }

    /// Removes an image and moves the last row to its position.
    pub(super) fn remove(&mut self, digest: &Digest) {
        let Some(position) = self.positions.remove(digest) else { return };
        let last = self.digests.len() - 1;
        self.digests.swap_remove(position);
        self.rows.copy_within(last * DIMENSIONS..(last + 1) * DIMENSIONS, position * DIMENSIONS);
        self.rows.truncate(last * DIMENSIONS);
        if let Some(moved) = self.digests.get(position) {
            self.positions.insert(*moved, position);
        }
    }

    pub(super) fn digests_where(&self, predicate: impl Fn(&Digest) -> bool) -> Vec<Digest> {
        self.digests.iter().filter(|digest| predicate(digest)).copied().collect()
    }

    /// Returns the `count` images nearest to `embedding`, nearest first. Ties are ordered by digest.
    pub(super) fn nearest(&self, embedding: &Embedding, count: usize) -> Vec<Candidate> {
        let query = normalised(embedding);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = threads.min(self.len() / ROWS_PER_THREAD).max(1);
        let share = self.len().div_ceil(threads).max(1);
        let parts = self.digests.chunks(share).zip(self.rows.chunks(share * DIMENSIONS));
        let mut found = std::thread::scope(|scope| {
            let searches: Vec<_> = parts
                .map(|(digests, rows)| scope.spawn(|| nearest_in(digests, rows, &query, count)))
                .collect();
            let join = |search: std::thread::ScopedJoinHandle<'_, Vec<Candidate>>| {
                search.join().expect("a search does not panic")
            };
            searches.into_iter().flat_map(join).collect()
        });
        keep_nearest(&mut found, count);
        found
    }
}

fn nearest_in(digests: &[Digest], rows: &[f32], query: &[f32], count: usize) -> Vec<Candidate> {
    let mut found = Vec::with_capacity(2 * count + 1);
    for (digest, row) in digests.iter().zip(rows.chunks_exact(DIMENSIONS)) {
        found.push(Candidate { digest: *digest, cosine: dot(row, query) });
        if found.len() > 2 * count {
            keep_nearest(&mut found, count);
        }
    }
    found
}

fn keep_nearest(found: &mut Vec<Candidate>, count: usize) {
    found.sort_unstable_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.digest.cmp(&b.digest)));
    found.truncate(count);
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Scales an embedding to length 1. A zero or non-finite one becomes zero, whose cosine to any other is 0.
fn normalised(embedding: &Embedding) -> [f32; DIMENSIONS] {
    let mut values = embedding.to_f32();
    let length = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
    } else {
        values.fill(0.0);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vector in the plane of the first two dimensions.
    fn at(degrees: f32) -> Embedding {
        let mut values = vec![0.0; DIMENSIONS];
        (values[0], values[1]) = (7.0 * degrees.to_radians().cos(), 7.0 * degrees.to_radians().sin());
        Embedding::from_f32(&values)
    }

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn the_nearest_come_first_with_their_cosines() {
        let mut matrix = Matrix::default();
        for degrees in 0..180 {
            matrix.insert(digest(degrees), &at(degrees as f32));
        }
        let near = matrix.nearest(&at(90.0), 3);
        assert_eq!(near[0].digest, digest(90));
        assert!((near[0].cosine - 1.0).abs() < 1e-3, "{near:?}");
        assert!((near[2].cosine - 1_f32.to_radians().cos()).abs() < 1e-3, "{near:?}");
        assert_eq!(matrix.nearest(&at(0.0), 1000).len(), 180);
        assert_eq!(matrix.nearest(&at(0.0), 0), []);
    }

    #[test]
    fn removed_images_are_not_found() {
        let mut matrix = Matrix::default();
        for degrees in 0..10 {
            matrix.insert(digest(degrees), &at(degrees as f32));
            matrix.insert(digest(degrees), &at(170.0));
        }
        for removed in [0, 9, 4] {
            matrix.remove(&digest(removed));
            matrix.remove(&digest(removed));
        }
        assert_eq!(matrix.len(), 7);
        for remaining in [1, 2, 3, 5, 6, 7, 8] {
            assert_eq!(matrix.nearest(&at(remaining as f32), 1)[0].digest, digest(remaining));
        }
        assert_eq!(matrix.digests_where(|d| *d == digest(5)), [digest(5)]);
    }

    #[test]
    fn parallel_search_finds_the_same_as_one_thread() {
        let mut matrix = Matrix::default();
        for number in 0..3 * ROWS_PER_THREAD as u32 {
            matrix.insert(digest(number), &at(number as f32 / 100.0));
        }
        let found: Vec<Digest> = matrix.nearest(&at(60.0), 20).iter().map(|near| near.digest).collect();
        let mut all = nearest_in(&matrix.digests, &matrix.rows, &normalised(&at(60.0)), 20);
        keep_nearest(&mut all, 20);
        assert_eq!(found, all.iter().map(|near| near.digest).collect::<Vec<_>>());
    }

    #[test]
    fn a_zero_embedding_has_cosine_zero() {
        let mut matrix = Matrix::default();
        matrix.insert(digest(0), &Embedding::from_f32(&[0.0; DIMENSIONS]));
        assert_eq!(matrix.nearest(&at(1.0), 1)[0].cosine, 0.0);
    }
}
