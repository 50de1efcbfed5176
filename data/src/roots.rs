//! Which folders a user may name.
//!
//! Owns the check of a path that comes from outside: it must lie below a configured root after symbolic
//! links are followed.

use std::{
    io,
    path::{Path, PathBuf},
};

use url::Url;

/// The folders that datasets may lie in.
#[derive(Clone, Debug)]
pub struct DatasetRoots {
    roots: Vec<PathBuf>,
}

/// Why a dataset is not read.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A root is not there.
    #[error("SUBWATCH_DATASET_ROOTS names {root}, which is not there: {error}")]
    Root {
        /// The root.
        root: String,
        /// What the system said.
        error: io::Error,
    },
    /// The text is no path or URL of a folder.
    #[error("'{text}' names no dataset: {what}")]
    Invalid {
        /// What was given.
        text: String,
        /// What is wrong with it.
        what: String,
    },
    /// The folder is not there.
    #[error("there is no folder {path} on the coordinator's machine")]
    Missing {
        /// The folder.
        path: String,
    },
    /// The folder lies outside every root.
    #[error(
        "{path} is outside the folders this coordinator may read ({roots}): start it with SUBWATCH_DATASET_ROOTS={path}"
    )]
    Outside {
        /// The folder.
        path: String,
        /// The roots, separated by `:`.
        roots: String,
    },
}

impl DatasetRoots {
    /// Takes the folders that datasets may lie in.
    ///
    /// # Errors
    /// When one is not there.
    pub fn new(roots: Vec<PathBuf>) -> Result<Self, RootError> {
        let canonical = |root: PathBuf| {
            root.canonicalize().map_err(|error| RootError::Root { root: root.display().to_string(), error })
        };
        Ok(Self { roots: roots.into_iter().map(canonical).collect::<Result<_, _>>()? })
    }

    /// Returns the URL of the folder that a user names by absolute path or `file://` URL.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn resolve(&self, text: &str) -> Result<Url, RootError> {
        let invalid = |what: &str| RootError::Invalid { text: text.to_owned(), what: what.to_owned() };
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map_err(|()| invalid("it is no path on this machine"))?
            }
            Ok(url) => {
                return Err(invalid(&format!("the scheme '{}' is not supported, only file", url.scheme())));
            }
            Err(_) => PathBuf::from(text),
        };
        if !path.is_absolute() {
            return Err(invalid("give an absolute path"));
        }
        let folder =
            path.canonicalize().map_err(|_| RootError::Missing { path: path.display().to_string() })?;
        if !self.roots.iter().any(|root| folder.starts_with(root)) {
            return Err(RootError::Outside { path: folder.display().to_string(), roots: self.describe() });
        }
        if !folder.is_dir() {
            return Err(invalid("it is no folder"));
        }
        Url::from_directory_path(&folder).map_err(|()| invalid("it makes no URL"))
    }

    fn describe(&self) -> String {
        let roots: Vec<String> =
            self.roots.iter().map(|root: &PathBuf| Path::display(root).to_string()).collect();
        roots.join(":")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_below_a_root_resolve() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("root/set")).unwrap();
        std::fs::create_dir_all(base.join("other")).unwrap();
        std::fs::write(base.join("root/file"), b"x").unwrap();
        std::os::unix::fs::symlink(base.join("other"), base.join("root/link")).unwrap();
        let roots = DatasetRoots::new(vec![base.join("root")]).unwrap();
        let at = |name: &str| base.join(name).display().to_string();

        assert_eq!(
            roots.resolve(&at("root/set")).unwrap(),
            Url::from_directory_path(base.join("root/set")).unwrap()
        );
        assert!(roots.resolve(&format!("file://{}", at("root/set"))).is_ok());
        assert!(roots.resolve(&at("root/set/../set")).is_ok());
        for outside in ["other", "root/link", "root/../other"] {
            let refused = roots.resolve(&at(outside));
            assert!(matches!(refused, Err(RootError::Outside { .. })), "{outside}: {refused:?}");
        }
        assert!(matches!(roots.resolve(&at("root/none")), Err(RootError::Missing { .. })));
        for invalid in ["set", "gopher://x/y", &at("root/file")] {
            assert!(matches!(roots.resolve(invalid), Err(RootError::Invalid { .. })), "{invalid}");
        }
    }
}
