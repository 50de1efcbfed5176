//! Reading a file in chunks.
//!
//! Enforces the size limit even while the file grows. At most one chunk is in memory.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use tokio::{fs::File, io::AsyncReadExt};

use super::error::ReadError;

/// Chunk size for local files.
const CHUNK_BYTES: usize = 256 << 10;

pub struct Content {
    name: String,
    limit: u64,
    read: u64,
    source: Source,
}

enum Source {
    File(File),
    Stream(BoxStream<'static, Result<Bytes, ReadError>>),
}

impl Content {
    pub(super) fn of_file(name: &str, limit: u64, file: File) -> Self {
        Self { name: name.to_owned(), limit, read: 0, source: Source::File(file) }
    }

    pub(crate) fn of_stream(
        name: &str,
        limit: u64,
        chunks: impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static,
    ) -> Self {
        Self { name: name.to_owned(), limit, read: 0, source: Source::Stream(chunks.boxed()) }
    }

    /// Returns the next chunk, or `None` at the end of the file.
    ///
    /// # Errors
    /// When the storage fails, or the file exceeds its limit.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ReadError> {
        let chunk = match &mut self.source {
            Source::File(file) => {
                let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
                let failed = |error| ReadError::unavailable(&self.name, &error);
                let read = file.read_buf(&mut chunk).await.map_err(failed)?;
                (read > 0).then(|| chunk.freeze())
            }
            Source::Stream(chunks) => chunks.next().await.transpose()?,
        };
        self.read += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        ReadError::require_size(&self.name, self.read, self.limit)?;
        Ok(chunk)
    }
}
