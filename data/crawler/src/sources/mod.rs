//! Where listings come from, one module a source: a channel by the Data API, a channel by its pages, or videos that
//! were named. [`Draft`] is the way to a complete listing, [`SourceContext`] what the sources make their requests with.
//!
//! The sources are `api`, `page` and `named_videos`; `draft` and `context` hold the two types.
//!
//! Does not own what answers mean (see [`youtube`](crate::youtube)).

mod api;
mod context;
mod draft;
mod named_videos;
mod page;

pub(crate) use self::{context::SourceContext, draft::Draft};
