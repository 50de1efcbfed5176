//! Decodes image files to RGB pixels, like Pillow's `Image.open(…).convert("RGB")`.
//!
//! The decoder is chosen by magic bytes: JPEG goes through libjpeg-turbo, statically linked so that every
//! machine decodes the same pixels; all other formats go through the `image` crate. EXIF orientation is
//! ignored, as in torchvision's loader. Invariants: the same bytes give the same pixels, whatever was decoded
//! before; an image over the size limit is rejected before its pixels are decoded; no input causes a panic.

use std::{borrow::Cow, io::Cursor};

use common::job::outcome::{FailureReason, ItemFailure};
use image::{DynamicImage, ImageError, ImageReader, Limits};
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

use crate::picture::Picture;

/// Extensions of image files, in lower case.
pub const FILE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp"];
/// Maximum pixels an image header may declare.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Maximum width and height in pixels.
const MAX_SIDE: u32 = 65_535;
/// A progressive JPEG with more scans is rejected as a decompression bomb.
const MAX_SCANS: u32 = 500;

/// Decodes an image; of an animation, the first frame.
///
/// # Errors
/// `Empty`, `Undecodable` or `TooLarge`.
pub fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    if bytes.is_empty() {
        return Err(ItemFailure::new(FailureReason::Empty, "the file has 0 bytes"));
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) { decode_jpeg(bytes) } else { decode_other(bytes) }
}

/// Decodes a JPEG with a new decompressor, which takes under a microsecond to create. A reused one keeps the
/// Huffman and quantisation tables of its last JPEG and applies them to a JPEG without tables (a frame of
/// Motion JPEG), instead of the standard ones.
fn decode_jpeg(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let mut decompressor = new_decompressor().map_err(|error| undecodable("JPEG", &error))?;
    let header = decompressor.read_header(bytes).map_err(|error| match error {
        // turbojpeg's error for a file that ends before its dimensions.
        turbojpeg::Error::IntegerOverflow(_) => undecodable("JPEG", &"the header is incomplete"),
        error => undecodable("JPEG", &error),
    })?;
    let (width, height) = (header.width, header.height);
    require_size(width as u64, height as u64)?;
    let is_cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let (format, channels) = if is_cmyk { (PixelFormat::CMYK, 4) } else { (PixelFormat::RGB, 3) };
    let mut pixels = vec![0; width * height * channels];
    let image = Image { pixels: pixels.as_mut_slice(), width, pitch: width * channels, height, format };
    match decompressor.decompress(bytes, image) {
        Ok(()) => {}
        // libjpeg reports damaged data as a warning and continues; so does Pillow, unless the file is truncated.
        Err(turbojpeg::Error::TurboJpegError(message)) if is_damage_warning(&message) => {}
        Err(error) => return Err(undecodable("JPEG", &error)),
    }
    let rgb = if is_cmyk { cmyk_to_rgb(&pixels, has_adobe_marker(bytes)) } else { pixels };
    Ok(Picture { width: width as u32, height: height as u32, rgb })
}

/// Reads width and height from a JPEG's header. The rest of the file is not checked.
///
/// # Errors
/// When the header cannot be parsed; the text is libjpeg-turbo's.
pub fn jpeg_size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let header = turbojpeg::read_header(bytes).map_err(|error| error.to_string())?;
    // JPEG stores both as 16 bits.
    Ok((header.width as u32, header.height as u32))
}

fn new_decompressor() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(MAX_SCANS)?;
    Ok(decompressor)
}

/// Whether libjpeg's message is a warning about data that is damaged, but not truncated.
fn is_damage_warning(message: &str) -> bool {
    const WARNINGS: [&str; 4] = [
        "Corrupt JPEG data: ",
        "Invalid SOS parameters for sequential JPEG",
        "Inconsistent progression sequence",
        "Unknown Adobe color transform code",
    ];
    let truncated = message.contains("premature end of data segment") || message.contains("Premature end");
    !truncated && WARNINGS.iter().any(|warning| message.contains(warning))
}

/// Converts CMYK to RGB with the integer arithmetic of Pillow's `cmyk2rgb`. Adobe JPEGs store CMYK inverted.
fn cmyk_to_rgb(cmyk: &[u8], is_adobe: bool) -> Vec<u8> {
    let read = |ink: u8| u32::from(if is_adobe { 255 - ink } else { ink });
    let multiply = |a: u32, b: u32| {
        let product = a * b + 128;
        ((product >> 8) + product) >> 8
    };
    cmyk.as_chunks::<4>()
        .0
        .iter()
        .flat_map(|[cyan, magenta, yellow, black]| {
            let white = 255 - read(*black);
            [*cyan, *magenta, *yellow].map(|ink| white.saturating_sub(multiply(read(ink), white)) as u8)
        })
        .collect()
}

