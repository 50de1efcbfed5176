//! Decompresses response bodies up to a size limit.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::{Response, header::CONTENT_ENCODING};
use url::Url;

use super::WebError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentEncoding {
    Identity,
    /// The only encoding that requests accept.
    Gzip,
}

pub(super) fn content_encoding(url: &Url, response: &Response) -> Result<ContentEncoding, WebError> {
    let header = response.headers().get(CONTENT_ENCODING);
    match header.map_or("", |value| value.to_str().unwrap_or("?")).trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(ContentEncoding::Identity),
        "gzip" | "x-gzip" => Ok(ContentEncoding::Gzip),
        other => Err(WebError::Malformed(format!("{url} has the unsupported content encoding '{other}'"))),
    }
}

pub(super) fn decompress(
    url: &Url,
    encoding: ContentEncoding,
    bytes: Vec<u8>,
    max_bytes: u64,
) -> Result<Vec<u8>, WebError> {
    // A response without a body, such as a 304, may still have a Content-Encoding.
    if encoding == ContentEncoding::Identity || bytes.is_empty() {
        return Ok(bytes);
    }
    let mut decompressed = Vec::new();
    let read = MultiGzDecoder::new(bytes.as_slice()).take(max_bytes + 1).read_to_end(&mut decompressed);
    if decompressed.len() as u64 > max_bytes {
        return Err(WebError::TooLarge(format!("{url} exceeds {max_bytes} bytes when decompressed")));
    }
    match read {
        Ok(_) => Ok(decompressed),
        Err(error) => Err(WebError::Malformed(format!("{url} could not be decompressed: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn decompression_stops_at_the_size_limit() {
        let url = Url::parse("http://example.org/a").unwrap();
        let decompress = |bytes: Vec<u8>| decompress(&url, ContentEncoding::Gzip, bytes, 1000);
        assert_eq!(decompress(gzip(b"hello")).unwrap(), b"hello");
        assert_eq!(decompress([gzip(b"hel"), gzip(b"lo")].concat()).unwrap(), b"hello");
        assert_eq!(decompress(gzip(&[7; 1000])).unwrap(), [7; 1000]);
        assert_eq!(decompress(Vec::new()).unwrap(), b"");
        for bomb in [gzip(&[0; 1001]), gzip(&vec![0; 100 << 20])] {
            let error = decompress(bomb).unwrap_err();
            assert!(matches!(&error, WebError::TooLarge(_)), "{error}");
            assert!(error.to_string().starts_with("http://example.org/a exceeds 1000 bytes"), "{error}");
        }
        let mut cut = gzip(b"hello");
        cut.truncate(12);
        for broken in [cut, b"hello".to_vec(), [gzip(b"hello"), b"and more".to_vec()].concat()] {
            assert!(matches!(decompress(broken).unwrap_err(), WebError::Malformed(_)));
        }
    }
}
