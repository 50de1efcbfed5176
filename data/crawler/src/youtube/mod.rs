//! Parsers of YouTube's pages and API responses, counts, IDs and thumbnails.
//!
//! Pure functions of a response, without network and clock, so that recorded responses can be parsed again offline.
//! Invariants: an unknown layout, count or order is an error that names it; a missing value never becomes zero or an
//! empty list.
//!
//! - Pages: `response` finds the JSON in a body, `channel` parses a Videos tab, `items` its videos, and `chips` the
//!   orders that it offers. `request` builds the bodies of continuation requests, and `order` checks the order of
//!   videos.
//! - The Data API: `api`, with its errors in `api/errors`.
//! - Both: `counts` parses counts in several languages, `ids` the names of videos and channels, and `thumbnail` the
//!   variants of a thumbnail; `named_list` parses lists from users.
//! - `node` is a JSON value with its path, and `faults` are the errors.

pub mod api;
pub mod channel;
pub mod chips;
pub mod counts;
pub mod faults;
pub mod ids;
pub mod items;
pub mod named_list;
mod node;
pub mod order;
pub mod request;
pub mod response;
#[cfg(test)]
mod tests;
pub mod thumbnail;
