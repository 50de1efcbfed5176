//! What a dataset holds and what is wrong with it, for people.
//!
//! Owns the inspection of rows and images; changes nothing and decides nothing. What cannot be used is a
//! *problem*; what can be used and looks odd is a *suspicion*, and never an error by itself. Labels are counted
//! for one target, since that decides what a run would leave out.
//!
//! Rows are read one after another, then images, as many at once as there are cores. What is kept of an item is
//! its name, its label and its hashes, some 400 bytes; and the small pictures of a contact sheet, if one is
//! wanted.
//!
//! - Rows: `rows` reads them one after another, `lenient_row` the columns that no item needs, `counts` and `dates`
//!   judge one row, and `channels` all rows of a channel.
//! - Images: `images` looks into each once; `duplicates` finds those that repeat another, by `near` where they only
//!   look alike.
//! - What is found: `suspicions` holds problems and suspicions, `tally` counts occurrences, `labels` says how labels
//!   are distributed, and `report` is all of it.
//! - `options` says what to look at, and `pictures` draws labels and thumbnails.

mod channels;
mod counts;
mod dates;
mod duplicates;
mod images;
mod labels;
mod lenient_row;
mod near;
mod options;
pub mod pictures;
mod report;
mod rows;
mod suspicions;
mod tally;
#[cfg(test)]
mod tests;

pub use self::{
    channels::Category,
    duplicates::NearGroup,
    labels::Labels,
    options::{LISTED, Look},
    pictures::LabelledThumbnail,
    report::Inspection,
    rows::Approximate,
    suspicions::{Example, ItemProblem, Reason, Suspicion},
    tally::Occurrences,
};
use self::{duplicates::Repeated, images::Images, rows::Rows};
use crate::{
    files::Files,
    imagefolder::{Dataset, DatasetError, is_image},
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// In words and numbers.
    pub report: Inspection,
    /// The labels, in raw units and ascending.
    pub labels: Vec<f64>,
    /// The thumbnails that were drawn, the highest label first.
    pub thumbnails: Vec<LabelledThumbnail>,
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
    Ok(inspected(dataset.is_labelled(), rows, images, look))
}

/// Puts together what rows and images say.
fn inspected(is_labelled: bool, rows: Rows, images: Images, look: &Look) -> Inspected {
    let mut left_out = rows.left_out;
    let mut usable = Vec::new();
    for (at, item) in rows.items.iter().enumerate() {
        match (images.unreadable.get(&(at as u32)), &item.label) {
            (Some(reason), _) => left_out.add(&reason.to_string()),
            (None, Ok(label)) => usable.push(*label),
            (None, Err(reason)) => left_out.add(reason),
        }
    }
    let name = |at: u32| rows.items[at as usize].name.to_string();
    let Repeated { groups: equal_images, beyond_first: repeated_images, firsts } =
        duplicates::equal(&images.seen, name);
    let (near_images, near_repeats) = duplicates::near(firsts, name);
    let mut suspicions = rows.suspicions;
    suspicions.forgive(Reason::CrawledAtMissing, rows.items.len());
    rows.channels.suspect(&mut suspicions);
    let mut problems = rows.problems;
    problems.extend(images.problems);
    let (labels, usable) = labels::distribution(look.target, usable);
    let report = Inspection {
        rows: if is_labelled { rows.entries } else { 0 },
        items: rows.items.len() as u64,
        images: images.seen.len() as u64,
        files_without_row: rows.files_without_row,
        channels: rows.channels.len(),
        categories: rows.channels.categories(),
        without_category: if is_labelled { rows.channels.without_category() } else { 0 },
        problems,
        duplicate_rows: rows.duplicates,
        equal_images,
        repeated_images,
        near_images,
        near_repeats,
        sizes: images.sizes.into_counts(),
        variants: rows.variants.into_counts(),
        sources: rows.sources.into_counts(),
        approximate: rows.approximate,
        suspicions: suspicions.into_list(),
        labels,
        left_out: left_out.into_counts(),
    };
    Inspected { report, labels: usable, thumbnails: images.thumbnails }
}
