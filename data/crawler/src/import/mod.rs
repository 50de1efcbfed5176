//! Parses tables of videos for `subwatch crawl import`.
//!
//! Owns the meaning of columns: `columns` has their names, `count` the formats of counts, `date` those of dates;
//! `video` finds a row's video and its image file, `others` takes the remaining columns, and `repeats` chooses among
//! several rows of a video. Does not own the columns of the dataset (see [`dataset::row`]), the
//! formats of tables (see [`crate::table`]) and the files. Invariant: an unusable row is an error with its line
//! and reason; a count is never guessed.

mod columns;
mod count;
mod date;
mod others;
mod repeats;
mod row;
mod video;

use std::collections::HashMap;

use self::columns::{CATEGORY, CHANNEL, CHANNEL_ID, SUBSCRIBERS, TITLE, VIEWS};
pub use self::others::NotCopied;
pub use self::row::{BadRow, ImportRow, TableColumns};
use crate::{
    table::{self, ColumnKind, Table, TableFormat, TableRow},
    youtube::counts::Count,
};
use dataset::row::Row;

/// The rows of a table.
#[derive(Debug)]
pub struct ImportTable {
    /// One for each video, and the unusable ones, in the order of the table.
    pub rows: Vec<Result<ImportRow, BadRow>>,
    /// Lines of further rows of a video, of which the one with the most views is in `rows`.
    pub repeated_lines: Vec<u64>,
    pub not_copied: NotCopied,
}

/// Parses a table.
///
/// # Errors
/// If it cannot be read, or has no column for videos or files.
pub fn read_table(text: &str, format: TableFormat) -> Result<ImportTable, String> {
    let Table { rows, kinds } = table::read(text, format, columns::names_a_video).map_err(|error| {
        format!("{error}; the table needs a column for videos or files: {}", columns::video_names())
    })?;
    let mut not_copied = NotCopied::default();
    let mut read = |(line, row): (u64, Result<TableRow, String>)| {
        let row = row.and_then(|row| read_row(line, &row, &kinds, &mut not_copied));
        row.map_err(|problem| BadRow { line, problem })
    };
    let rows = rows.into_iter().map(&mut read).collect();
    let (rows, repeated_lines) = repeats::keep_one_row_a_video(rows);
    Ok(ImportTable { rows, repeated_lines, not_copied })
}

fn read_row(
    line: u64,
    row: &TableRow,
    kinds: &HashMap<String, ColumnKind>,
    not_copied: &mut NotCopied,
) -> Result<ImportRow, String> {
    let file = video::file(row)?;
    let video_id = video::id(row, file.as_deref())?;
    let of = |names: &[&str]| row.first(names).map(columns::text).transpose();
    let views = row.first(&VIEWS).map(|value| count::read("views", value, Count::parse_views)).transpose()?;
    let subscribers = row
        .first(&SUBSCRIBERS)
        .map(|value| count::read("subscribers", value, Count::parse_subscribers))
        .transpose()?;
    let others = others::others(row, &video_id, kinds, not_copied);
    let known = Row {
        video_id: Some(video_id.clone()),
        title: row.first_text(&TITLE).map(columns::text).transpose()?,
        channel_id: of(&CHANNEL_ID)?,
        channel: of(&CHANNEL)?,
        category: of(&CATEGORY)?,
        published: date::published(row)?,
        views: views.map(|count| count.value),
        views_approximate: views.map(|count| count.approximate),
        subscribers: subscribers.map(|count| count.value),
        subscribers_approximate: subscribers.map(|count| count.approximate),
        ..Row::default()
    };
    Ok(ImportRow { line, video_id, file, columns: TableColumns { known, others } })
}

#[cfg(test)]
mod tests;
