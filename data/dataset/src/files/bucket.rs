//! A root in an S3-compatible object store: a bucket, or a prefix of one.
//!
//! Owns the clients, one per bucket, which keep their connections open. With `bucket_proxy` and `bucket_keys` the only
//! module that uses `object_store`. Credentials and endpoint come from the AWS variables `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` and `AWS_ENDPOINT_URL`, or from web identities
//! and instance roles.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::{Bytes, BytesMut};
use common::job::args::ByteRange;
use futures::{Stream, TryStreamExt};
use object_store::{
    Error, GetResult, ObjectStore, ObjectStoreExt, WriteMultipart,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use tokio::io::AsyncReadExt;
use url::Url;

use super::{
    bucket_keys::unmarked,
    bucket_proxy::ProxySelector,
    content::Content,
    error::{FilesError, ReadError},
    name::Found,
};

/// Part size of a multipart upload. S3 allows 10,000 parts, so a file can have 160 GB.
const UPLOAD_PART_BYTES: usize = 16 << 20;
/// Parts of one file uploaded concurrently.
const UPLOAD_CONCURRENCY: usize = 4;

static CLIENTS: LazyLock<Mutex<HashMap<String, Arc<dyn ObjectStore>>>> = LazyLock::new(Mutex::default);

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    client: Arc<dyn ObjectStore>,
    root: Url,
    prefix: Path,
}

impl Bucket {
    pub(super) fn open(root: &Url) -> Result<Self, FilesError> {
        let invalid = |reason: &dyn std::fmt::Display| FilesError::Settings {
            root: root.clone(),
            reason: reason.to_string(),
        };
        let bucket = root.host_str().filter(|host| !host.is_empty());
        let bucket = bucket.ok_or_else(|| invalid(&"the bucket name is missing"))?;
        let prefix = Path::from_url_path(root.path()).map_err(|error| invalid(&error))?;
        let mut clients = CLIENTS.lock().expect("no holder of this lock panics");
        let client = match clients.get(bucket) {
            Some(client) => client.clone(),
            None => {
                let client = connect(bucket).map_err(|error| invalid(&error))?;
                clients.insert(bucket.to_owned(), client.clone());
                client
            }
        };
        Ok(Self { client, root: root.clone(), prefix })
    }

    pub(super) async fn read(&self, name: &str, limit: u64) -> Result<Bytes, ReadError> {
        let object = self.get(name, limit).await?;
        let mut bytes = BytesMut::with_capacity(object.meta.size as usize);
        let mut content = Content::of_stream(name, limit, chunks(name, object));
        while let Some(chunk) = content.next_chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// Reads `range` of an object, or less if the object is shorter.
    pub(super) async fn read_range(&self, name: &str, range: ByteRange) -> Result<Bytes, ReadError> {
        let bytes = range.offset..range.offset.saturating_add(range.bytes);
        self.client.get_range(&self.key(name)?, bytes).await.map_err(|error| read_error(name, &error))
    }

    pub(super) async fn content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        Ok(Content::of_stream(name, limit, chunks(name, self.get(name, limit).await?)))
    }

    async fn get(&self, name: &str, limit: u64) -> Result<GetResult, ReadError> {
        let object = self.client.get(&self.key(name)?).await.map_err(|error| read_error(name, &error))?;
        ReadError::require_size(name, object.meta.size, limit)?;
        Ok(object)
    }

