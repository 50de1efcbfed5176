//! The sample dataset: drawn thumbnails whose view counts depend on what they show.
//!
//! Views per subscriber increase with background brightness, face size, lettering and warm colours, times
//! log-normal noise, so that a head can learn even from the features of random weights. Invariant: the same
//! count and seed give the same bytes.

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

/// Maximum thumbnails in one dataset.
pub const MAX_COUNT: u32 = 1_000_000;
const JPEG_QUALITY: i32 = 85;
/// Records count and seed, so that the same sample can be generated again in the same folder.
const MARKER: &str = ".subwatch-sample.json";

/// Why the sample cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    #[error("the number of thumbnails must be between 1 and {MAX_COUNT}, not {0}")]
    Count(u32),
    /// The folder has other content.
    #[error("{0} is not empty, and not a sample with this count and seed: choose another folder or empty it")]
    NotEmpty(PathBuf),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("a thumbnail cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Generates a dataset of `count` thumbnails in `folder`, on all cores. Calls `progress` with the number of
/// finished thumbnails, from any thread.
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
    let draw_thumbnails = || -> Result<Vec<(u32, String)>, SampleError> {
        let mut rows = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(rows);
            }
            let video = SampleVideo::draw(seed, number);
            write(
                &thumbnails.join(format!("{}.jpg", video.id)),
                &encode::jpeg(&video.picture(), JPEG_QUALITY)?,
            )?;
            rows.push((number, video.row()));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(draw_thumbnails)).collect();
        handles.into_iter().map(|thread| thread.join().expect("drawing does not panic")).collect()
    });
    let mut rows = results.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    rows.sort_unstable();
    let lines: String = rows.into_iter().map(|(_, row)| row + "\n").collect();
    write(&folder.join("metadata.jsonl"), lines.as_bytes())
}

/// Marks an empty folder, or one that has the same sample already, as the sample's.
fn claim(folder: &Path, count: u32, seed: u64) -> Result<(), SampleError> {
    create_folder(folder)?;
    let marker = folder.join(MARKER);
    let text = json!({"count": count, "seed": seed}).to_string();
    let failed = |error| SampleError::Io { path: folder.to_path_buf(), error };
    let empty = fs::read_dir(folder).map_err(failed)?.next().is_none();
    if !empty && fs::read_to_string(&marker).ok().as_deref() != Some(&text) {
        return Err(SampleError::NotEmpty(folder.to_path_buf()));
    }
    write(&marker, text.as_bytes())
}

fn create_folder(path: &Path) -> Result<(), SampleError> {
    fs::create_dir_all(path).map_err(|error| SampleError::Io { path: path.to_path_buf(), error })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), SampleError> {
    fs::write(path, bytes).map_err(|error| SampleError::Io { path: path.to_path_buf(), error })
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
    async fn sample_is_a_dataset_and_reproducible() {
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
    fn folder_with_other_content_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("precious"), b"x").unwrap();
        assert!(matches!(generate(folder.path(), 1, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        let sample = folder.path().join("sample");
        generate(&sample, 2, 0, |_| ()).unwrap();
        generate(&sample, 2, 0, |_| ()).unwrap();
        assert!(matches!(generate(&sample, 3, 0, |_| ()), Err(SampleError::NotEmpty(_))));
        assert!(matches!(generate(&sample, 0, 0, |_| ()), Err(SampleError::Count(0))));
    }
}
