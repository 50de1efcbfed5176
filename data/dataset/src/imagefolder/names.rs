//! The names of metadata files, and the names of images in their rows.

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

/// Returns the same name with slashes, if it has backslashes, as on Windows.
pub(super) fn with_slashes(base: &str, file_name: &str) -> Option<String> {
    if file_name.contains('\\') { in_dataset(base, &file_name.replace('\\', "/")) } else { None }
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
        assert_eq!(with_slashes("train/", ".\\x\\a.jpg").as_deref(), Some("train/x/a.jpg"));
        assert_eq!(with_slashes("", "..\\a.jpg"), None);
        assert_eq!(with_slashes("", "a.jpg"), None);
    }
}
