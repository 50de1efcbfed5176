//! A file that is read piece by piece.
//!
//! Owns the bound on its size, which holds even while the file grows. At most one piece is in memory.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use tokio::{fs::File, io::AsyncReadExt};

use super::error::ReadError;

/// Piece of a local file that is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// The content of one file.
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
        pieces: impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static,
    ) -> Self {
        Self { name: name.to_owned(), limit, read: 0, source: Source::Stream(pieces.boxed()) }
    }

    /// Returns the next piece; nothing at the end.
    ///
    /// # Errors
    /// When the storage fails, or the file turns out to be larger than its limit.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ReadError> {
        let piece = match &mut self.source {
            Source::File(file) => {
                let mut piece = BytesMut::with_capacity(PIECE_BYTES);
                let failed = |error| ReadError::unavailable(&self.name, &error);
                let read = file.read_buf(&mut piece).await.map_err(failed)?;
                (read > 0).then(|| piece.freeze())
            }
            Source::Stream(pieces) => pieces.next().await.transpose()?,
        };
        self.read += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        ReadError::require_size(&self.name, self.read, self.limit)?;
        Ok(piece)
    }
}
