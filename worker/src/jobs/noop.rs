//! The embed job of `make bench`, which measures the queue alone: it does nothing. Only with the feature `bench-noop`.

use common::{
    digest::Digest,
    job::{args::EmbedArgs, outcome::ItemResult},
};

use crate::outcome::Outcome;

/// Reports every item of the chunk as embedded, without reading or storing anything.
pub(super) fn run(args: &EmbedArgs) -> Outcome {
    let sha256 = Digest::of(&[]);
    let chunk = &args.chunk;
    let items = chunk.first_item..chunk.first_item + u64::from(chunk.items);
    Outcome::Items(items.map(|item| (item, ItemResult::Embedded { sha256, cached: false })).collect())
}
