//! Which folders and buckets this process may use.
//!
//! Coordinators and workers are confined to the dataset roots and the artifacts folder, whatever a job or a record
//! names. The command line reads what its user can read; only the links in folders are limited.

use std::{
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
};

use url::Url;

use super::{error::FilesError, folder::Place, roots::DatasetRoots};

static LIMITS: OnceLock<Limits> = OnceLock::new();

struct Limits {
    datasets: DatasetRoots,
    /// `None`: the process is not confined.
    artifacts: Option<DatasetRoots>,
}

/// What a root is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Dataset,
    Artifacts,
}

/// Lets links in datasets of this process lead to these roots. Without this, a link must stay inside its dataset.
pub fn allow_links_to(datasets: DatasetRoots) {
    limit(Limits { datasets, artifacts: None });
}

/// Confines this process: it opens datasets in these roots, artifacts in the artifacts folder, and nothing else.
pub fn confine_to(datasets: DatasetRoots, artifacts: &Url) {
    limit(Limits { datasets, artifacts: Some(DatasetRoots::of(artifacts)) });
}

fn limit(limits: Limits) {
    // A later call comes from another part of the same program, which has the same settings.
    let _ = LIMITS.set(limits);
}

/// Whether this process may use a bucket.
pub(super) fn require_bucket(root: &Url, purpose: Purpose) -> Result<(), FilesError> {
    match limits_of(LIMITS.get(), purpose) {
        Some(allowed) if !allowed.has_bucket(root) => Err(outside(root, allowed, purpose)),
        _ => Ok(()),
    }
}

/// Returns where a folder is for this process.
pub(super) fn place(root: &Url, purpose: Purpose) -> Result<Place, FilesError> {
    place_within(root, purpose, LIMITS.get())
}

fn place_within(root: &Url, purpose: Purpose, limits: Option<&Limits>) -> Result<Place, FilesError> {
    let path = root.to_file_path().map_err(|()| FilesError::Scheme(root.clone()))?;
    let links = |roots: Option<&DatasetRoots>| -> Arc<[PathBuf]> {
        roots.map_or_else(Arc::default, |roots| roots.folders().map(Path::to_owned).collect())
    };
    let Some(allowed) = limits_of(limits, purpose) else {
        return Ok(Place::new(path, PathBuf::new(), links(limits.map(|limits| &limits.datasets))));
    };
    // An encoded slash can hide `..` from the parser of URLs.
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let found = allowed.find(&path).filter(|_| is_plain);
    let (anchor, inside) = found.ok_or_else(|| outside(root, allowed, purpose))?;
    Ok(Place::new(anchor.to_owned(), inside.to_owned(), links(Some(allowed))))
}

fn limits_of(limits: Option<&Limits>, purpose: Purpose) -> Option<&DatasetRoots> {
    let limits = limits?;
    let artifacts = limits.artifacts.as_ref()?;
    Some(match purpose {
        Purpose::Dataset => &limits.datasets,
        Purpose::Artifacts => artifacts,
    })
}

fn outside(root: &Url, allowed: &DatasetRoots, purpose: Purpose) -> FilesError {
    let setting = match purpose {
        Purpose::Dataset => "SUBWATCH_DATASET_ROOTS",
        Purpose::Artifacts => "SUBWATCH_ARTIFACTS",
    };
    FilesError::Outside { root: root.clone(), setting, allowed: allowed.describe().into() }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::files::{Files, Root, error::ReadError, folder::Folder};

    #[tokio::test]
    async fn a_confined_process_opens_nothing_outside_its_roots() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["data/set", "data2/other", "artifacts/manifests", "home"] {
            fs::create_dir_all(base.join(name)).unwrap();
            fs::write(base.join(name).join("file"), name).unwrap();
        }
        symlink(base.join("data"), base.join("linked")).unwrap();
        let url = |path: &str| Url::from_directory_path(base.join(path)).unwrap();
        let roots =
            format!("{}:{}:s3://bucket/sets", base.join("linked").display(), base.join("data2").display());
        let limits = Limits {
            datasets: DatasetRoots::parse_unmounted(&roots).unwrap(),
            artifacts: Some(DatasetRoots::of(&url("artifacts"))),
        };
        let open = |url: &Url, purpose| {
            let place = place_within(url, purpose, Some(&limits))?;
            Ok::<_, FilesError>(Files { root: Root::Folder(Folder::new(place)) })
        };

        for (path, purpose) in [
            ("data/set", Purpose::Dataset),
            ("linked/set", Purpose::Dataset),
            ("data2/other", Purpose::Dataset),
            ("artifacts/manifests", Purpose::Artifacts),
        ] {
            assert!(open(&url(path), purpose).unwrap().read("file", 99).await.is_ok(), "{path}");
        }
        let hidden = Url::parse(&format!("{}..%2f..%2fhome/", url("data/set"))).unwrap();
        for (url, purpose) in [
            (Url::parse("file:///").unwrap(), Purpose::Dataset),
            (url("home"), Purpose::Dataset),
            (url("artifacts"), Purpose::Dataset),
            (url("data/set"), Purpose::Artifacts),
            (hidden, Purpose::Dataset),
        ] {
            let error = open(&url, purpose).unwrap_err().to_string();
            assert!(error.contains("is outside the SUBWATCH_"), "{url}: {error}");
        }
        let is_allowed = |text: &str| limits.datasets.has_bucket(&Url::parse(text).unwrap());
        assert!(is_allowed("s3://bucket/sets/a/"));
        assert!(!is_allowed("s3://bucket/other/") && !is_allowed("s3://bucket/sets/%2e%2e/other/"));

        // Links lead to other roots, when they are read, and not to artifacts or elsewhere.
        symlink(base.join("data2/other/file"), base.join("data/set/other")).unwrap();
        symlink(base.join("artifacts/manifests/file"), base.join("data/set/manifest")).unwrap();
        let files = open(&url("data/set"), Purpose::Dataset).unwrap();
        assert_eq!(files.read("other", 99).await.unwrap(), "data2/other");
        assert!(matches!(files.read("manifest", 99).await, Err(ReadError::Refused { .. })));

        // A dataset that was replaced by a link.
        fs::rename(base.join("data/set"), base.join("data/old")).unwrap();
        symlink(base.join("home"), base.join("data/set")).unwrap();
        assert!(matches!(files.read("file", 99).await, Err(ReadError::Refused { .. })));
        assert!(matches!(files.write("file", bytes::Bytes::new()).await, Err(ReadError::Refused { .. })));
        assert!(files.walk(None, (), |(), _| {}).await.is_err());
        assert_eq!(fs::read(base.join("home/file")).unwrap(), b"home");
    }
}
