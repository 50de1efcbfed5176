//! Tests of whole responses: minimal ones (`layouts`) and ones recorded from YouTube (`recorded`).

mod layouts;
mod recorded;
