//! Which folders a user may name.
//!
//! Owns the check of a path that comes from outside: it must lie below a configured root, for a local
//! folder after symbolic links are followed.

use std::path::{Component, Path, PathBuf};

use url::Url;

use super::SCHEMES;

/// The folders that datasets may lie in: local ones, and buckets or parts of them.
#[derive(Clone, Debug)]
pub struct DatasetRoots {
    folders: Vec<PathBuf>,
    buckets: Vec<Url>,
}

/// Why a dataset is not read.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A root cannot be one.
    #[error("SUBWATCH_DATASET_ROOTS names {root}: {what}")]
    Root {
        /// The root.
        root: String,
        /// What is wrong with it.
        what: String,
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
        "{path} is outside the folders this coordinator may read ({roots}): start it with SUBWATCH_DATASET_ROOTS={roots}:{path}"
    )]
    Outside {
        /// The folder.
        path: String,
        /// The roots, separated by `:`.
        roots: String,
    },
}

impl DatasetRoots {
    /// Takes the folders that datasets may lie in: absolute paths and `s3://` URLs, separated by `:`.
    ///
    /// # Errors
    /// When a folder is not there, or a URL is none of a bucket.
    pub fn parse(text: &str) -> Result<Self, RootError> {
        let mut roots = Self { folders: Vec::new(), buckets: Vec::new() };
        for root in split(text) {
            let wrong = |what: String| RootError::Root { root: root.clone(), what };
            if root.contains("://") {
                let url = Url::parse(&root).map_err(|error| wrong(error.to_string()))?;
                if url.scheme() != "s3" || url.host_str().is_none_or(str::is_empty) {
                    return Err(wrong("it must be a path or s3://BUCKET/PREFIX".to_owned()));
                }
                roots.buckets.push(as_folder(url));
            } else {
                let folder = PathBuf::from(&root).canonicalize();
                roots.folders.push(folder.map_err(|error| wrong(error.to_string()))?);
            }
        }
        Ok(roots)
    }

    /// Returns the URL of the folder that a user names by absolute path, `file://` or `s3://` URL.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn resolve(&self, text: &str) -> Result<Url, RootError> {
        let invalid = |what: &str| RootError::Invalid { text: text.to_owned(), what: what.to_owned() };
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map_err(|()| invalid("it is no path on this machine"))?
            }
            Ok(url) if url.scheme() == "s3" => return self.resolve_bucket(url),
            Ok(url) => {
                let known = SCHEMES.join(" and ");
                return Err(invalid(&format!(
                    "the scheme '{}' is not supported, only {known}",
                    url.scheme()
                )));
            }
            Err(_) => PathBuf::from(text),
        };
        if !path.is_absolute() {
            return Err(invalid("give an absolute path"));
        }
        let folder = path.canonicalize().map_err(|_| {
            let text = path.display().to_string();
            // What lies outside is not told apart by whether it is there.
            if self.may_hold(&path) {
                RootError::Missing { path: text }
            } else {
                RootError::Outside { path: text, roots: self.describe() }
            }
        })?;
        if !self.folders.iter().any(|root| folder.starts_with(root)) {
            return Err(RootError::Outside { path: folder.display().to_string(), roots: self.describe() });
        }
        if !folder.is_dir() {
            return Err(invalid("it is no folder"));
        }
        Url::from_directory_path(&folder).map_err(|()| invalid("it makes no URL"))
    }

    /// Whether the nearest folder above `path` that is there lies below a root.
    fn may_hold(&self, path: &Path) -> bool {
        let there = path.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
        there.is_some_and(|above| self.folders.iter().any(|root| above.starts_with(root)))
    }

    /// Returns the URL of a folder that need not be there yet, and is made where it is written to.
    ///
    /// # Errors
    /// See [`RootError`]; nothing is made here.
    pub fn resolve_new(&self, text: &str) -> Result<Url, RootError> {
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().unwrap_or_default(),
            Ok(_) => return self.resolve(text),
            Err(_) => PathBuf::from(text),
        };
        let is_plain =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !is_plain || path.exists() {
            return self.resolve(text);
        }
        // What is not there cannot be a symbolic link; what is there is followed.
        let there = path.ancestors().find(|folder| folder.symlink_metadata().is_ok());
        let there = there.filter(|folder| *folder != path).ok_or_else(|| RootError::Invalid {
            text: text.to_owned(),
            what: "it is a symbolic link to nowhere".to_owned(),
        })?;
        let base = self.resolve(&there.display().to_string())?;
        let below = path.strip_prefix(there).expect("it is one of its folders");
        let folder = base.to_file_path().expect("a folder resolves to a folder").join(below);
        Url::from_directory_path(folder)
            .map_err(|()| RootError::Invalid { text: text.to_owned(), what: "it makes no URL".to_owned() })
    }

    fn resolve_bucket(&self, url: Url) -> Result<Url, RootError> {
        let text = url.to_string();
        let url = as_folder(url);
        // Encoded dots would be a way up that the comparison does not see.
        let is_plain = url.query().is_none() && url.fragment().is_none() && !has_dots(&url);
        if url.host_str().is_none_or(str::is_empty) || !is_plain {
            return Err(RootError::Invalid { text, what: "it must be s3://BUCKET/PREFIX".to_owned() });
        }
        let below = |root: &Url| root.host_str() == url.host_str() && url.path().starts_with(root.path());
        if self.buckets.iter().any(below) {
            Ok(url)
        } else {
            Err(RootError::Outside { path: text, roots: self.describe() })
        }
    }

    fn describe(&self) -> String {
        let folders = self.folders.iter().map(|root: &PathBuf| Path::display(root).to_string());
        let roots: Vec<String> = folders.chain(self.buckets.iter().map(Url::to_string)).collect();
        roots.join(":")
    }
}

