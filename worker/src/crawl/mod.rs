//! Crawling: reading sites with manners.
//!
//! Owns what is asked of the web. Does not own what its answers mean.

pub mod web;
