//! Exact similarity search over the images of datasets.
//!
//! `search` resolves the query and the results; `index` keeps the embeddings of one space in sync with the store;
//! `matrix` compares them: `scan` finds the rows that can be among the nearest, by the bounds of `quantised`, and `exact`
//! computes their cosines; `parallel` runs both on all cores.

mod exact;
mod index;
mod matrix;
mod parallel;
mod quantised;
mod scan;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    index::SimilarityIndex,
    search::{Query, search},
};
