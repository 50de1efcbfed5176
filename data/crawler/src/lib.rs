//! Crawling: reading sites with manners, into datasets.
//!
//! Owns what is asked of the web, in which order, and what is made of it: [`sources`] list videos, `thumbnails`
//! brings in their pictures, `rows` writes them down. Does not own what answers mean (see [`crate::youtube`]),
//! nor how fast may be asked (see [`web`]).
//! Invariants: nothing that is stored is asked for again; a part of the dataset is written whole or not at all;
//! whatever stands in the way but the channel itself costs the job no attempt, or an attempt, and no row.

mod drift;
pub mod http;
pub mod import;
pub mod kept;
mod listing;
mod rows;
pub mod sources;
mod stop;
mod thumbnails;
mod turn;
pub mod youtube;

pub use self::{
    drift::Answers,
    listing::{Channel, Listing, Video},
    rows::{Part, Written},
    stop::Stop,
    thumbnails::{Bringing, bring_in},
    turn::{Turn, is_over as turn_is_over},
};

#[cfg(test)]
#[path = "../../../tests/src/real_data.rs"]
pub mod real_data;
