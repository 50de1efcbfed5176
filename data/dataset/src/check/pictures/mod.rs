//! Pictures of a dataset: the histogram of its labels, and a contact sheet of thumbnails.
//!
//! Drawing only; the caller writes the files.

mod colours;
mod histogram;
mod number_text;
mod sheet;
mod thumbnail;

pub(super) use self::thumbnail::thumbnail;
pub use self::{histogram::histogram, sheet::sheet, thumbnail::LabelledThumbnail};
