//! A compact map from strings to small values, for millions of entries.
//!
//! A key is stored as 128 bits of its SHA-256, so collisions cannot be constructed. An entry takes 16 bytes
//! plus its value, with up to an eighth of spare capacity: about 24 bytes for a line number, 28 for a size.
//! The map grows bucket by bucket and never copies the whole.

use common::digest::Digest;

/// Number of buckets; an entry's bucket is the first 16 bits of its fingerprint.
const BUCKETS: usize = 1 << 16;

pub(crate) struct DigestMap<V> {
    buckets: Vec<Vec<Entry<V>>>,
    is_empty: bool,
}

#[derive(Clone, Copy)]
struct Entry<V> {
    fingerprint: [u8; 16],
    value: V,
}

impl<V> Default for DigestMap<V> {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), is_empty: true }
    }
}

impl<V: Copy> DigestMap<V> {
    /// Inserts `value` unless `key` already has a value, which is then returned.
    pub(crate) fn insert(&mut self, key: &str, value: V) -> Option<V> {
        let (bucket, fingerprint) = locate(key);
        let bucket = &mut self.buckets[bucket];
        match search(bucket, &fingerprint) {
            Ok(index) => Some(bucket[index].value),
            Err(index) => {
                if bucket.len() == bucket.capacity() {
                    bucket.reserve_exact(bucket.len() / 8 + 2);
                }
                bucket.insert(index, Entry { fingerprint, value });
                self.is_empty = false;
                None
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(crate) fn get(&self, key: &str) -> Option<V> {
        let (bucket, fingerprint) = locate(key);
        let bucket = &self.buckets[bucket];
        search(bucket, &fingerprint).ok().map(|index| bucket[index].value)
    }
}

fn locate(key: &str) -> (usize, [u8; 16]) {
    let digest = Digest::of(key.as_bytes()).0;
    let fingerprint: [u8; 16] = std::array::from_fn(|index| digest[index]);
    (usize::from(u16::from_be_bytes([digest[0], digest[1]])), fingerprint)
}

fn search<V>(bucket: &[Entry<V>], fingerprint: &[u8; 16]) -> Result<usize, usize> {
    bucket.binary_search_by(|entry| entry.fingerprint.cmp(fingerprint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_keeps_the_first_value() {
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
    fn entries_have_the_documented_size() {
        assert_eq!((size_of::<Entry<u32>>(), size_of::<Entry<u64>>()), (20, 24));
    }
}
