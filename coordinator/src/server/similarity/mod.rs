//! Exact similarity search over the images of datasets.
//!
//! `search` resolves the query and the results; `index` keeps the embeddings of one space in sync with the store;
//! `matrix` compares them.

mod index;
mod matrix;
mod search;

pub(crate) use self::{
    index::SimilarityIndex,
    search::{Query, search},
};
