//! Lines as an editor numbers them: they end with LF, CR LF or CR.

use std::ops::Range;

/// Where the lines of a text begin.
pub(crate) struct LineIndex(Vec<usize>);

impl LineIndex {
    pub(crate) fn new(text: &str) -> Self {
        Self(lines(text).map(|line| line.start).collect())
    }

    /// Returns the number of the line with this byte, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> u64 {
        self.0.partition_point(|start| *start <= offset).max(1) as u64
    }
}

/// Returns the end of the line that begins at `start`, and the start of the next one.
pub(super) fn line_end(text: &str, start: usize) -> (usize, usize) {
    let Some(length) = text[start..].find(['\r', '\n']) else { return (text.len(), text.len()) };
    let end = start + length;
    (end, end + if text[end..].starts_with("\r\n") { 2 } else { 1 })
}

/// Returns the lines without their ends. A line end at the end of the text begins no line.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        (start < text.len()).then(|| {
            let (end, next) = line_end(text, start);
            std::mem::replace(&mut start, next)..end
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_end_counts_once() {
        let text = "a\r\n\r\nb\rc\n\nd";
        let found: Vec<&str> = lines(text).map(|line| &text[line]).collect();
        assert_eq!(found, ["a", "", "b", "c", "", "d"]);
        let index = LineIndex::new(text);
        let line = |part: &str| index.line_of(text.find(part).unwrap());
        assert_eq!([line("a"), line("b"), line("c"), line("d")], [1, 3, 4, 6]);
        assert_eq!(lines("a\n").count(), 1);
        assert_eq!(LineIndex::new("").line_of(0), 1);
    }
}
