//! What a dataset's folder contains: a walk before its rows are read, and one for the images that no row names. A dataset
//! without metadata is walked once.

use std::collections::HashMap;

use common::job::outcome::{FailureReason, ItemFailure};

use super::{
    entry::{DatasetError, RejectedRow, SkippedFiles},
    names::{MetadataFile, is_image},
};
use crate::{
    digest_map::DigestMap,
    files::{Files, FilesError, Found},
    manifest::MAX_NAME_BYTES,
};

#[derive(Default)]
pub(super) struct Survey {
    /// In the order in which they are read: that of their names, and the dataset's own file first.
    pub(super) metadata: Vec<MetadataFile>,
    /// Sizes of the files in a bucket, whose listing has them.
    pub(super) sizes: DigestMap<u64>,
    /// All files, if none has metadata.
    pub(super) rest: Option<Rest>,
}

impl Survey {
    pub(super) async fn of(files: &Files) -> Result<Self, DatasetError> {
        let survey = Self { rest: Some(Rest::default()), ..Self::default() };
        let mut survey = files.walk(None, survey, Self::add).await?;
        survey.rest.iter_mut().for_each(Rest::sort);
        survey.metadata.sort_by(|a, b| {
            let key = |file: &MetadataFile| (!file.folder().is_empty(), file.name.clone());
            key(a).cmp(&key(b))
        });
        let mut formats = HashMap::<&str, &MetadataFile>::new();
        for file in &survey.metadata {
            let other = *formats.entry(file.folder()).or_insert(file);
            if other.format != file.format {
                let (first, second) = (other.name.clone(), file.name.clone());
                return Err(DatasetError::TwoFormats { first, second });
            }
        }
        Ok(survey)
    }

    fn add(&mut self, found: Found<'_>) {
        if let Found::File { name, bytes } = found {
            if let Some(bytes) = bytes {
                self.sizes.insert(name, bytes);
            }
            self.metadata.extend(MetadataFile::of(name));
        }
        // Rows may name the files, so those are found again once the rows are read.
        self.rest.take_if(|_| !self.metadata.is_empty());
        if let Some(rest) = &mut self.rest {
            rest.add(found);
        }
    }
}

/// Names that rows give to files.
#[derive(Default)]
pub(super) struct RowNames {
    /// With the number of the row's line.
    pub(super) usable: DigestMap<u32>,
    /// Names in rejected rows, and other names of the same files.
    pub(super) others: DigestMap<()>,
}

impl RowNames {
    fn are_empty(&self) -> bool {
        self.usable.is_empty() && self.others.is_empty()
    }

    fn contain(&self, name: &str) -> bool {
        !self.are_empty() && (self.usable.get(name).is_some() || self.others.get(name).is_some())
    }
}

/// The files that no row names.
#[derive(Default)]
pub(super) struct Rest {
    rows: RowNames,
    /// Sorted by name.
    pub(super) images: Vec<Box<str>>,
    /// Files and folders that could contain images but cannot be read, sorted by name.
    pub(super) refused: Vec<RejectedRow>,
    pub(super) skipped_files: SkippedFiles,
}

impl Rest {
    pub(super) async fn of(files: &Files, rows: RowNames) -> Result<Self, FilesError> {
        let mut rest = files.walk(None, Self { rows, ..Self::default() }, Self::add).await?;
        rest.sort();
        Ok(rest)
    }

    fn sort(&mut self) {
        self.images.sort_unstable();
        self.refused.sort_by(|a, b| a.item.cmp(&b.item));
    }

    fn add(&mut self, found: Found<'_>) {
        match found {
            Found::File { name, .. } | Found::Refused { name, .. } if self.rows.contain(name) => {}
            Found::File { name, .. } if is_image(name) && name.len() > MAX_NAME_BYTES => {
                let start = &name[..name.floor_char_boundary(64)];
                let detail = format!("its path has {} bytes, over the limit of {MAX_NAME_BYTES}", name.len());
                let failure = ItemFailure::new(FailureReason::Refused, detail);
                self.refused.push(RejectedRow { item: format!("{start}…"), failure });
            }
            Found::File { name, .. } if is_image(name) => self.images.push(name.into()),
            Found::Refused { name, is_folder, reason } if is_folder || is_image(name) => {
                let failure = ItemFailure::new(FailureReason::Refused, reason);
                self.refused.push(RejectedRow { item: name.to_owned(), failure });
            }
            Found::File { name, .. } if MetadataFile::of(name).is_some() => {}
            Found::File { name, .. } | Found::Refused { name, .. } => self.skipped_files.add(name),
        }
    }
}