/// Whether a JPEG has Adobe's APP14 segment.
fn has_adobe_marker(bytes: &[u8]) -> bool {
    let mut offset = 2;
    while let Some(&[0xff, marker, high, low]) =
        bytes.get(offset..offset + 4).and_then(|s| s.first_chunk::<4>())
    {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            0xee => return bytes.get(offset + 4..).is_some_and(|segment| segment.starts_with(b"Adobe")),
            0xda => return false,
            _ => offset += 2 + length,
        }
    }
    false
}

fn decode_other(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let bytes = &*without_first_frame_blending(bytes);
    let reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("reading from memory cannot fail");
    let Some(format) = reader.format() else {
        let detail =
            format!("the file is not a JPEG, PNG, WebP, GIF or BMP; it starts with {}", first_bytes(bytes));
        return Err(ItemFailure::new(FailureReason::Undecodable, detail));
    };
    let name = format!("{format:?}").to_uppercase();
    let failed = |error: ImageError| match error {
        ImageError::Limits(limit) => ItemFailure::new(FailureReason::TooLarge, format!("{name}: {limit}")),
        error => undecodable(&name, &error),
    };
    let (width, height) =
        ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(failed)?;
    require_size(u64::from(width), u64::from(height))?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8 * 2);
    reader.limits(limits);
    let decoded = reader.decode().map_err(failed)?;
    Ok(Picture { width, height, rgb: to_rgb(decoded) })
}

/// Sets "do not blend" on the first frame of an animated WebP, so that transparent pixels keep their colours,
/// as in libwebp.
fn without_first_frame_blending(bytes: &[u8]) -> Cow<'_, [u8]> {
    /// Chunks start after `RIFF`, a length and `WEBP`; the flags are the last of a frame header's 16 bytes.
    const FIRST_CHUNK: usize = 12;
    const CHUNK_HEADER: usize = 8;
    const FLAGS: usize = 15;
    const DO_NOT_BLEND: u8 = 0b10;
    if !bytes.starts_with(b"RIFF") {
        return Cow::Borrowed(bytes);
    }
    let mut offset = FIRST_CHUNK;
    while let Some((header, _)) =
        bytes.get(offset..).and_then(|rest| rest.split_first_chunk::<CHUNK_HEADER>())
    {
        let (name, length) = header.split_at(4);
        if name == b"ANMF" {
            let mut bytes = bytes.to_vec();
            if let Some(flags) = bytes.get_mut(offset + CHUNK_HEADER + FLAGS) {
                *flags |= DO_NOT_BLEND;
            }
            return Cow::Owned(bytes);
        }
        let length = length.try_into().map_or(0, u32::from_le_bytes) as usize;
        offset += CHUNK_HEADER + length.next_multiple_of(2);
    }
    Cow::Borrowed(bytes)
}

/// Converts to 8-bit RGB as Pillow does: alpha is dropped without compositing, 16-bit colours keep their high
/// byte, and 16-bit grey (mode `I;16`) is clipped at 255.
fn to_rgb(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageLuma16(grey) => {
            grey.iter().flat_map(|value| [(*value).min(255) as u8; 3]).collect()
        }
        DynamicImage::ImageRgb16(rgb) => rgb.iter().map(|value| (value >> 8) as u8).collect(),
        DynamicImage::ImageRgba16(rgba) => rgba
            .pixels()
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]].map(|value| (value >> 8) as u8))
            .collect(),
        DynamicImage::ImageLumaA16(grey) => {
            grey.pixels().flat_map(|pixel| [(pixel[0] >> 8) as u8; 3]).collect()
        }
        DynamicImage::ImageRgba8(rgba) => {
            rgba.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
        }
        DynamicImage::ImageLumaA8(grey) => grey.pixels().flat_map(|pixel| [pixel[0]; 3]).collect(),
        other => other.into_rgb8().into_raw(),
    }
}

fn require_size(width: u64, height: u64) -> Result<(), ItemFailure> {
    if width == 0 || height == 0 {
        return Err(ItemFailure::new(FailureReason::Undecodable, format!("the image is {width}×{height}")));
    }
    if width * height > MAX_PIXELS || width.max(height) > u64::from(MAX_SIDE) {
        let detail =
            format!("the image is {width}×{height}, over the limit of {} megapixels", MAX_PIXELS / 1_000_000);
        return Err(ItemFailure::new(FailureReason::TooLarge, detail));
    }
    Ok(())
}

fn undecodable(format: &str, error: &dyn std::fmt::Display) -> ItemFailure {
    ItemFailure::new(FailureReason::Undecodable, format!("the {format} cannot be decoded: {error}"))
}

fn first_bytes(bytes: &[u8]) -> String {
    bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, RgbImage, RgbaImage};

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
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
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
        assert_eq!(
            decode(&encode(&rgba.into(), ImageFormat::Png)).unwrap().rgb,
            [200, 100, 50, 200, 100, 50]
        );
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
        check(&whole[..whole.len() / 2], FailureReason::Undecodable, "remature end");
        let png = encode(&RgbImage::new(64, 64).into(), ImageFormat::Png);
        check(&png[..png.len() / 2], FailureReason::Undecodable, "PNG");
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
}
