//! A root that is a bucket of an S3 service, or the part of one below a prefix.
//!
//! Owns the clients, one a bucket, which keep their connections; the only module that names
//! `object_store`. Where the service is and who asks is told by the usual variables:
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
//! or by web identities and instance roles.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::{
    Error, ObjectStore, ObjectStoreExt,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use url::Url;

use super::{FilesError, ReadError};

static CLIENTS: LazyLock<Mutex<HashMap<String, Arc<dyn ObjectStore>>>> = LazyLock::new(Mutex::default);

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    client: Arc<dyn ObjectStore>,
    root: Url,
    prefix: Path,
}

impl Bucket {
    pub(super) fn open(root: &Url) -> Result<Self, FilesError> {
        let wrong = |what: &dyn std::fmt::Display| FilesError::Settings {
            root: root.clone(),
            what: what.to_string(),
        };
        let bucket = root.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or_else(|| wrong(&"it names no bucket"))?;
        let prefix = Path::from_url_path(root.path()).map_err(|error| wrong(&error))?;
        let mut clients = CLIENTS.lock().expect("no holder of this lock panics");
        let client = match clients.get(bucket) {
            Some(client) => client.clone(),
            None => {
                let client = connect(bucket).map_err(|error| wrong(&error))?;
                clients.insert(bucket.to_owned(), client.clone());
                client
            }
        };
        Ok(Self { client, root: root.clone(), prefix })
    }

    pub(super) async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let failed = |error| unread(name, &error);
        let found = self.client.get(&self.key(name)?).await.map_err(failed)?;
        ReadError::require_size(name, found.meta.size, limit)?;
        let mut bytes = BytesMut::with_capacity(found.meta.size as usize);
        let mut stream = found.into_stream();
        while let Some(piece) = stream.try_next().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            ReadError::require_size(name, bytes.len() as u64, limit)?;
        }
        Ok(bytes.freeze())
    }

    pub(super) async fn list(&self) -> Result<Vec<(String, u64)>, FilesError> {
        let listed: Vec<_> = self
            .client
            .list(Some(&self.prefix))
            .try_collect()
            .await
            .map_err(|error| FilesError::List { root: self.root.to_string(), what: brief(&error) })?;
        let relative = |location: &Path| {
            let parts: Vec<String> =
                location.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
            let hidden = parts.iter().any(|part| part.starts_with('.'));
            (!hidden && !parts.is_empty()).then(|| parts.join("/"))
        };
        Ok(listed
            .into_iter()
            .filter_map(|object| relative(&object.location).map(|name| (name, object.size)))
            .collect())
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let written = self.client.put(&self.key(name)?, bytes.into()).await;
        written.map(drop).map_err(|error| unread(name, &error))
    }

    fn key(&self, name: &str) -> Result<Path, ReadError> {
        let key = Path::parse(format!("{}/{name}", self.prefix).trim_start_matches('/'));
        key.map_err(|error| ReadError::refused(name, &error))
    }
}

fn connect(bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    // Another part of the program may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    // Whoever names an endpoint without TLS wants to use it.
    if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn unread(name: &str, error: &Error) -> ReadError {
    match error {
        Error::NotFound { .. } => ReadError::missing(name),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ReadError::refused(name, &format!("may not be read or written: {}", brief(error)))
        }
        error => ReadError::unavailable(name, &brief(error)),
    }
}

/// The first line of an error: answers of the service carry whole documents.
fn brief(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(400).collect()
}
