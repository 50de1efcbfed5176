//! Similarity: which images of datasets are nearest to one, exactly.
//!
//! `search` reads what is asked and names what is found; `index` keeps the embeddings of one space equal to the
//! store; `matrix` compares them.

mod index;
mod matrix;
mod search;

pub(crate) use self::{
    index::SimilarityIndex,
    search::{Query, search},
};
