//! Rows of metadata: every line is an item, a rejected row or a duplicate, every image is an item, and items are usable.
#![no_main]

use std::{fs, collections::HashSet, sync::LazyLock};

use dataset::{files::Files, imagefolder::Dataset, manifest::ManifestItem};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use url::Url;

const IMAGES: [(&str, u64); 3] = [("a.jpg", 1), ("thumbnails/b.jpg", 2), ("thumbnails/c.png", 0)];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("the process may start threads"));
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    fs::create_dir(folder.path().join("thumbnails")).expect("the folder is empty");
    for (name, bytes) in IMAGES {
        fs::write(folder.path().join(name), vec![0; bytes as usize]).expect("the folder is writable");
    }
    folder
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(FOLDER.path().join("metadata.jsonl"), bytes).expect("the folder is writable");
    let root = Url::from_directory_path(FOLDER.path()).expect("the path is absolute");
    let files = Files::open(&root).expect("the root is a folder");
    let read = RUNTIME.block_on(async { Dataset::open(&files).await?.rest().await });
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let rows = text.split(|byte| *byte == b'\n').filter(|row| !row.trim_ascii().is_empty()).count();
    let contents = read.expect("every row can be read");
    let with_row = contents.items.iter().filter(|item| !item.without_row).count();
    assert_eq!(with_row + contents.rejected.len() + contents.duplicates.len(), rows);
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    for item in &contents.items {
        assert!(IMAGES.contains(&(item.item.as_str(), item.bytes)), "{item:?}");
        assert!(item.video_id.is_none() || seen.insert(&item.video_id), "{item:?} has the ID of another");
        assert!(names.insert(&item.item), "{item:?} is listed twice");
        let line = serde_json::to_string(item).expect("an item is plain data");
        assert_eq!(serde_json::from_str::<ManifestItem>(&line).ok().as_ref(), Some(item));
    }
});
