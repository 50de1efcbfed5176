//! Dataset roots: the folders and buckets that users may read datasets from.
//!
//! Validates paths that users send: a dataset must be inside a configured root, for local folders after
//! symbolic links are resolved.

use std::path::{Component, Path, PathBuf};

use url::Url;

/// Supported URL schemes.
const SCHEMES: [&str; 2] = ["file", "s3"];

/// Longest path or URL, as for names of items: requests are stored with it.
const MAX_BYTES: usize = 1024;

/// The local folders, and buckets or prefixes of buckets, that datasets may be in.
#[derive(Clone, Debug)]
pub struct DatasetRoots {
    folders: Vec<RootFolder>,
    buckets: Vec<Url>,
}

#[derive(Clone, Debug)]
struct RootFolder {
    canonical: PathBuf,
    /// As in the settings, which may have links.
    given: PathBuf,
}

/// Why a dataset path or a root is rejected.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("SUBWATCH_DATASET_ROOTS: {root} is not a usable root: {reason}")]
    Root { root: String, reason: String },
    #[error("'{text}' is not a dataset: {reason}")]
    Invalid { text: String, reason: String },
    #[error("the folder {path} does not exist on the coordinator's machine")]
    Missing { path: String },
    #[error(
        "{path} is outside the dataset roots of the coordinator ({roots}): to allow it, restart the coordinator with \
         SUBWATCH_DATASET_ROOTS={roots}:{path}"
    )]
    Outside {
        path: String,
        /// Separated by `:`.
        roots: String,
    },
}

impl DatasetRoots {
    /// Parses absolute paths and `s3://` URLs, separated by `:`.
    ///
    /// # Errors
    /// When a folder does not exist, or a URL is not `s3://BUCKET/PREFIX`.
    pub fn parse(text: &str) -> Result<Self, RootError> {
        Self::parse_folders(text, Path::canonicalize)
    }

    /// Like [`parse`](Self::parse), but folders need not exist yet: a volume may be mounted later.
    ///
    /// # Errors
    /// When a URL is not `s3://BUCKET/PREFIX`, or the current folder, on which relative paths depend, is unknown.
    pub fn parse_unmounted(text: &str) -> Result<Self, RootError> {
        Self::parse_folders(text, |folder| folder.canonicalize().or_else(|_| std::path::absolute(folder)))
    }

    fn parse_folders(
        text: &str,
        canonical: impl Fn(&Path) -> std::io::Result<PathBuf>,
    ) -> Result<Self, RootError> {
        let mut roots = Self { folders: Vec::new(), buckets: Vec::new() };
        for root in split(text) {
            let invalid = |reason: String| RootError::Root { root: root.clone(), reason };
            if root.contains("://") {
                let url = Url::parse(&root).map_err(|error| invalid(error.to_string()))?;
                if url.scheme() != "s3" || url.host_str().is_none_or(str::is_empty) {
                    return Err(invalid("use an absolute path or s3://BUCKET/PREFIX".to_owned()));
                }
                roots.buckets.push(as_folder(url));
            } else {
                let failed = |error: std::io::Error| invalid(error.to_string());
                let canonical = canonical(Path::new(&root)).map_err(failed)?;
                let given = std::path::absolute(&root).map_err(failed)?;
                roots.folders.push(RootFolder { canonical, given });
            }
        }
        Ok(roots)
    }

