//! A map from texts to small values that forgets the texts.
//!
//! Owns how millions of names are remembered: by 128 bits of their SHA-256, so that nobody can make two of
//! them meet, and a value. An entry takes 16 bytes and its value, with an eighth of room to grow: about 24
//! bytes for a line's number, 28 for a size. It grows in small steps, never by copying the whole.

use common::digest::Digest;

/// Entries are spread over this many shelves by the first 16 bits of their fingerprints.
const SHELVES: usize = 1 << 16;

/// A map from texts to values.
pub(crate) struct DigestMap<V> {
    shelves: Vec<Vec<Entry<V>>>,
}

#[derive(Clone, Copy)]
struct Entry<V> {
    fingerprint: [u8; 16],
    value: V,
}

impl<V> Default for DigestMap<V> {
    fn default() -> Self {
        Self { shelves: (0..SHELVES).map(|_| Vec::new()).collect() }
    }
}

impl<V: Copy> DigestMap<V> {
    /// Keeps `value` for `text`, unless there is one already, which is returned.
    pub(crate) fn insert(&mut self, text: &str, value: V) -> Option<V> {
        let (shelf, fingerprint) = place(text);
        let shelf = &mut self.shelves[shelf];
        match search(shelf, &fingerprint) {
            Ok(at) => Some(shelf[at].value),
            Err(at) => {
                if shelf.len() == shelf.capacity() {
                    shelf.reserve_exact(shelf.len() / 8 + 2);
                }
                shelf.insert(at, Entry { fingerprint, value });
                None
            }
        }
    }

    /// Returns the value of `text`.
    pub(crate) fn get(&self, text: &str) -> Option<V> {
        let (shelf, fingerprint) = place(text);
        let shelf = &self.shelves[shelf];
        search(shelf, &fingerprint).ok().map(|at| shelf[at].value)
    }
}

fn place(text: &str) -> (usize, [u8; 16]) {
    let digest = Digest::of(text.as_bytes()).0;
    let fingerprint: [u8; 16] = std::array::from_fn(|at| digest[at]);
    (usize::from(u16::from_be_bytes([digest[0], digest[1]])), fingerprint)
}

fn search<V>(shelf: &[Entry<V>], fingerprint: &[u8; 16]) -> Result<usize, usize> {
    shelf.binary_search_by(|entry| entry.fingerprint.cmp(fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_text_stays() {
        let mut digests = DigestMap::default();
        for number in 0..200_000_u32 {
            assert_eq!(digests.insert(&format!("thumbnails/{number}.jpg"), number), None);
        }
        for number in [0, 77, 199_999] {
            let text = format!("thumbnails/{number}.jpg");
            assert_eq!(digests.insert(&text, 1), Some(number));
            assert_eq!(digests.get(&text), Some(number));
        }
        assert_eq!(digests.get("thumbnails/200000.jpg"), None);
    }

    #[test]
    fn entries_are_as_small_as_the_documentation_says() {
        assert_eq!((size_of::<Entry<u32>>(), size_of::<Entry<u64>>()), (20, 24));
    }
}
