//! A matrix of embeddings and the exact nearest-neighbour search over it.
//!
//! A search first scans all rows as bytes (`scan`), which excludes those whose cosine is certainly too small
//! (`quantised`), and computes the cosines of the others (`exact`). Its result is that of computing all cosines. An image
//! takes 520 bytes for its row and 1,024 for its embedding, which is read only for the few rows that are not excluded;
//! with digest, position and the overhead of memory, about 1.7 KB.

use std::{collections::HashMap, sync::Mutex};

use common::{digest::Digest, embedding::Embedding};

use super::{
    exact::{cosine, normalised},
    parallel::for_each_block,
    quantised::{Centre, QuantisedQuery, QuantisedRow},
    scan::candidates,
};

/// Number of rows whose mean becomes the centre: the first ones. A centre far from later rows costs speed only.
const CENTRE_ROWS: usize = 1024;
/// Cosines that a thread computes at a time.
const BLOCK: usize = 256;

#[derive(Default)]
pub(super) struct Matrix {
    digests: Vec<Digest>,
    centre: Centre,
    rows: Vec<QuantisedRow>,
    embeddings: Vec<Embedding>,
    positions: HashMap<Digest, usize>,
    changes: u64,
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

    /// Number of additions and removals so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.positions.contains_key(digest)
    }

    /// Adds an image, unless the matrix has it already.
    pub(super) fn insert(&mut self, digest: Digest, embedding: Embedding) {
        if !self.contains(&digest) {
            self.changes += 1;
            self.positions.insert(digest, self.digests.len());
            self.digests.push(digest);
            self.rows.push(QuantisedRow::new(&normalised(&embedding), &self.centre));
            self.embeddings.push(embedding);
            if self.rows.len() == CENTRE_ROWS {
                self.centre_rows();
            }
        }
    }

    fn centre_rows(&mut self) {
        let rows: Vec<_> = self.embeddings.iter().map(normalised).collect();
        self.centre = Centre::of(&rows);
        self.rows = rows.iter().map(|row| QuantisedRow::new(row, &self.centre)).collect();
    }

    /// Removes an image and moves the last row to its position.
    pub(super) fn remove(&mut self, digest: &Digest) {
        let Some(position) = self.positions.remove(digest) else { return };
        self.changes += 1;
        self.digests.swap_remove(position);
        self.rows.swap_remove(position);
        self.embeddings.swap_remove(position);
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
        let positions = candidates(&self.rows, &QuantisedQuery::new(&query, &self.centre), count);
        let found = Mutex::new(Vec::with_capacity(positions.len()));
        for_each_block(positions.len(), BLOCK, |block| {
            let of_row = |position: &usize| Candidate {
                digest: self.digests[*position],
                cosine: cosine(&normalised(&self.embeddings[*position]), &query),
            };
            let cosines: Vec<_> = positions[block].iter().map(of_row).collect();
            found.lock().expect("no holder of this lock panics").extend(cosines);
        });
        let mut found = found.into_inner().expect("no holder of this lock panics");
        found.sort_unstable_by(|a, b| b.cosine.total_cmp(&a.cosine).then(a.digest.cmp(&b.digest)));
        found.truncate(count);
        found
    }
}

#[cfg(test)]
mod tests {
    use common::embedding::DIMENSIONS;

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
            matrix.insert(digest(degrees), at(degrees as f32));
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
            matrix.insert(digest(degrees), at(degrees as f32));
            matrix.insert(digest(degrees), at(170.0));
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
    fn a_zero_embedding_has_cosine_zero() {
        let mut matrix = Matrix::default();
        matrix.insert(digest(0), Embedding::from_f32(&[0.0; DIMENSIONS]));
        assert_eq!(matrix.nearest(&at(1.0), 1)[0].cosine, 0.0);
    }
}