    /// The root at a `file://` or `s3://` URL.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        let mut roots = Self { folders: Vec::new(), buckets: Vec::new() };
        match url.to_file_path() {
            Ok(given) if url.scheme() == "file" => {
                let canonical = given.canonicalize().unwrap_or_else(|_| given.clone());
                roots.folders.push(RootFolder { canonical, given });
            }
            _ => roots.buckets.push(as_folder(url.clone())),
        }
        roots
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(|root| root.canonical.as_path())
    }

    /// Returns the root around `path` and the path in it.
    pub(super) fn find<'a>(&'a self, path: &'a Path) -> Option<(&'a Path, &'a Path)> {
        self.folders.iter().find_map(|root| {
            let inside =
                path.strip_prefix(&root.canonical).or_else(|_| path.strip_prefix(&root.given)).ok()?;
            Some((root.canonical.as_path(), inside))
        })
    }

    pub(super) fn has_bucket(&self, url: &Url) -> bool {
        let url = as_folder(url.clone());
        let is_inside = |root: &Url| root.host_str() == url.host_str() && url.path().starts_with(root.path());
        !has_dots(&url) && self.buckets.iter().any(is_inside)
    }

    /// Resolves an absolute path, `file://` URL or `s3://` URL to the URL of an existing folder inside a
    /// root.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn resolve(&self, text: &str) -> Result<Url, RootError> {
        let invalid = |reason: &str| RootError::Invalid { text: text.to_owned(), reason: reason.to_owned() };
        if text.len() > MAX_BYTES {
            let text = text[..text.floor_char_boundary(64)].to_owned();
            return Err(RootError::Invalid { text, reason: format!("it has more than {MAX_BYTES} bytes") });
        }
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => url
                .to_file_path()
                .map_err(|()| invalid("a file:// URL must have an absolute path and no host"))?,
            Ok(url) if url.scheme() == "s3" => return self.resolve_bucket(url),
            Ok(url) => {
                let known = SCHEMES.join(" or ");
                return Err(invalid(&format!("the scheme '{}' is not supported, use {known}", url.scheme())));
            }
            Err(_) => PathBuf::from(text),
        };
        if !path.is_absolute() {
            return Err(invalid("use an absolute path or a file:// or s3:// URL"));
        }
        let folder = path.canonicalize().map_err(|_| {
            let text = path.display().to_string();
            // The error must not reveal which paths exist outside the roots.
            if self.is_parent_inside(&path) {
                RootError::Missing { path: text }
            } else {
                RootError::Outside { path: text, roots: self.describe() }
            }
        })?;
        if !self.folders().any(|root| folder.starts_with(root)) {
            // As it was given: the error must not reveal where a link leads.
            return Err(RootError::Outside { path: path.display().to_string(), roots: self.describe() });
        }
        if !folder.is_dir() {
            return Err(invalid("it is not a folder"));
        }
        Url::from_directory_path(&folder).map_err(|()| invalid("the path cannot be written as a URL"))
    }

    /// Whether `path` would be inside a root. A link that leads nowhere is outside: the answer must not tell whether
    /// its target exists.
    fn is_parent_inside(&self, path: &Path) -> bool {
        let existing = path.ancestors().find(|parent| parent.symlink_metadata().is_ok());
        let parent = existing.and_then(|parent| parent.canonicalize().ok());
        parent.is_some_and(|parent| self.folders().any(|root| parent.starts_with(root)))
    }

    /// Like [`resolve`](Self::resolve), but the folder need not exist yet. It is not created here.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn resolve_new(&self, text: &str) -> Result<Url, RootError> {
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => url.to_file_path().unwrap_or_default(),
            Ok(_) => return self.resolve(text),
            Err(_) => PathBuf::from(text),
        };
        if text.len() > MAX_BYTES {
            return self.resolve(text);
        }
        let is_plain =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !is_plain || path.exists() {
            return self.resolve(text);
        }
        // Only the existing parent can contain symbolic links; `resolve` follows them. A dangling link has none.
        let invalid = |reason: &str| RootError::Invalid { text: text.to_owned(), reason: reason.to_owned() };
        let outside = || RootError::Outside { path: text.to_owned(), roots: self.describe() };
        let parent = path.ancestors().find(|folder| folder.symlink_metadata().is_ok());
        let parent = parent.filter(|folder| *folder != path).ok_or_else(outside)?;
        let base = self.resolve(&parent.display().to_string()).map_err(|error| match error {
            RootError::Outside { .. } => outside(),
            error => error,
        })?;
        let new = path.strip_prefix(parent).expect("it is an ancestor");
        let folder = base.to_file_path().expect("a folder resolves to a folder").join(new);
        Url::from_directory_path(folder).map_err(|()| invalid("the path cannot be written as a URL"))
    }

    fn resolve_bucket(&self, url: Url) -> Result<Url, RootError> {
        let text = url.to_string();
        let url = as_folder(url);
        // An encoded `..` would escape the root without failing the prefix comparison.
        let is_plain = url.query().is_none() && url.fragment().is_none() && !has_dots(&url);
        if url.host_str().is_none_or(str::is_empty) || !is_plain {
            return Err(RootError::Invalid { text, reason: "use s3://BUCKET/PREFIX".to_owned() });
        }
        if self.has_bucket(&url) {
            Ok(url)
        } else {
            Err(RootError::Outside { path: text, roots: self.describe() })
        }
    }

    /// Names the roots, separated by `:`.
    #[must_use]
    pub fn describe(&self) -> String {
        let folders = self.folders().map(|root| root.display().to_string());
        let roots: Vec<String> = folders.chain(self.buckets.iter().map(Url::to_string)).collect();
        roots.join(":")
    }
}

