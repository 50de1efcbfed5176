//! What YouTube's answers say: pages, answers of its APIs, counts, identifiers and thumbnails.
//!
//! Owns how every one of them is read, as functions of the answer alone: what was kept is read again offline
//! by the code that read it first. Does not own asking (no network here, and no clock), nor how fast, nor what
//! becomes of what was read. Invariants: a layout, a count or an order that is not known is an error that
//! names itself; nothing that is missing becomes zero or an empty list.

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
