//! Tables with several rows of a video, such as one for each day on which it was trending.

use std::collections::{HashMap, hash_map::Entry};

use super::row::{BadRow, ImportRow};

/// Keeps one row of each video: that with the most views, which is the latest count, and the last of several. Returns
/// the lines of the others. A row with another image is an error, since it is not the same video.
pub(super) fn keep_one_row_a_video(
    rows: Vec<Result<ImportRow, BadRow>>,
) -> (Vec<Result<ImportRow, BadRow>>, Vec<u64>) {
    let mut kept: Vec<Option<Result<ImportRow, BadRow>>> = Vec::new();
    let mut by_video: HashMap<String, usize> = HashMap::new();
    let mut repeated = Vec::new();
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(bad) => {
                kept.push(Some(Err(bad)));
                continue;
            }
        };
        match by_video.entry(row.video_id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(kept.len());
            }
            Entry::Occupied(mut entry) => {
                let Some(Ok(earlier)) = &kept[*entry.get()] else { continue };
                if earlier.file != row.file {
                    let problem =
                        format!("video {} has another image in line {}", row.video_id, earlier.line);
                    kept.push(Some(Err(BadRow { line: row.line, problem })));
                    continue;
                }
                if row.columns.known.views < earlier.columns.known.views {
                    repeated.push(row.line);
                    continue;
                }
                repeated.push(earlier.line);
                let place = kept.len();
                kept[entry.insert(place)] = None;
            }
        }
        kept.push(Some(Ok(row)));
    }
    repeated.sort_unstable();
    (kept.into_iter().flatten().collect(), repeated)
}
