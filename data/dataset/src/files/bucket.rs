//! A root that is a bucket of an S3 service, or the part of one below a prefix.
//!
//! Owns the clients, one a bucket, which keep their connections; with `bucket_proxy` the only module that names
//! `object_store`. Where the service is and who asks is told by the usual variables:
//! `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
//! or by web identities and instance roles.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, TryStreamExt};
use object_store::{
    Error, GetResult, ObjectStore, ObjectStoreExt, WriteMultipart,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use tokio::io::AsyncReadExt;
use url::Url;

use super::{
    bucket_proxy::Connector,
    content::Content,
    error::{FilesError, ReadError},
    name::Listed,
};
use crate::digest_map::DigestMap;

/// Piece of a large file that is sent at once. A service takes at most 10,000, so a file may have 160 GB.
const UPLOAD_PIECE_BYTES: usize = 16 << 20;
/// Pieces under way at once.
const UPLOADS: usize = 4;

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
        let found = self.get(name, limit).await?;
        let mut bytes = BytesMut::with_capacity(found.meta.size as usize);
        let mut content = Content::of_stream(name, limit, pieces(name, found));
        while let Some(piece) = content.next_piece().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    pub(super) async fn content(&self, name: &str, limit: u64) -> Result<Content, ReadError> {
        Ok(Content::of_stream(name, limit, pieces(name, self.get(name, limit).await?)))
    }

    async fn get(&self, name: &str, limit: u64) -> Result<GetResult, ReadError> {
        let found = self.client.get(&self.key(name)?).await.map_err(|error| unread(name, &error))?;
        ReadError::require_size(name, found.meta.size, limit)?;
        Ok(found)
    }

    pub(super) async fn list(
        &self,
        below: Option<&str>,
        wanted: fn(&str) -> bool,
    ) -> Result<Vec<Listed>, FilesError> {
        let mut found = Vec::new();
        let add = |name: String, bytes| {
            if wanted(&name) {
                found.push((name.into_boxed_str(), bytes));
            }
        };
        self.visit(below, add).await?;
        Ok(found)
    }

    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, FilesError> {
        let failed = |what: &dyn std::fmt::Display| FilesError::List {
            root: self.root.to_string(),
            what: what.to_string(),
        };
        match self.client.head(&self.key(name).map_err(|error| failed(&error))?).await {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&brief(&error))),
        }
    }

    /// Returns the size of every file, without their names.
    pub(super) async fn sizes(&self) -> Result<DigestMap<u64>, FilesError> {
        let mut sizes = DigestMap::default();
        self.visit(None, |name, bytes| {
            sizes.insert(&name, bytes);
        })
        .await?;
        Ok(sizes)
    }

    async fn visit(&self, below: Option<&str>, mut visit: impl FnMut(String, u64)) -> Result<(), FilesError> {
        let failed = |error| FilesError::List { root: self.root.to_string(), what: brief(&error) };
        let prefix = below.map_or_else(|| self.prefix.clone(), |below| self.prefix.clone().join(below));
        let mut listed = self.client.list(Some(&prefix));
        while let Some(object) = listed.try_next().await.map_err(failed)? {
            if let Some(name) = self.name(&object.location) {
                visit(name, object.size);
            }
        }
        Ok(())
    }

    /// A key's name relative to the root; nothing for what is hidden.
    fn name(&self, key: &Path) -> Option<String> {
        let parts: Vec<String> =
            key.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        let hidden = parts.iter().any(|part| part.starts_with('.'));
        (!hidden && !parts.is_empty()).then(|| parts.join("/"))
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ReadError> {
        let written = self.client.put(&self.key(name)?, bytes.into()).await;
        written.map(drop).map_err(|error| unread(name, &error))
    }

    pub(super) async fn write_file(&self, name: &str, from: &std::path::Path) -> Result<(), ReadError> {
        let local = |error: std::io::Error| {
            ReadError::unavailable(name, &format!("{} cannot be read: {error}", from.display()))
        };
        let mut file = tokio::fs::File::open(from).await.map_err(local)?;
        if file.metadata().await.map_err(local)?.len() <= UPLOAD_PIECE_BYTES as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(local)?;
            return self.write(name, bytes.into()).await;
        }
        let failed = |error| unread(name, &error);
        let upload = self.client.put_multipart(&self.key(name)?).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, UPLOAD_PIECE_BYTES);
        let mut piece = BytesMut::with_capacity(UPLOAD_PIECE_BYTES);
        let sent = loop {
            piece.clear();
            match file.read_buf(&mut piece).await {
                Ok(0) => break Ok(()),
                Ok(_) => upload.write(&piece),
                Err(error) => break Err(local(error)),
            }
            if let Err(error) = upload.wait_for_capacity(UPLOADS).await {
                break Err(failed(error));
            }
        };
        match sent {
            Ok(()) => upload.finish().await.map(drop).map_err(failed),
            Err(error) => {
                // What is left of it costs its owner storage until the bucket's own rules remove it.
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
    // Another part of the program may have chosen a provider already; either will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_http_connector(Connector);
    // Whoever names an endpoint without TLS wants to use it.
    if builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn pieces(name: &str, found: GetResult) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static {
    let name = name.to_owned();
    found.into_stream().map_err(move |error| unread(&name, &error))
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
