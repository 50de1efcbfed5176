//! Checks a dataset and reports its content, problems and warnings.
//!
//! Read-only. A *problem* is a row or image that cannot be used; a *warning* is about one that is suspicious,
//! but used. Labels are counted for one target, which determines the items that a run would skip.
//!
//! Rows are read first, one by one, then the images, one per core concurrently. An item takes about 400 bytes
//! of memory (name, label, hashes, and its name again in a group of duplicates), plus the thumbnails of a contact sheet.
//!
//! - Rows: `rows` collects them, `lenient_row` reads the columns that items do not have, `counts` and `dates`
//!   check single rows, `channels` checks all rows of a channel.
//! - Images: `images` reads them, `duplicates` groups them, with the index of `near_duplicates`.
//! - Results: `warnings` (problems too), `tally` (counts by value), `labels` (distribution), and `report`.
//! - `options` configures a check; `pictures` draws the histogram and the contact sheet.

mod channels;
mod counts;
mod dates;
mod duplicates;
mod images;
mod labels;
mod lenient_row;
mod near_duplicates;
mod options;
pub mod pictures;
mod report;
mod rows;
mod tally;
#[cfg(test)]
mod tests;
mod warnings;

pub use self::{
    channels::Category,
    duplicates::NearDuplicateGroup,
    labels::Labels,
    options::{CheckOptions, MAX_LISTED},
    pictures::LabelledThumbnail,
    report::DatasetReport,
    rows::Approximate,
    tally::Occurrences,
    warnings::{Example, ItemProblem, Reason, Warning},
};
use self::{images::Images, rows::Rows};
use crate::{
    files::Files,
    imagefolder::{Dataset, DatasetError},
};

/// The result of [`inspect`].
#[derive(Clone, Debug)]
pub struct Inspection {
    pub report: DatasetReport,
    /// All labels in raw units, in ascending order.
    pub labels: Vec<f64>,
    /// The thumbnails of the contact sheet, the highest label first.
    pub thumbnails: Vec<LabelledThumbnail>,
}

/// Checks a dataset. Calls `progress` with the number of finished images and the total.
///
/// # Errors
/// When the dataset cannot be read or is empty. Unusable rows and images are not errors.
pub async fn inspect(
    files: &Files,
    options: &CheckOptions,
    progress: impl Fn(u64, u64),
) -> Result<Inspection, DatasetError> {
    let mut dataset = Dataset::open(files).await?;
    let mut rows = Rows::new(options);
    while let Some(entry) = dataset.next().await? {
        rows.add(entry, dataset.row());
    }
    rows.skipped_files = dataset.skipped_files().clone();
    let images = if options.read_images {
        Images::read(files, &mut rows, options, progress).await
    } else {
        Images::default()
    };
    Ok(summarize(dataset.is_labelled(), rows, images, options))
}

fn summarize(is_labelled: bool, rows: Rows, images: Images, options: &CheckOptions) -> Inspection {
    let mut skipped = rows.skipped;
    let mut usable = Vec::new();
    for (index, item) in rows.items.iter().enumerate() {
        match (images.unreadable.get(&(index as u32)), &item.label) {
            (Some(reason), _) => skipped.add(&reason.to_string()),
            (None, Ok(label)) => usable.push(*label),
            (None, Err(reason)) => skipped.add(reason),
        }
    }
    let name = |index: u32| rows.items[index as usize].name.to_string();
    let duplicates = duplicates::duplicates(&images.hashed, name);
    let (near_duplicate_image_groups, near_duplicate_images) =
        duplicates::near_duplicates(duplicates.distinct, name);
    let mut warnings = rows.warnings;
    warnings.retract(Reason::CrawledAtMissing, rows.items.len() - rows.without_row as usize);
    rows.channels.check(&mut warnings);
    let mut problems = rows.problems;
    problems.extend(images.problems);
    let (labels, usable) = labels::distribution(options.target, usable);
    let report = DatasetReport {
        rows: rows.entries,
        items: rows.items.len() as u64,
        images: images.hashed.len() as u64,
        images_without_row: rows.without_row,
        files_without_row: if is_labelled { rows.files_without_row } else { Vec::new() },
        skipped_files: rows.skipped_files,
        channels: rows.channels.len(),
        categories: rows.channels.categories(),
        rows_without_category: if is_labelled { rows.channels.without_category() } else { 0 },
        problems,
        duplicate_rows: rows.duplicates,
        duplicate_image_groups: duplicates.groups,
        duplicate_images: duplicates.count,
        near_duplicate_image_groups,
        near_duplicate_images,
        sizes: images.sizes.into_counts(),
        variants: rows.variants.into_counts(),
        sources: rows.sources.into_counts(),
        approximate: rows.approximate,
        warnings: warnings.into_list(),
        labels,
        skipped: skipped.into_counts(),
    };
    Inspection { report, labels: usable, thumbnails: images.thumbnails }
}
