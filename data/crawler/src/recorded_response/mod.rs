//! Answers of sites that could not be read: kept when they come, and read again offline by `subwatch crawl replay`.
//!
//! [`ResponseRecorder`] keeps them, [`RecordedResponse`] is their form, and `replay` says which parser reads which.

mod file;
mod recorder;
mod replay;

pub use self::{
    file::{Endpoint, RecordedResponse},
    recorder::ResponseRecorder,
    replay::ReplayedItems,
};
