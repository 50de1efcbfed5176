//! Reads a file line by line.
//!
//! Limits memory per line: of a line over the limit only the length is kept.

use bytes::{Bytes, BytesMut};

use crate::files::{Content, ReadError};

/// Maximum length of a row.
pub const MAX_LINE_BYTES: usize = 64 << 10;

pub(crate) struct Lines {
    content: Content,
    limit: usize,
    /// The unread rest of the last chunk.
    chunk: Bytes,
}

/// A line without its newline.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Text(Bytes),
    /// The length in bytes of a line that is over the limit and not blank.
    TooLong(u64),
}

impl Lines {
    pub(crate) fn of(content: Content) -> Self {
        Self::with_limit(content, MAX_LINE_BYTES)
    }

    pub(crate) fn with_limit(content: Content, limit: usize) -> Self {
        Self { content, limit, chunk: Bytes::new() }
    }

    /// Returns the next line, or `None` at the end. Not cancel safe: a partial line is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, ReadError> {
        let mut line = PartialLine { limit: self.limit, ..PartialLine::default() };
        loop {
            if let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let last = self.chunk.split_to(end + 1).slice(..end);
                return Ok(Some(line.finish(last)));
            }
            line.push(&self.chunk);
            match self.content.next_chunk().await? {
                Some(chunk) => self.chunk = chunk,
                None => {
                    self.chunk = Bytes::new();
                    return Ok((line.bytes > 0).then(|| line.finish(Bytes::new())));
                }
            }
        }
    }
}

/// Removes the byte order mark at the start of a file.
pub(crate) fn without_bom(text: Bytes) -> Bytes {
    const BOM: &[u8] = b"\xef\xbb\xbf";
    if text.starts_with(BOM) { text.slice(BOM.len()..) } else { text }
}

/// A line that continues in the next chunk.
#[derive(Default)]
struct PartialLine {
    limit: usize,
    text: BytesMut,
    bytes: u64,
    has_text: bool,
}

impl PartialLine {
    fn push(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.has_text |= !part.trim_ascii().is_empty();
        let room = self.limit.saturating_sub(self.text.len());
        self.text.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn finish(mut self, last: Bytes) -> Line {
        if self.bytes == 0 && last.len() <= self.limit {
            return Line::Text(last);
        }
        self.push(&last);
        match self.bytes {
            bytes if bytes <= self.limit as u64 => Line::Text(self.text.freeze()),
            bytes if self.has_text => Line::TooLong(bytes),
            _ => Line::Text(Bytes::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::files::Content;

    async fn check(chunks: &[&[u8]], want: &[Line]) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut lines = Lines::of(Content::of_stream("x", 1 << 20, stream::iter(chunks)));
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        assert_eq!(found, want);
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_chunk_boundaries() {
        let text = |text: &'static str| Line::Text(Bytes::from_static(text.as_bytes()));
        check(&[], &[]).await;
        check(&[b"a\n", b"", b"\nbc"], &[text("a"), text(""), text("bc")]).await;
        check(&[b"a", b"b", b"c\nd", b"\n"], &[text("abc"), text("d")]).await;
        check(&[b"ab\ncd\n"], &[text("ab"), text("cd")]).await;
    }

    #[tokio::test]
    async fn only_the_length_of_long_lines_is_kept() {
        let (longest, half) = (vec![b'x'; MAX_LINE_BYTES], vec![b'x'; MAX_LINE_BYTES / 2]);
        let blank = vec![b' '; MAX_LINE_BYTES];
        let text = |bytes: &[u8]| Line::Text(Bytes::copy_from_slice(bytes));
        let too_long = Line::TooLong(MAX_LINE_BYTES as u64 + 1);
        check(&[&longest, b"\nb"], &[text(&longest), text(b"b")]).await;
        check(&[&half, &half, b"x\nb"], &[too_long, text(b"b")]).await;
        check(&[&[&longest[..], b"x\nb"].concat()], &[Line::TooLong(MAX_LINE_BYTES as u64 + 1), text(b"b")])
            .await;
        check(&[&blank, b" \nb"], &[text(b""), text(b"b")]).await;
    }
}
