//! Recorded responses: bodies that could not be parsed, saved for `subwatch crawl replay`, which parses them offline.

mod file;
mod recorder;
mod replay;

pub use self::{
    file::{Endpoint, RecordedResponse},
    recorder::ResponseRecorder,
    replay::ReplayedItems,
};
