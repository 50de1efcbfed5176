//! A file's lines, one after another.
//!
//! Owns the bound on a line: a longer one is counted, never held.

use bytes::{Bytes, BytesMut};

use crate::files::{Content, ReadError};

/// Longest line that is held.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// The lines of a file.
pub(super) struct Lines {
    content: Content,
    /// What of the last piece is not looked at yet.
    piece: Bytes,
}

/// One line, without its end.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Line {
    Text(Bytes),
    /// It has this many bytes, and not all of them are blank.
    TooLong(u64),
}

impl Line {
    /// Returns its text; none where it was too long to be held.
    pub(super) fn into_text(self) -> Bytes {
        match self {
            Self::Text(text) => text,
            Self::TooLong(_) => Bytes::new(),
        }
    }
}

impl Lines {
    pub(super) fn of(content: Content) -> Self {
        Self { content, piece: Bytes::new() }
    }

    /// Returns the next line; nothing at the end. Not cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, ReadError> {
        let mut line = Growing::default();
        loop {
            if let Some(end) = self.piece.iter().position(|byte| *byte == b'\n') {
                let last = self.piece.split_to(end + 1).slice(..end);
                return Ok(Some(line.ended_by(last)));
            }
            line.add(&self.piece);
            match self.content.next_piece().await? {
                Some(piece) => self.piece = piece,
                None => {
                    self.piece = Bytes::new();
                    return Ok((line.bytes > 0).then(|| line.ended_by(Bytes::new())));
                }
            }
        }
    }
}

/// A line whose end is in a later piece.
#[derive(Default)]
struct Growing {
    held: BytesMut,
    bytes: u64,
    has_text: bool,
}

impl Growing {
    fn add(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.has_text |= !part.trim_ascii().is_empty();
        let room = MAX_LINE_BYTES.saturating_sub(self.held.len());
        self.held.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn ended_by(mut self, last: Bytes) -> Line {
        if self.bytes == 0 && last.len() <= MAX_LINE_BYTES {
            return Line::Text(last);
        }
        self.add(&last);
        match self.bytes {
            bytes if bytes <= MAX_LINE_BYTES as u64 => Line::Text(self.held.freeze()),
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

    async fn check(pieces: &[&[u8]], want: &[Line]) {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut lines = Lines::of(Content::of_stream("x", 1 << 20, stream::iter(pieces)));
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        assert_eq!(found, want);
    }

    #[tokio::test]
    async fn lines_do_not_depend_on_where_pieces_end() {
        let text = |text: &'static str| Line::Text(Bytes::from_static(text.as_bytes()));
        check(&[], &[]).await;
        check(&[b"a\n", b"", b"\nbc"], &[text("a"), text(""), text("bc")]).await;
        check(&[b"a", b"b", b"c\nd", b"\n"], &[text("abc"), text("d")]).await;
        check(&[b"ab\ncd\n"], &[text("ab"), text("cd")]).await;
    }

    #[tokio::test]
    async fn long_lines_are_counted_and_not_held() {
        let (most, half) = (vec![b'x'; MAX_LINE_BYTES], vec![b'x'; MAX_LINE_BYTES / 2]);
        let blank = vec![b' '; MAX_LINE_BYTES];
        let text = |bytes: &[u8]| Line::Text(Bytes::copy_from_slice(bytes));
        let too_long = Line::TooLong(MAX_LINE_BYTES as u64 + 1);
        check(&[&most, b"\nb"], &[text(&most), text(b"b")]).await;
        check(&[&half, &half, b"x\nb"], &[too_long, text(b"b")]).await;
        check(&[&[&most[..], b"x\nb"].concat()], &[Line::TooLong(MAX_LINE_BYTES as u64 + 1), text(b"b")])
            .await;
        check(&[&blank, b" \nb"], &[text(b""), text(b"b")]).await;
    }
}
