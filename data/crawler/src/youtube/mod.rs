//! What YouTube's answers say: pages, answers of its APIs, counts, identifiers and thumbnails.
//!
//! Owns how every one of them is read, as functions of the answer alone: what was kept is read again offline
//! by the code that read it first. Does not own asking (no network here, and no clock), nor how fast, nor what
//! becomes of what was read. Invariants: a layout, a count or an order that is not known is an error that
//! names itself; nothing that is missing becomes zero or an empty list.
//!
//! - Pages: `answer` finds the JSON in what a server sent, `channel` reads the layouts of a Videos tab page by page,
//!   `items` a video in the layouts there have been, and `chips` the orders that a tab offers. `request` makes the
//!   bodies that ask for more, and `order` checks that videos come in the order asked for.
//! - The Data API: `api`, with its errors in `api/errors`.
//! - Either: `counts` reads counts in any language, `ids` names of videos and channels, `thumbnail` the variants of a
//!   thumbnail, and `named_list` the lists that users give.
//! - `node` keeps the way to a value within an answer, and `faults` says what is wrong with one.

pub mod answer;
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
#[cfg(test)]
mod tests;
pub mod thumbnail;
