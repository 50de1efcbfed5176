//! Whole answers, read from the first byte to the last value.
//!
//! `layouts` makes them small, those that there are and changed ones; `recorded` reads what YouTube answered.

mod layouts;
mod recorded;
