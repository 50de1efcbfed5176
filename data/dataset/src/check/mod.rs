//! What a dataset holds and what is wrong with it, for people.
//!
//! Owns the inspection of rows and images; changes nothing and decides nothing. What cannot be used is a
//! *problem*; what can be used and looks odd is a *suspicion*, and never an error by itself. Labels are counted
//! for one target, since that decides what a run would leave out.
//!
//! Rows are read one after another, then images, as many at once as there are cores. What is kept of an item is
//! its name, its label and its hashes, some 400 bytes; and the small pictures of a contact sheet, if one is
//! wanted.

mod channels;
mod columns;
mod counts;
mod dates;
mod duplicates;
mod images;
mod labels;
mod near;
pub mod pictures;
mod report;
mod rows;
mod suspicions;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

pub use self::{
    channels::Category,
    duplicates::NearGroup,
    images::Thumbnail,
    labels::Labels,
    report::{Approximate, Count, Inspection, Problem},
    suspicions::{Example, Reason, Suspicion},
};
use self::{images::Images, rows::Rows};
use crate::{
    files::Files,
    imagefolder::{Dataset, DatasetError, is_image},
    target::Target,
};

/// Groups and examples of each kind that are named.
pub const LISTED: usize = 20;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Look {
    /// What a run would predict.
    pub target: Target,
    /// Whether to look into the images as well as at the rows.
    pub images: bool,
    /// Thumbnails to keep for a contact sheet, drawn at random.
    pub thumbnails: u32,
    /// The same seed draws the same thumbnails.
    pub seed: u64,
    /// What lies in the future.
    pub now: SystemTime,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// In words and numbers.
    pub report: Inspection,
    /// The labels, in raw units and ascending.
    pub labels: Vec<f64>,
    /// The thumbnails that were drawn, the highest label first.
    pub thumbnails: Vec<Thumbnail>,
}

/// Inspects a dataset; `progress` hears how many images of how many were looked at.
///
/// # Errors
/// When there is no dataset to inspect.
pub async fn inspect(
    files: &Files,
    look: &Look,
    progress: impl Fn(u64, u64),
) -> Result<Inspected, DatasetError> {
    let mut dataset = Dataset::open(files).await?;
    let mut rows = Rows::new(look);
    while let Some(entry) = dataset.next().await? {
        rows.add(entry, dataset.row());
    }
    if dataset.is_labelled() {
        for (name, _) in files.list(None, is_image).await? {
            rows.note_file(&name);
        }
    }
    let images =
        if look.images { Images::of(files, &mut rows, look, progress).await } else { Images::default() };
    Ok(report::of(dataset.is_labelled(), rows, images, look))
}
