//! Arguments that name images.

use std::path::{Path, PathBuf};

use crawler::youtube::ids::Reference;
use dataset::{
    files::Files,
    imagefolder::{Dataset, DatasetError, Entry, RejectedRow},
    manifest::ManifestItem,
};
use glob::MatchOptions;
use url::Url;

use crate::cli::{
    exit::{CliError, Exit},
    output::{self, plain},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum ImageArgument {
    /// A folder, which the coordinator reads if it can.
    Folder(PathBuf),
    /// A dataset in an object store, read by the coordinator.
    Dataset(String),
    Image(ImageSource),
}

/// Where the bytes of one image are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum ImageSource {
    /// A file of this machine, which may not exist.
    File(PathBuf),
    /// A file of a folder.
    Listed {
        name: String,
        path: PathBuf,
    },
    /// An item of a folder that cannot be read.
    Rejected {
        name: String,
        reason: String,
    },
    Stdin,
    /// A URL of an image or of a YouTube video, fetched by the coordinator.
    Url(String),
}

impl ImageSource {
    /// Name of the item in results.
    pub(in crate::cli) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Listed { name, .. } | Self::Rejected { name, .. } => name.clone(),
            Self::Stdin => "-".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// Parses arguments. A pattern, such as a quoted `*.jpg`, stands for the files it matches.
///
/// # Errors
/// If a pattern is malformed, matches nothing or needs a folder that cannot be read, or standard input is named twice.
pub(in crate::cli) fn parse_arguments(arguments: &[String]) -> Result<Vec<ImageArgument>, CliError> {
    let mut parsed = Vec::new();
    for argument in arguments {
        parsed.extend(parse_argument(argument)?);
    }
    if parsed.iter().filter(|parsed| **parsed == ImageArgument::Image(ImageSource::Stdin)).count() > 1 {
        return Err(CliError::new(Exit::Usage, "standard input can be read only once"));
    }
    Ok(parsed)
}

fn parse_argument(argument: &str) -> Result<Vec<ImageArgument>, CliError> {
    let usage = |message: String| CliError::new(Exit::Usage, message);
    if argument == "-" {
        return Ok(vec![ImageArgument::Image(ImageSource::Stdin)]);
    }
    if let Some((scheme, _)) = argument.split_once("://") {
        return match scheme.to_lowercase().as_str() {
            "http" | "https" => Ok(vec![ImageArgument::Image(ImageSource::Url(argument.to_owned()))]),
            "s3" => Ok(vec![ImageArgument::Dataset(argument.to_owned())]),
            "file" => match Url::parse(argument).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => Ok(vec![from_path(path)]),
                None => Err(usage(format!("'{argument}' is not the URL of a local file"))),
            },
            _ => Err(usage(format!(
                "'{argument}' has the unsupported scheme '{scheme}': use file, http, https or s3"
            ))),
        };
    }
    let path = PathBuf::from(argument);
    if let Some(url) = video_link(argument).filter(|_| !path.exists()) {
        return Ok(vec![ImageArgument::Image(ImageSource::Url(url))]);
    }
    if path.exists() || !argument.contains(['*', '?', '[']) {
        return Ok(vec![from_path(path)]);
    }
    // As in a shell, hidden files do not match.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let matched = glob::glob_with(argument, options)
        .map_err(|error| usage(format!("'{argument}' is not a valid pattern: {error}")))?;
    let unreadable = |error: glob::GlobError| {
        let path = error.path().display().to_string();
        CliError::failed(plain(&format!("'{argument}': cannot read {path}: {}", error.error())))
    };
    let matched = matched.map(|path| path.map(from_path).map_err(unreadable));
    let parsed: Vec<ImageArgument> = matched.collect::<Result<_, _>>()?;
    if parsed.is_empty() { Err(usage(format!("'{argument}' matches no file"))) } else { Ok(parsed) }
}

/// Completes the link of a YouTube video, as browsers show it without its scheme.
fn video_link(argument: &str) -> Option<String> {
    let is_video = argument.contains('/') && matches!(argument.parse(), Ok(Reference::Video(_)));
    is_video.then(|| format!("https://{argument}"))
}

fn from_path(path: PathBuf) -> ImageArgument {
    if path.is_dir() { ImageArgument::Folder(path) } else { ImageArgument::Image(ImageSource::File(path)) }
}

