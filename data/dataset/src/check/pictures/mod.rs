//! Pictures of a dataset, for people: how its labels are distributed, and some of its thumbnails.
//!
//! Owns what is drawn; writes no file.

mod colours;
mod histogram;
mod number_text;
mod sheet;
mod thumbnail;

pub(super) use self::thumbnail::small;
pub use self::{histogram::histogram, sheet::sheet, thumbnail::LabelledThumbnail};
