//! Arguments that name images.

use std::path::{Path, PathBuf};

use crawler::youtube::ids::Reference;
use images::decode::FILE_EXTENSIONS;
use url::Url;
use walkdir::WalkDir;

use crate::cli::{
    exit::{CliError, Exit},
    output,
};

/// Most files and folders in a folder whose images are uploaded.
const MAX_ENTRIES: usize = 1_000_000;

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
    Stdin,
    /// A URL of an image or of a YouTube video, fetched by the coordinator.
    Url(String),
}

impl ImageSource {
    /// Name of the item in results.
    pub(in crate::cli) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// Parses arguments. A pattern, such as a quoted `*.jpg`, stands for the files it matches.
///
/// # Errors
/// If a pattern is malformed or matches nothing, or standard input is named twice.
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
    let matched = glob::glob(argument)
        .map_err(|error| usage(format!("'{argument}' is not a valid pattern: {error}")))?;
    let parsed: Vec<ImageArgument> = matched.flatten().map(from_path).collect();
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

/// Lists the images of a folder and its subfolders, ordered by name. Links to folders are not followed.
///
/// # Errors
/// If the folder cannot be listed, contains no images, or more than [`MAX_ENTRIES`] files.
pub(in crate::cli) fn images_in(folder: &Path) -> Result<Vec<ImageSource>, CliError> {
    let is_image = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        FILE_EXTENSIONS.contains(&extension.to_lowercase().as_str()) && path.is_file()
    };
    let mut images = Vec::new();
    for (index, entry) in WalkDir::new(folder).sort_by_file_name().into_iter().enumerate() {
        if index == MAX_ENTRIES {
            let message =
                format!("{} contains over {MAX_ENTRIES} files: name a smaller folder", folder.display());
            return Err(CliError::new(Exit::Usage, message));
        }
        match entry {
            Ok(entry) if is_image(entry.path()) => images.push(ImageSource::File(entry.into_path())),
            Ok(_) => {}
            Err(error) if error.depth() == 0 => {
                return Err(CliError::failed(format!("cannot list {}: {error}", folder.display())));
            }
            Err(error) => output::note(&format!("skipped: {error}")),
        }
    }
    if images.is_empty() {
        return Err(CliError::new(Exit::NotFound, format!("{} contains no images", folder.display())));
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_files_folders_patterns_urls_or_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.JPG", "c.txt", "[d].png"] {
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
        assert_eq!(images_in(folder.path()).unwrap().len(), 3);
    }
}
