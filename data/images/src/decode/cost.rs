//! How much memory decoding an image takes.

use super::{bmp, failure::MAX_PIXELS, gif, jpeg_header, png, webp};

/// Bytes of the decoded picture, per pixel.
const RGB: u64 = 3;
/// Bytes that decoders keep besides the picture, per pixel: palette indices.
const INDEX: u64 = 1;
/// The decoded frame as RGBA (4 bytes), the decoder's planes or transforms (up to 6), and the canvas.
const WEBP: u64 = 4 + 6 + RGB;
/// Bytes of Huffman tables that a byte of lossless WebP may describe.
const WEBP_TABLES: u64 = 64;

/// Returns an upper bound of the bytes that [`decode`](super::decode) allocates, from the header of a file.
///
/// A file whose header is broken, or that is too large, is rejected before its pixels are allocated.
#[must_use]
pub fn memory_bytes(bytes: &[u8]) -> u64 {
    let file = bytes.len() as u64;
    let cost = match bytes {
        [0xff, 0xd8, 0xff, ..] => jpeg_header::frame(bytes).map(|frame| {
            let components = u64::from(frame.components);
            let pixels = u64::from(frame.width) * u64::from(frame.height);
            // CMYK is converted in place. Several scans need every coefficient, of two bytes.
            let coefficients = if frame.has_scans { 2 * components } else { 0 };
            (pixels, RGB.max(components) + coefficients, file)
        }),
        [b'G', b'I', b'F', ..] => gif::canvas(bytes).map(|canvas| (area(canvas), RGB + INDEX, 0)),
        [b'R', b'I', b'F', b'F', ..] => webp::canvas(bytes).map(|(canvas, is_lossless)| {
            (area(canvas), WEBP + RGB, if is_lossless { file * WEBP_TABLES } else { file })
        }),
        _ if bytes.starts_with(png::SIGNATURE) => png::size(bytes).map(|size| (area(size), RGB, 0)),
        _ => bmp::size(bytes).map(|size| (area(size), RGB + INDEX, 0)),
    };
    match cost {
        Some((pixels, per_pixel, more)) if pixels <= MAX_PIXELS => pixels * per_pixel + more,
        _ => 0,
    }
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_follow_the_header() {
        let header = b"IHDR\0\0\x1b\xa0\0\0\x1b\x98\x10\x06\0\0\0";
        let mut checksum = flate2::Crc::new();
        checksum.update(header);
        let checksum = checksum.sum().to_be_bytes();
        let png = [png::SIGNATURE, b"\0\0\0\x0d", header, &checksum, b"\0\0\0\0IDAT"].concat();
        assert_eq!(memory_bytes(&png), 7072 * 7064 * 3, "16 bits are reduced row by row");
        let frame = |marker: u8, components: u8| {
            let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0, 0xff, marker, 0, 8, 8, 0, 100, 0, 200];
            jpeg.extend([components, 0xff, 0xda, 0, 3, components]);
            memory_bytes(&jpeg) - jpeg.len() as u64
        };
        assert_eq!(frame(0xc0, 3), 200 * 100 * 3);
        assert_eq!(frame(0xc0, 1), 200 * 100 * 3);
        assert_eq!(frame(0xc2, 3), 200 * 100 * (3 + 6));
        assert_eq!(frame(0xc2, 4), 200 * 100 * (4 + 8));
        assert_eq!(memory_bytes(b"GIF89a\x64\0\xc8\0"), 0, "it has no frame");
        assert_eq!(memory_bytes(b""), 0);
    }
}
