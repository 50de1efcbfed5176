//! Unpacking bodies, never to more bytes than allowed.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::{Response, header::CONTENT_ENCODING};
use url::Url;

use super::WebError;

/// How a body was packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// With gzip, which is all that we say we take.
    Gzip,
}

/// Returns how the body of an answer is packed.
pub(super) fn packing(url: &Url, answer: &Response) -> Result<Packing, WebError> {
    let named = answer.headers().get(CONTENT_ENCODING);
    match named.map_or("", |value| value.to_str().unwrap_or("?")).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Packing::Plain),
        "gzip" | "x-gzip" => Ok(Packing::Gzip),
        other => Err(WebError::Malformed(format!("{url} is packed as '{other}', which was not asked for"))),
    }
}

/// Unpacks a body of at most `max_bytes`.
pub(super) fn unpack(
    url: &Url,
    packing: Packing,
    bytes: Vec<u8>,
    max_bytes: u64,
) -> Result<Vec<u8>, WebError> {
    // Answers without a body, such as 304, may say how it would be packed.
    if packing == Packing::Plain || bytes.is_empty() {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes.as_slice()).take(max_bytes + 1).read_to_end(&mut unpacked);
    if unpacked.len() as u64 > max_bytes {
        return Err(WebError::TooLarge(format!("{url} unpacks to more than the allowed {max_bytes} bytes")));
    }
    match read {
        Ok(_) => Ok(unpacked),
        Err(error) => Err(WebError::Malformed(format!("{url} does not unpack: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn what_unpacks_has_a_limit() {
        let url = Url::parse("http://example.org/a").unwrap();
        let unpack = |bytes: Vec<u8>| unpack(&url, Packing::Gzip, bytes, 1000);
        assert_eq!(unpack(packed(b"hello")).unwrap(), b"hello");
        assert_eq!(unpack([packed(b"hel"), packed(b"lo")].concat()).unwrap(), b"hello");
        assert_eq!(unpack(packed(&[7; 1000])).unwrap(), [7; 1000]);
        assert_eq!(unpack(Vec::new()).unwrap(), b"");
        for bomb in [packed(&[0; 1001]), packed(&vec![0; 100 << 20])] {
            let error = unpack(bomb).unwrap_err();
            assert!(matches!(&error, WebError::TooLarge(_)), "{error}");
            assert!(error.to_string().starts_with("http://example.org/a unpacks to more than"), "{error}");
        }
        let mut cut = packed(b"hello");
        cut.truncate(12);
        for broken in [cut, b"hello".to_vec(), [packed(b"hello"), b"and more".to_vec()].concat()] {
            assert!(matches!(unpack(broken).unwrap_err(), WebError::Malformed(_)));
        }
    }
}
