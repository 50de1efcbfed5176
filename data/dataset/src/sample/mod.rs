//! The sample dataset: pictures that look a little like thumbnails, with counts that follow from what
//! can be seen.
//!
//! Owns writing it. Invariant: the same count and seed give the same bytes.
//! Views per subscriber rise with bright backgrounds, a large face, big lettering and warm colours, times
//! log-normal noise, so that a head has something to learn even from random features.

mod canvas;
mod drawing;
mod random;
mod video;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use images::{
    encode::{self, EncodeError},
    picture::Picture,
};
use serde_json::json;

pub use self::random::{gaussian, random};
use self::video::SampleVideo;

/// Most thumbnails in one dataset.
pub const MAX_COUNT: u32 = 1_000_000;
const JPEG_QUALITY: i32 = 85;
/// Names the dataset it was made as, so that the same can be made again over it.
const MARKER: &str = ".subwatch-sample.json";

/// Why no dataset is made.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The count is out of range.
    #[error("{0} thumbnails are not between 1 and {MAX_COUNT}")]
    Count(u32),
    /// The folder holds something else.
    #[error(
        "{0} is not empty and holds no sample with this count and seed: name another folder, or empty it first"
    )]
    NotEmpty(PathBuf),
    /// The system fails.
    #[error("{path}: {error}")]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A picture cannot be encoded.
    #[error("a picture cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Makes a dataset of `count` thumbnails in `folder`, on all cores. `progress` hears how many are done,
/// now and then, from any thread.
///
/// # Errors
/// See [`SampleError`].
pub fn generate(
    folder: &Path,
    count: u32,
    seed: u64,
    progress: impl Fn(u32) + Sync,
) -> Result<(), SampleError> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(SampleError::Count(count));
    }
    claim(folder, count, seed)?;
    let thumbnails = folder.join("thumbnails");
    create_folder(&thumbnails)?;
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let draw_some = || -> Result<Vec<(u32, String)>, SampleError> {
        let mut rows = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(rows);
            }
            let video = SampleVideo::draw(seed, at);
            write(
                &thumbnails.join(format!("{}.jpg", video.id)),
                &encode::jpeg(&video.picture(), JPEG_QUALITY)?,
            )?;
            rows.push((at, video.row()));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let drawing: Vec<_> = (0..threads).map(|_| scope.spawn(draw_some)).collect();
        drawing.into_iter().map(|thread| thread.join().expect("drawing does not panic")).collect()
    });
    let mut rows = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    rows.sort_unstable();
    let lines: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    write(&folder.join("metadata.jsonl"), lines.as_bytes())
}

/// Takes an empty folder, or one that holds the same sample already.
fn claim(folder: &Path, count: u32, seed: u64) -> Result<(), SampleError> {
    create_folder(folder)?;
    let marker = folder.join(MARKER);
    let text = json!({"count": count, "seed": seed}).to_string();
    let failed = |error| SampleError::System { path: folder.to_path_buf(), error };
    let empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    if !empty && fs::read_to_string(&marker).ok().as_deref() != Some(&text) {
        return Err(SampleError::NotEmpty(folder.to_path_buf()));
    }
    write(&marker, text.as_bytes())
}

fn create_folder(path: &Path) -> Result<(), SampleError> {
    fs::create_dir_all(path).map_err(|error| SampleError::System { path: path.to_path_buf(), error })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SampleError> {
    fs::write(path, bytes).map_err(|error| SampleError::System { path: path.to_path_buf(), error })
}

/// Draws thumbnail `number` of the dataset with this seed.
#[must_use]
pub fn picture(seed: u64, number: u32) -> Picture {
    SampleVideo::draw(seed, number).picture()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{files::Files, imagefolder::Dataset, target::Target};
    use images::preprocess;

    #[tokio::test]
    async fn the_sample_is_a_dataset_and_repeats_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        generate(&first, 45, 7, |_| ()).unwrap();
        generate(&second, 45, 7, |_| ()).unwrap();
        let files = Files::open(&Url::from_directory_path(&first).unwrap()).unwrap();
        let mut dataset = Dataset::open(&files).await.unwrap();
        assert!(dataset.is_labelled());
        let dataset = dataset.rest().await.unwrap();
        assert_eq!((dataset.items.len(), dataset.rejected.len(), dataset.duplicates.len()), (45, 0, 0));
        for item in &dataset.items {
            let bytes = fs::read(first.join(&item.item)).unwrap();
            assert_eq!(bytes, fs::read(second.join(&item.item)).unwrap());
            preprocess::pixels(&bytes).unwrap();
            assert!(Target::ViewsPerSubscriber.label(item).unwrap() >= 0.0);
        }
        assert_eq!(
            fs::read(first.join("metadata.jsonl")).unwrap(),
            fs::read(second.join("metadata.jsonl")).unwrap()
        );
    }

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), b"x").unwrap();
        assert!(matches!(generate(folder.path(), 1, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        let own = folder.path().join("own");
        generate(&own, 2, 0, |_| ()).unwrap();
        generate(&own, 2, 0, |_| ()).unwrap();
        assert!(matches!(generate(&own, 3, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        assert!(matches!(generate(&own, 0, 0, |_| ()), Err(SampleError::Count(0))));
    }
}