/// Splits at colons, except the one in `s3://`.
fn split(text: &str) -> Vec<String> {
    let mut roots: Vec<String> = Vec::new();
    for part in text.split(':') {
        match roots.last_mut() {
            Some(last) if part.starts_with("//") => {
                last.push(':');
                last.push_str(part);
            }
            _ => roots.push(part.to_owned()),
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
    fn folders_outside_the_roots_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("root/set")).unwrap();
        std::fs::create_dir_all(base.join("other")).unwrap();
        std::fs::write(base.join("root/file"), b"x").unwrap();
        std::os::unix::fs::symlink(base.join("other"), base.join("root/link")).unwrap();
        let roots = DatasetRoots::parse(&base.join("root").display().to_string()).unwrap();
        let path = |name: &str| base.join(name).display().to_string();

        assert_eq!(
            roots.resolve(&path("root/set")).unwrap(),
            Url::from_directory_path(base.join("root/set")).unwrap()
        );
        assert!(roots.resolve(&format!("file://{}", path("root/set"))).is_ok());
        assert!(roots.resolve(&path("root/set/../set")).is_ok());
        for outside in ["other", "root/link", "root/../other"] {
            let refused = roots.resolve(&path(outside));
            assert!(matches!(refused, Err(RootError::Outside { .. })), "{outside}: {refused:?}");
        }
        assert!(matches!(roots.resolve(&path("root/none")), Err(RootError::Missing { .. })));
        for invalid in ["set", "gopher://x/y", &path("root/file")] {
            assert!(matches!(roots.resolve(invalid), Err(RootError::Invalid { .. })), "{invalid}");
        }
    }

    #[test]
    fn new_folders_outside_the_roots_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("root/set")).unwrap();
        std::fs::create_dir_all(base.join("other")).unwrap();
        std::fs::write(base.join("root/file"), b"x").unwrap();
        std::os::unix::fs::symlink(base.join("other"), base.join("root/link")).unwrap();
        std::os::unix::fs::symlink(base.join("nothing"), base.join("root/dangling")).unwrap();
        let roots = DatasetRoots::parse(&base.join("root").display().to_string()).unwrap();
        let path = |name: &str| base.join(name).display().to_string();

        for inside in ["root/set", "root/new", "root/set/new/er", "root"] {
            let resolved = roots.resolve_new(&path(inside)).unwrap();
            assert_eq!(resolved, Url::from_directory_path(base.join(inside)).unwrap());
            assert_eq!(roots.resolve_new(&format!("file://{}", path(inside))).unwrap(), resolved);
        }
        assert!(!base.join("root/new").exists(), "the folder is not created");
        for outside in ["other/new", "root/link/new", "root/link", "new"] {
            let refused = roots.resolve_new(&path(outside));
            assert!(matches!(refused, Err(RootError::Outside { .. })), "{outside}: {refused:?}");
        }
        for invalid in ["root/dangling", "root/dangling/x", "root/file/x", "root/new/../../other/x"] {
            assert!(roots.resolve_new(&path(invalid)).is_err(), "{invalid}");
        }
        assert!(roots.resolve_new("relative").is_err());
    }

    #[test]
    fn bucket_prefixes_outside_the_roots_are_rejected() {
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
