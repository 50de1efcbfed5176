//! Tests of decoding. `tests/tests/integration/odd_images/` compares many more files with Pillow.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use turbojpeg::{Image, PixelFormat};

use super::*;

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(width: usize, height: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
    let image =
        Image { pixels: pixels.as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
}

#[test]
fn lossless_formats_keep_their_pixels() {
    let rgb = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 50, y as u8 * 80, 7]));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let picture = decode(&encode(&rgb.clone().into(), format)).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.rgb),
            (5, 3, rgb.clone().into_raw()),
            "{format:?}"
        );
    }
}

#[test]
fn alpha_is_dropped_and_not_composited() {
    let rgba = RgbaImage::from_pixel(2, 1, image::Rgba([200, 100, 50, 0]));
    assert_eq!(decode(&encode(&rgba.into(), ImageFormat::Png)).unwrap().rgb, [200, 100, 50, 200, 100, 50]);
}

#[test]
fn bad_bytes_fail_with_their_reason() {
    let check = |bytes: &[u8], reason: FailureReason, detail: &str| {
        let failure = decode(bytes).unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(detail), "{failure}");
    };
    check(b"", FailureReason::Empty, "0 bytes");
    check(b"<!doctype html>", FailureReason::Undecodable, "it starts with 3c 21 64 6f");
    check(b"\xff\xd8\xff", FailureReason::Undecodable, "JPEG");
    let whole = jpeg(64, 64);
    check(&whole[..whole.len() / 2], FailureReason::Undecodable, "cut off");
    let png = encode(&RgbImage::new(64, 64).into(), ImageFormat::Png);
    check(&png[..png.len() / 2], FailureReason::Undecodable, "PNG");
}

