//! The images to measure with.

use std::{fs, path::Path};

use ::images::preprocess::{self, Pixels};
use anyhow::{Context as _, ensure};
use dataset::{files::Files, manifest::ManifestItem};
use url::Url;

/// The JPEG files of a folder in memory, sorted by name.
pub(super) struct BenchImages {
    folder: Url,
    names: Vec<String>,
    pub(super) files: Vec<Vec<u8>>,
}

impl BenchImages {
    pub(super) fn read(folder: &Path, max_image_bytes: u64) -> anyhow::Result<Self> {
        let context = || format!("cannot read the folder {}", folder.display());
        let absolute = folder.canonicalize().with_context(context)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&absolute).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if is_jpeg(&name) && entry.metadata()?.len() <= max_image_bytes {
                names.push(name);
            }
        }
        ensure!(!names.is_empty(), "the folder {} has no .jpg or .jpeg files", folder.display());
        names.sort();
        let read = |name: &String| {
            fs::read(absolute.join(name)).with_context(|| format!("cannot read the image {name}"))
        };
        let files = names.iter().map(read).collect::<anyhow::Result<_>>()?;
        let url = Url::from_directory_path(&absolute).expect("a canonical path is absolute");
        Ok(Self { folder: url, names, files })
    }

    /// Opens the folder as a dataset.
    pub(super) fn dataset(&self) -> anyhow::Result<Files> {
        Ok(Files::open(&self.folder)?)
    }

    /// The images as items of a manifest.
    pub(super) fn items(&self) -> Vec<ManifestItem> {
        let item = |(name, bytes): (&String, &Vec<u8>)| ManifestItem {
            bytes: bytes.len() as u64,
            ..ManifestItem::named(name)
        };
        self.names.iter().zip(&self.files).map(item).collect()
    }

    /// Decodes and resizes the first `count` images.
    pub(super) fn pixels(&self, count: usize) -> anyhow::Result<Vec<Pixels>> {
        let decode = |(name, bytes): (&String, &Vec<u8>)| {
            preprocess::pixels(bytes).map_err(|failure| anyhow::anyhow!("{name}: {failure}"))
        };
        self.names.iter().zip(&self.files).take(count).map(decode).collect()
    }
}

fn is_jpeg(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| {
        extension.eq_ignore_ascii_case("jpg") || extension.eq_ignore_ascii_case("jpeg")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jpeg_files_are_recognised_by_extension() {
        assert!(is_jpeg("a.jpg") && is_jpeg("a.b.JPEG"));
        assert!(!is_jpeg("jpg") && !is_jpeg("a.png") && !is_jpeg(""));
    }

    #[test]
    fn folder_without_images_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let error = BenchImages::read(folder.path(), 1 << 20).err().unwrap();
        assert!(error.to_string().contains("no .jpg"), "{error}");
    }
}
