//! The names of metadata files, and the names of images in their rows.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use images::decode::FILE_EXTENSIONS;

use crate::files::is_confined;

pub(super) const MAX_METADATA_BYTES: u64 = 1 << 30;

/// The columns and encoding of a metadata file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    JsonLines,
    Csv,
    Parquet,
}

/// A metadata file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MetadataFile {
    pub(super) name: String,
    pub(super) format: Format,
    /// The folder that its rows' file names are relative to: empty, or with a slash at its end.
    pub(super) base: String,
}

impl MetadataFile {
    /// Returns the metadata file of this name: `metadata.jsonl`, `.csv` or `.parquet` in any folder, whose rows are
    /// relative to it; or `metadata/*.jsonl`, whose rows are relative to the dataset.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let (stem, ending) = file.rsplit_once('.')?;
        let format = match ending {
            "jsonl" => Format::JsonLines,
            "csv" => Format::Csv,
            "parquet" => Format::Parquet,
            _ => return None,
        };
        let base = match (folder, stem) {
            ("metadata", _) if format == Format::JsonLines => String::new(),
            ("", "metadata") => String::new(),
            (folder, "metadata") => format!("{folder}/"),
            _ => return None,
        };
        Some(Self { name: name.to_owned(), format, base })
    }

    /// The folder that the file is in.
    pub(super) fn folder(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Whether a name has the ending of an image.
pub(super) fn is_image(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| FILE_EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

/// Returns the name in the dataset of the file that a row calls `file_name`; `None` if it is not below `base`.
/// Redundant segments (`./a`, `b/../a`) are removed.
pub(super) fn in_dataset(base: &str, file_name: &str) -> Option<String> {
    let mut segments: Vec<&str> = Vec::new();
    if file_name.starts_with('/') || file_name.ends_with('/') {
        return None;
    }
    for segment in file_name.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()?),
            segment => segments.push(segment),
        }
    }
    let name = format!("{base}{}", segments.join("/"));
    (!segments.is_empty() && is_confined(&name)).then_some(name)
}

/// Returns the names that a row may mean when no file has the name as it is written: with slashes instead of the
/// backslashes of Windows, and in the Unicode normalisation forms C (most systems) and D (files copied from macOS).
pub fn other_spellings(base: &str, file_name: &str) -> Vec<String> {
    let with_slashes = file_name.replace('\\', "/");
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&with_slashes).into_owned();
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(&with_slashes).into_owned();
    let mut names = Vec::new();
    for spelling in [with_slashes, composed, decomposed] {
        if let Some(name) =
            in_dataset(base, &spelling).filter(|name| spelling != file_name && !names.contains(name))
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_files_are_known_by_their_names() {
        let check = |name: &str, want: Option<(Format, &str)>| {
            let found = MetadataFile::of(name);
            assert_eq!(found.as_ref().map(|file| (file.format, file.base.as_str())), want, "{name}");
        };
        check("metadata.jsonl", Some((Format::JsonLines, "")));
        check("metadata.csv", Some((Format::Csv, "")));
        check("train/metadata.parquet", Some((Format::Parquet, "train/")));
        check("data/train/metadata.jsonl", Some((Format::JsonLines, "data/train/")));
        check("metadata/UC1.jsonl", Some((Format::JsonLines, "")));
        check("metadata/metadata.csv", Some((Format::Csv, "metadata/")));
        for name in [
            "metadata.json",
            "metadata",
            "a.jsonl",
            "x/metadata/a.jsonl",
            "metadata/a.csv",
            "metadata.jsonl.gz",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn names_stay_below_the_folder_of_their_metadata() {
        let check = |base: &str, name: &str, want: Option<&str>| {
            assert_eq!(in_dataset(base, name).as_deref(), want, "{base} {name}");
        };
        check("", "a.jpg", Some("a.jpg"));
        check("train/", "./x//y/../a.jpg", Some("train/x/a.jpg"));
        check("", "t\\b.jpg", Some("t\\b.jpg"));
        for name in ["", ".", "..", "/a.jpg", "../a.jpg", "a/../../b.jpg", "a/", "a\nb.jpg", "a/.."] {
            check("train/", name, None);
        }
        assert_eq!(other_spellings("train/", ".\\x\\a.jpg"), ["train/x/a.jpg"]);
        assert!(other_spellings("", "..\\a.jpg").is_empty());
        assert!(other_spellings("", "a.jpg").is_empty());
        let (composed, decomposed) = ("Caf\u{e9}.jpg", "Cafe\u{301}.jpg");
        assert_eq!(other_spellings("", composed), [decomposed]);
        assert_eq!(other_spellings("", decomposed), [composed]);
        assert_eq!(other_spellings("", "x\\Caf\u{e9}.jpg"), ["x/Caf\u{e9}.jpg", "x/Cafe\u{301}.jpg"]);
    }
}