/// A grey progressive JPEG whose scans after the first one are some bytes each: runs of empty blocks.
fn jpeg_of_scans(width: u16, height: u16, scans: usize) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    };
    // A Huffman table of one code, the bit 0.
    let table = |class: u8, symbol: u8| segment(0xc4, &[&[class, 1], &[0; 15][..], &[symbol]].concat());
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let mut jpeg = vec![0xff, 0xd8];
    jpeg.extend(segment(0xdb, &[&[0], &[1; 64][..]].concat()));
    jpeg.extend(segment(0xc2, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]));
    // The difference 0 for DC, and for AC a run of 2^14 empty blocks and as many as the next 14 bits say.
    jpeg.extend([table(0, 0), table(0x10, 0xe0)].concat());
    jpeg.extend(segment(0xda, &[1, 1, 0, 0, 0, 0]));
    jpeg.resize(jpeg.len() + blocks.div_ceil(8), 0);
    for _ in 1..scans {
        jpeg.extend(segment(0xda, &[1, 1, 0, 1, 63, 0]));
        jpeg.resize(jpeg.len() + (blocks.div_ceil(1 << 14) * 15).div_ceil(8), 0);
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

#[test]
fn jpeg_of_too_many_scans_for_its_pixels_is_rejected() {
    let bomb = jpeg_of_scans(7072, 7064, 490);
    assert!(bomb.len() < 150_000, "{}", bomb.len());
    let failure = decode(&bomb).unwrap_err();
    assert_eq!(failure.reason, FailureReason::TooLarge, "{failure}");
    assert!(failure.detail.contains("7072×7064 and has more than 20 scans"), "{failure}");
    // As many scans as encoders write, in a picture of any size, and more in a small one.
    assert_eq!(decode(&jpeg_of_scans(7072, 7064, 12)).unwrap().width, 7072);
    assert_eq!(decode(&jpeg_of_scans(640, 480, 490)).unwrap().rgb, [128].repeat(640 * 480 * 3));
    assert!(decode(&jpeg_of_scans(640, 480, 501)).is_err());
}

#[test]
fn decompression_bomb_is_rejected_before_it_is_decoded() {
    let mut bytes = jpeg(64, 64);
    // Height and width follow the length and precision of the SOF0 segment.
    let sof = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[sof + 5..sof + 9].copy_from_slice(&[0x80, 0x00, 0x80, 0x00]);
    assert_eq!(decode(&bytes).unwrap_err().reason, FailureReason::TooLarge);
}

/// Removes the segments with `marker` from a JPEG's header.
fn without_segments(jpeg: &[u8], marker: u8) -> Vec<u8> {
    let (mut stripped, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != 0xda {
        let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != marker {
            stripped.extend_from_slice(segment);
        }
        rest = after;
    }
    [&stripped, rest].concat()
}

/// Inserts bytes behind the JFIF segment of a JPEG.
fn with_inserted(jpeg: &[u8], inserted: &[u8]) -> Vec<u8> {
    const JFIF_END: usize = 2 + 18;
    [&jpeg[..JFIF_END], inserted, &jpeg[JFIF_END..]].concat()
}

#[test]
fn jpeg_header_with_junk_and_metadata_does_not_matter() {
    let plain = jpeg(64, 64);
    let expected = decode(&plain).unwrap();
    for inserted in [
        &b"junk"[..],
        b"\xff\xff\xff",
        b"a\xff\x00b",
        b"\xff\xe0\x00\x10JFIF\x00\x09\x09\x00\x00\x01\x00\x01\x00\x00",
        b"\xff\xe2\x00\x12ICC_PROFILE\x00\x09\x01xx",
        b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x09",
    ] {
        let odd = with_inserted(&plain, inserted);
        assert_eq!(decode(&odd).unwrap(), expected, "{}", inserted.escape_ascii());
        assert_eq!(jpeg_size(&odd), Ok((64, 64)), "{}", inserted.escape_ascii());
    }
}

#[test]
fn cut_jpeg_is_rejected_even_if_its_first_warning_is_harmless() {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let pixels: Vec<u8> = (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let image = Image { pixels: &pixels[..], width: 64, pitch: 64 * 3, height: 64, format: PixelFormat::RGB };
    let mut file = compressor.compress_to_vec(image).unwrap();
    let expected = decode(&file).unwrap();
    // Junk before the segment behind the first scan.
    let scan = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let segment = scan + file[scan..].windows(2).position(|pair| pair == [0xff, 0xc4]).unwrap();
    file.insert(segment, 0x5a);
    assert_eq!(decode(&file).unwrap(), expected);
    for length in [segment + 200, file.len() - 2] {
        let failure = decode(&file[..length]).unwrap_err();
        assert!(failure.detail.contains("cut off"), "{failure}");
    }
}

#[test]
fn png_may_end_behind_its_pixels() {
    const END_CHUNK: usize = 12;
    let whole = encode(&RgbImage::from_pixel(9, 7, image::Rgb([1, 2, 3])).into(), ImageFormat::Png);
    let without_end = &whole[..whole.len() - END_CHUNK];
    assert_eq!(decode(without_end).unwrap(), decode(&whole).unwrap());
}

#[test]
fn jpeg_tables_do_not_leak_into_the_next_decode() {
    const HUFFMAN_TABLES: u8 = 0xc4;
    const QUANTISATION_TABLES: u8 = 0xdb;
    let with_standard_tables = jpeg(64, 64);
    let expected = decode(&with_standard_tables).unwrap();
    let without_huffman = without_segments(&with_standard_tables, HUFFMAN_TABLES);
    let without_quantisation = without_segments(&with_standard_tables, QUANTISATION_TABLES);
    assert!(without_huffman.len() < with_standard_tables.len());
    assert!(without_quantisation.len() < with_standard_tables.len());

    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(30).unwrap();
    compressor.set_optimize(true).unwrap();
    let (pixels, format) = (&[200, 10, 90].repeat(16 * 16)[..], PixelFormat::RGB);
    let image = Image { pixels, width: 16, pitch: 16 * 3, height: 16, format };
    let with_other_tables = compressor.compress_to_vec(image).unwrap();

    for _ in 0..2 {
        decode(&with_other_tables).unwrap();
        let picture = decode(&without_huffman).unwrap();
        assert!(picture == expected, "missing Huffman tables are the standard ones");
        decode(&with_other_tables).unwrap();
        let failure = decode(&without_quantisation).unwrap_err();
        assert_eq!(failure.reason, FailureReason::Undecodable);
        assert!(failure.detail.contains("Quantization table 0x00 was not defined"), "{failure}");
    }
}

#[test]
fn failed_decode_does_not_affect_the_next() {
    let whole = jpeg(64, 64);
    let before = decode(&whole).unwrap();
    assert!(decode(&whole[..100]).is_err());
    assert_eq!(decode(&whole).unwrap(), before);
}
