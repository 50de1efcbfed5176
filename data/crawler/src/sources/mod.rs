//! Sources of listings: a channel via the Data API (`api`) or its page (`page`), or a list of videos
//! (`named_videos`).
//!
//! [`Draft`] is a resumable listing, [`SourceContext`] what the sources make requests with; `paging` bounds the pages
//! of a listing. Does not own parsing (see [`youtube`](crate::youtube)).

mod api;
mod context;
mod draft;
mod named_videos;
mod page;
mod paging;

pub(crate) use self::{context::SourceContext, draft::Draft};