/// Splits at colons, but not at the one in `s3://`.
fn split(text: &str) -> Vec<String> {
    let mut roots: Vec<String> = Vec::new();
    for piece in text.split(':') {
        match roots.last_mut() {
            Some(last) if piece.starts_with("//") => {
                last.push(':');
                last.push_str(piece);
            }
            _ => roots.push(piece.to_owned()),
        }
    }
    roots.retain(|root| !root.is_empty());
    roots
}

fn as_folder(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}

fn has_dots(url: &Url) -> bool {
    url.path_segments().is_some_and(|mut segments| {
        segments.any(|segment| [".", ".."].contains(&segment.to_lowercase().replace("%2e", ".").as_str()))
    })
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
        let roots = DatasetRoots::parse(&base.join("root").display().to_string()).unwrap();
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

    #[test]
    fn a_new_folder_resolves_below_a_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("root/set")).unwrap();
        std::fs::create_dir_all(base.join("other")).unwrap();
        std::fs::write(base.join("root/file"), b"x").unwrap();
        std::os::unix::fs::symlink(base.join("other"), base.join("root/link")).unwrap();
        std::os::unix::fs::symlink(base.join("nothing"), base.join("root/dangling")).unwrap();
        let roots = DatasetRoots::parse(&base.join("root").display().to_string()).unwrap();
        let at = |name: &str| base.join(name).display().to_string();

        for inside in ["root/set", "root/new", "root/set/new/er", "root"] {
            let resolved = roots.resolve_new(&at(inside)).unwrap();
            assert_eq!(resolved, Url::from_directory_path(base.join(inside)).unwrap());
            assert_eq!(roots.resolve_new(&format!("file://{}", at(inside))).unwrap(), resolved);
        }
        assert!(!base.join("root/new").exists(), "nothing is made");
        for outside in ["other/new", "root/link/new", "root/link", "new"] {
            let refused = roots.resolve_new(&at(outside));
            assert!(matches!(refused, Err(RootError::Outside { .. })), "{outside}: {refused:?}");
        }
        for wrong in ["root/dangling", "root/dangling/x", "root/file/x", "root/new/../../other/x"] {
            assert!(roots.resolve_new(&at(wrong)).is_err(), "{wrong}");
        }
        assert!(roots.resolve_new("relative").is_err());
    }

    #[test]
    fn only_parts_of_a_bucket_below_a_root_resolve() {
        let folder = tempfile::tempdir().unwrap();
        let roots = format!("{}:s3://bucket/sets:s3://whole", folder.path().display());
        let roots = DatasetRoots::parse(&roots).unwrap();
        assert_eq!(roots.resolve("s3://bucket/sets/a").unwrap().as_str(), "s3://bucket/sets/a/");
        assert_eq!(roots.resolve("s3://whole").unwrap().as_str(), "s3://whole/");
        assert_eq!(roots.folders.len(), 1);
        for outside in
            ["s3://bucket/other", "s3://bucket/setsx", "s3://bucket/sets/../other", "s3://else/sets"]
        {
            let refused = roots.resolve(outside);
            assert!(matches!(refused, Err(RootError::Outside { .. })), "{outside}: {refused:?}");
        }
        assert!(matches!(roots.resolve("s3://whole/a?x=1"), Err(RootError::Invalid { .. })));
        assert!(matches!(DatasetRoots::parse("gs://bucket"), Err(RootError::Root { .. })));
        assert!(matches!(DatasetRoots::parse("/no/such/folder"), Err(RootError::Root { .. })));
    }
}