    pub(super) async fn has(&self, name: &str) -> Result<bool, FilesError> {
        let failed = |reason: &dyn std::fmt::Display| FilesError::List {
            root: self.root.to_string(),
            reason: reason.to_string(),
        };
        match self.client.head(&self.key(name).map_err(|error| failed(&error))?).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(&first_line(&error))),
        }
    }

    pub(super) async fn walk<S>(
        &self,
        subfolder: Option<&str>,
        mut state: S,
        visit: fn(&mut S, Found<'_>),
    ) -> Result<S, FilesError> {
        let failed = |error| FilesError::List { root: self.root.to_string(), reason: first_line(&error) };
        let prefix =
            subfolder.map_or_else(|| self.prefix.clone(), |subfolder| self.prefix.clone().join(subfolder));
        let mut objects = self.client.list(Some(&prefix));
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            let Some(name) = self.name(&object.location) else { continue };
            if let Some(name) = unmarked(&name) {
                let reason = "the key has an empty, '.' or '..' segment: rename it";
                visit(&mut state, Found::Refused { name: &name, is_folder: false, reason });
            } else {
                visit(&mut state, Found::File { name: &name, bytes: Some(object.size) });
            }
        }
        Ok(state)
    }

    pub(super) async fn some_names(&self, limit: usize) -> Result<Vec<String>, FilesError> {
        let failed = |error| FilesError::List { root: self.root.to_string(), reason: first_line(&error) };
        let mut objects = self.client.list(Some(&self.prefix));
        let mut names = Vec::new();
        while names.len() < limit
            && let Some(object) = objects.try_next().await.map_err(failed)?
        {
            names.extend(self.name(&object.location).map(|name| unmarked(&name).unwrap_or(name)));
        }
        Ok(names)
    }

    /// Returns a key's name relative to the root, or `None` if it is hidden.
    fn name(&self, key: &Path) -> Option<String> {
        let parts: Vec<String> =
            key.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        let hidden = parts.iter().any(|part| part.starts_with('.'));
        (!hidden && !parts.is_empty()).then(|| parts.join("/"))
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ReadError> {
        match self.client.delete(&self.key(name)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(read_error(name, &error)),
        }
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let written = self.client.put(&self.key(name)?, bytes.into()).await;
        written.map(drop).map_err(|error| read_error(name, &error))
    }

    pub(super) async fn write_file(&self, name: &str, from: &std::path::Path) -> Result<(), ReadError> {
        let local = |error: std::io::Error| {
            ReadError::unavailable(name, &format!("{} cannot be read: {error}", from.display()))
        };
        let mut file = tokio::fs::File::open(from).await.map_err(local)?;
        if file.metadata().await.map_err(local)?.len() <= UPLOAD_PART_BYTES as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(local)?;
            return self.write(name, bytes.into()).await;
        }
        let failed = |error| read_error(name, &error);
        let upload = self.client.put_multipart(&self.key(name)?).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, UPLOAD_PART_BYTES);
        let mut part = BytesMut::with_capacity(UPLOAD_PART_BYTES);
        let result = loop {
            part.clear();
            match file.read_buf(&mut part).await {
                Ok(0) => break Ok(()),
                Ok(_) => upload.write(&part),
                Err(error) => break Err(local(error)),
            }
            if let Err(error) = upload.wait_for_capacity(UPLOAD_CONCURRENCY).await {
                break Err(failed(error));
            }
        };
        match result {
            Ok(()) => upload.finish().await.map(drop).map_err(failed),
            Err(error) => {
                // If this fails too, the parts use storage until the bucket's lifecycle rules remove them.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    fn key(&self, name: &str) -> Result<Path, ReadError> {
        let key = Path::parse(format!("{}/{name}", self.prefix).trim_start_matches('/'));
        key.map_err(|error| ReadError::refused(name, &error))
    }
}

fn connect(bucket: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    // Fails if another part of the program has installed a provider already, which works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(ProxySelector);
    // An endpoint configured as http:// is a decision to go without TLS.
    if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn chunks(name: &str, object: GetResult) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
    let name = name.to_owned();
    object.into_stream().map_err(move |error| read_error(&name, &error))
}

fn read_error(name: &str, error: &Error) -> ReadError {
    match error {
        Error::NotFound { .. } => ReadError::missing(name),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ReadError::refused(name, &format!("access denied: {}", first_line(error)))
        }
        error => ReadError::unavailable(name, &first_line(error)),
    }
}

/// Address that AWS machines ask for their credentials; asked when no others are set.
const INSTANCE_METADATA: &str = "169.254.169.254";

/// Returns the first line of an error and its causes, since responses of the service contain whole documents.
fn first_line(error: &Error) -> String {
    let mut text = error.to_string();
    if text.contains(INSTANCE_METADATA) {
        return "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned();
    }
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
