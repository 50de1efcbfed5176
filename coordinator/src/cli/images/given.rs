//! What an argument that names images means.

use std::path::{Path, PathBuf};

use images::decode::FILE_ENDINGS;
use url::Url;
use walkdir::WalkDir;

use crate::cli::{
    exit::{CliError, Exit},
    output,
};

/// Most files and folders looked at in a folder whose images are uploaded.
const MOST_ENTRIES: usize = 1_000_000;

/// What an argument means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Given {
    /// A folder, which the coordinator may be able to read itself.
    Folder(PathBuf),
    /// A dataset in an object store, read by the coordinator.
    Dataset(String),
    /// One image.
    Image(ImageSource),
}

/// Where the bytes of one image are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) enum ImageSource {
    /// A file of this machine, whether it is there or not.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// A URL, fetched by the coordinator.
    Url(String),
}

impl ImageSource {
    /// The item's name in results.
    pub(in crate::cli) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "-".to_owned(),
            Self::Url(url) => url.clone(),
        }
    }
}

/// Says what arguments mean. A pattern (`*.jpg`, quoted from the shell) stands for the files it matches.
///
/// # Errors
/// When a pattern matches nothing or is malformed, or standard input is named twice.
pub(in crate::cli) fn read_arguments(arguments: &[String]) -> Result<Vec<Given>, CliError> {
    let mut given = Vec::new();
    for argument in arguments {
        given.extend(read_argument(argument)?);
    }
    if given.iter().filter(|given| **given == Given::Image(ImageSource::Stdin)).count() > 1 {
        return Err(CliError::new(Exit::Usage, "standard input can be read only once"));
    }
    Ok(given)
}

fn read_argument(argument: &str) -> Result<Vec<Given>, CliError> {
    let usage = |what: String| CliError::new(Exit::Usage, what);
    if argument == "-" {
        return Ok(vec![Given::Image(ImageSource::Stdin)]);
    }
    if let Some((scheme, _)) = argument.split_once("://") {
        return match scheme.to_lowercase().as_str() {
            "http" | "https" => Ok(vec![Given::Image(ImageSource::Url(argument.to_owned()))]),
            "s3" => Ok(vec![Given::Dataset(argument.to_owned())]),
            "file" => match Url::parse(argument).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => Ok(vec![of_path(path)]),
                None => Err(usage(format!("'{argument}' is no path on this machine"))),
            },
            _ => Err(usage(format!(
                "the scheme '{scheme}' of '{argument}' is not supported, only file, http, https and s3"
            ))),
        };
    }
    let path = PathBuf::from(argument);
    if path.exists() || !argument.contains(['*', '?', '[']) {
        return Ok(vec![of_path(path)]);
    }
    let matched =
        glob::glob(argument).map_err(|error| usage(format!("'{argument}' is no pattern: {error}")))?;
    let given: Vec<Given> = matched.flatten().map(of_path).collect();
    if given.is_empty() { Err(usage(format!("'{argument}' matches no file"))) } else { Ok(given) }
}

fn of_path(path: PathBuf) -> Given {
    if path.is_dir() { Given::Folder(path) } else { Given::Image(ImageSource::File(path)) }
}

/// The images of a folder and the folders below it, by name. Links to folders are not followed.
///
/// # Errors
/// When the folder cannot be listed, holds no image, or more than can be looked through.
pub(in crate::cli) fn images_below(folder: &Path) -> Result<Vec<ImageSource>, CliError> {
    let is_image = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        FILE_ENDINGS.contains(&extension.to_lowercase().as_str()) && path.is_file()
    };
    let mut images = Vec::new();
    for (looked_at, entry) in WalkDir::new(folder).sort_by_file_name().into_iter().enumerate() {
        if looked_at == MOST_ENTRIES {
            let what = format!(
                "{} holds over {MOST_ENTRIES} files: name the folder of the images",
                folder.display()
            );
            return Err(CliError::new(Exit::Usage, what));
        }
        match entry {
            Ok(entry) if is_image(entry.path()) => images.push(ImageSource::File(entry.into_path())),
            Ok(_) => {}
            Err(error) if error.depth() == 0 => {
                return Err(CliError::failed(format!("{} cannot be listed: {error}", folder.display())));
            }
            Err(error) => output::note(&format!("left out: {error}")),
        }
    }
    if images.is_empty() {
        return Err(CliError::new(Exit::NotFound, format!("{} holds no image", folder.display())));
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.JPG", "c.txt", "[d].png"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let image = |name: &str| Given::Image(ImageSource::File(folder.path().join(name)));
        let read = |argument: &str| read_arguments(&[argument.to_owned()]).map_err(|error| error.message);

        assert_eq!(read("-"), Ok(vec![Given::Image(ImageSource::Stdin)]));
        assert_eq!(
            read("https://x.example/a.jpg"),
            Ok(vec![Given::Image(ImageSource::Url("https://x.example/a.jpg".to_owned()))])
        );
        assert_eq!(read("s3://bucket/set"), Ok(vec![Given::Dataset("s3://bucket/set".to_owned())]));
        assert_eq!(read(&at("")), Ok(vec![Given::Folder(folder.path().join(""))]));
        assert_eq!(read(&at("a.jpg")), Ok(vec![image("a.jpg")]));
        assert_eq!(read(&at("[d].png")), Ok(vec![image("[d].png")]));
        assert_eq!(read(&at("none.jpg")), Ok(vec![image("none.jpg")]));
        assert_eq!(read(&at("?.[jJ]*")), Ok(vec![image("a.jpg"), image("b.JPG")]));
        assert!(read(&at("*.gif")).unwrap_err().contains("matches no file"));
        assert!(read(&at("[")).is_err());
        assert!(read("gopher://x/y").unwrap_err().contains("the scheme 'gopher'"));
        assert!(read_arguments(&["-".to_owned(), "-".to_owned()]).is_err());
        assert_eq!(images_below(folder.path()).unwrap().len(), 3);
    }
}
