//! The size of a page.

use std::io;

use serde::Serialize;

/// Size of its JSON after which a page ends, whatever its limit.
const PAGE_BYTES: usize = 1 << 20;

/// Counts the JSON of a page's items. A page has at least one item, however large.
#[derive(Default)]
pub(crate) struct PageSize {
    bytes: Counter,
}

#[derive(Default)]
struct Counter(usize);

impl PageSize {
    pub(crate) fn add(&mut self, item: &impl Serialize) {
        serde_json::to_writer(&mut self.bytes, item).expect("a view is plain data");
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.0 >= PAGE_BYTES
    }
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_count() {
        let mut size = PageSize::default();
        size.add(&"\u{1}".repeat(PAGE_BYTES / 6 - 1));
        assert!(!size.is_full());
        size.add(&"1234567890");
        assert!(size.is_full());
    }
}