/// Lists the items of a folder as the coordinator does: by the rows of its metadata, and the images without a row. The
/// names of items begin with `prefix`.
///
/// # Errors
/// If the folder cannot be listed, contains no images, or two rows are about the same image.
pub(in crate::cli) async fn items_in(folder: &Path, prefix: &str) -> Result<Vec<ImageSource>, CliError> {
    let shown = folder.display();
    let failed = |error: &dyn std::fmt::Display| CliError::failed(plain(&format!("{shown}: {error}")));
    let root = folder.canonicalize().map_err(|error| failed(&error))?;
    let url = Url::from_directory_path(&root).map_err(|()| failed(&"not a valid path"))?;
    let files = Files::open(&url).map_err(|error| failed(&error))?;
    let mut dataset = Dataset::open(&files).await.map_err(|error| failed(&error))?;
    let (mut items, mut rejected) = (Vec::new(), Vec::new());
    loop {
        match dataset.next().await {
            Ok(None) => break,
            Ok(Some(Entry::Item(ManifestItem { item, .. }))) => {
                items.push(ImageSource::Listed { name: format!("{prefix}{item}"), path: root.join(item) });
            }
            Ok(Some(Entry::Rejected(RejectedRow { item, failure }))) => {
                let (name, reason) = (format!("{prefix}{item}"), failure.to_string());
                rejected.push(ImageSource::Rejected { name, reason });
            }
            Ok(Some(Entry::Duplicate(duplicate))) => return Err(failed(&duplicate)),
            Err(error @ DatasetError::Empty { .. }) => {
                return Err(CliError::new(Exit::NotFound, plain(&format!("{shown}: {error}"))));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    if !dataset.skipped_files().is_empty() {
        output::note(&format!("skipped files: {}", plain(&dataset.skipped_files().to_string())));
    }
    // As in a submission, whose rejected items follow its jobs.
    items.extend(rejected);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn arguments_are_files_folders_patterns_urls_or_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.JPG", "c.txt", "[d].png", "._a.jpg"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let image = |name: &str| ImageArgument::Image(ImageSource::File(folder.path().join(name)));
        let read = |argument: &str| parse_arguments(&[argument.to_owned()]).map_err(|error| error.message);

        assert_eq!(read("-"), Ok(vec![ImageArgument::Image(ImageSource::Stdin)]));
        assert_eq!(
            read("https://x.example/a.jpg"),
            Ok(vec![ImageArgument::Image(ImageSource::Url("https://x.example/a.jpg".to_owned()))])
        );
        let video = "https://www.youtube.com/watch?v=dQw4w9WgXcQ";
        for argument in [video, "www.youtube.com/watch?v=dQw4w9WgXcQ"] {
            assert_eq!(read(argument), Ok(vec![ImageArgument::Image(ImageSource::Url(video.to_owned()))]));
        }
        assert_eq!(read("s3://bucket/set"), Ok(vec![ImageArgument::Dataset("s3://bucket/set".to_owned())]));
        assert_eq!(read(&at("")), Ok(vec![ImageArgument::Folder(folder.path().join(""))]));
        assert_eq!(read(&at("a.jpg")), Ok(vec![image("a.jpg")]));
        assert_eq!(read(&at("[d].png")), Ok(vec![image("[d].png")]));
        assert_eq!(read(&at("none.jpg")), Ok(vec![image("none.jpg")]));
        assert_eq!(read(&at("?.[jJ]*")), Ok(vec![image("a.jpg"), image("b.JPG")]));
        assert!(read(&at("*.gif")).unwrap_err().contains("matches no file"));
        assert!(read(&at("[")).is_err());
        assert!(read("gopher://x/y").unwrap_err().contains("unsupported scheme 'gopher'"));
        assert!(parse_arguments(&["-".to_owned(), "-".to_owned()]).is_err());
        assert_eq!(read(&at("*.jpg")), Ok(vec![image("a.jpg")]), "hidden files do not match");
    }

    #[test]
    fn unreadable_folder_of_a_pattern_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("x.jpg"), "x").unwrap();
        }
        std::fs::set_permissions(folder.path().join("b"), std::fs::Permissions::from_mode(0o000)).unwrap();
        let pattern = folder.path().join("*/*.jpg").display().to_string();
        let parsed = parse_arguments(&[pattern]).map_err(|error| error.message);
        // Root may read every folder.
        if std::fs::read_dir(folder.path().join("b")).is_err() {
            let error = parsed.unwrap_err();
            assert!(error.contains("cannot read") && error.contains("/b"), "{error}");
        }
    }

    #[tokio::test]
    async fn folder_has_the_items_that_the_coordinator_reads() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jpg", "a.jfif", "._a.jpg", "notes.txt", "sub/c.jpg"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let rows = "{\"file_name\":\"none.jpg\"}\n{\"file_name\":\"sub/c.jpg\"}\n";
        std::fs::write(folder.path().join("metadata.jsonl"), rows).unwrap();
        let items = items_in(folder.path(), "set/").await.unwrap();
        let names: Vec<String> = items.iter().map(ImageSource::name).collect();
        assert_eq!(names, ["set/sub/c.jpg", "set/a.jfif", "set/b.jpg", "set/none.jpg"]);
        assert!(matches!(&items[3], ImageSource::Rejected { reason, .. } if reason.starts_with("missing:")));
        let empty = tempfile::tempdir().unwrap();
        std::fs::write(empty.path().join("a.tiff"), "x").unwrap();
        let error = items_in(empty.path(), "").await.unwrap_err();
        assert!(error.message.ends_with("only other files: 1 tiff"), "{}", error.message);
    }
}
