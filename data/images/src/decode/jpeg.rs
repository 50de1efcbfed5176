//! JPEG, through libjpeg-turbo.
//!
//! libjpeg-turbo is given a copy of the file with two changes. Its header has only what decides the pixels
//! (`jpeg_header.rs`), since TurboJPEG refuses a file whose header causes a warning. And it is followed by
//! start markers, which are a fatal error where libjpeg expects more of the file: TurboJPEG reports only the
//! first warning, which may be a harmless one, and fills what is missing with grey.

use common::job::outcome::{FailureReason, ItemFailure};
use turbojpeg::{Colorspace, Decompressor, Error, Image, PixelFormat};

use super::{
    failure::{require_size, undecodable},
    jpeg_header,
};
use crate::picture::Picture;

/// Pixels of a JPEG times its scans: each scan visits every pixel, whatever its bytes say. Encoders write up to 12
/// scans (libjpeg 10, MozJPEG 12), and 50 megapixels may have 20. A JPEG with more is rejected as a decompression bomb.
const MAX_SCANNED_PIXELS: u64 = 1_000_000_000;
/// Scans of a small JPEG.
const MAX_SCANS: u64 = 500;
/// Start markers behind the file; longer than the longest segment, which may swallow them.
static SENTINEL: [[u8; 2]; 0x8001] = [[0xff, 0xd8]; 0x8001];
/// In libjpeg's message about the limit.
const TOO_MANY_SCANS: &str = "image has more than";
const END_MARKER: [u8; 2] = [0xff, 0xd9];

/// Decodes with a new decompressor, which takes under a microsecond to create. A reused one keeps the Huffman
/// and quantisation tables of its last JPEG and applies them to a JPEG without tables (a frame of Motion
/// JPEG), instead of the standard ones.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let mut file = jpeg_header::plain(bytes).map_err(|error| undecodable("JPEG", &error))?;
    file.extend_from_slice(SENTINEL.as_flattened());
    let failed = |error: Error| undecodable("JPEG", &explain(bytes, error));
    let mut decompressor = Decompressor::new().map_err(failed)?;
    let header = decompressor.read_header(&file).map_err(failed)?;
    let (width, height) = (header.width, header.height);
    require_size(width as u64, height as u64)?;
    let max_scans = (MAX_SCANNED_PIXELS / (width * height) as u64).clamp(1, MAX_SCANS);
    decompressor.set_scan_limit(max_scans as u32).map_err(failed)?;
    let is_cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let (format, channels) = if is_cmyk { (PixelFormat::CMYK, 4) } else { (PixelFormat::RGB, 3) };
    let mut pixels = vec![0; width * height * channels];
    let image = Image { pixels: pixels.as_mut_slice(), width, pitch: width * channels, height, format };
    match decompressor.decompress(&file, image) {
        Ok(()) => {}
        // libjpeg reports damaged data as a warning and continues; so does Pillow.
        Err(Error::TurboJpegError(message)) if is_damage_warning(&message) => {}
        Err(Error::TurboJpegError(message)) if message.contains(TOO_MANY_SCANS) => {
            let detail =
                format!("the JPEG is {width}×{height} and has more than {max_scans} scans, the limit");
            return Err(ItemFailure::new(FailureReason::TooLarge, detail));
        }
        Err(error) => return Err(failed(error)),
    }
    let rgb = if is_cmyk { cmyk_to_rgb(pixels) } else { pixels };
    Ok(Picture { width: width as u32, height: height as u32, rgb })
}

/// Reads width and height from a JPEG's header. The rest of the file is not checked.
///
/// # Errors
/// When the header cannot be parsed.
pub fn jpeg_size(bytes: &[u8]) -> Result<(u32, u32), String> {
    let file = jpeg_header::plain(bytes)?;
    let header = turbojpeg::read_header(&file).map_err(|error| error.to_string())?;
    // JPEG stores both as 16 bits.
    Ok((header.width as u32, header.height as u32))
}

/// Whether libjpeg's message is a warning. An error that follows a warning replaces its message.
fn is_damage_warning(message: &str) -> bool {
    const WARNINGS: [&str; 4] = [
        "Corrupt JPEG data: ",
        "Invalid SOS parameters for sequential JPEG",
        "Inconsistent progression sequence",
        "Warning: unknown JFIF revision number",
    ];
    WARNINGS.iter().any(|warning| message.contains(warning))
}

/// Says that a file is cut off where libjpeg ran into the sentinel.
fn explain(bytes: &[u8], error: Error) -> String {
    let met_sentinel = error.to_string().contains("two SOI markers");
    if met_sentinel || !bytes.windows(2).any(|pair| pair == END_MARKER) {
        return "the file is cut off: it ends before its end marker".to_owned();
    }
    match error {
        Error::TurboJpegError(message) => message,
        error => error.to_string(),
    }
}

/// Converts CMYK to RGB, in place, with the integer arithmetic of Pillow's `cmyk2rgb`. Like Pillow, takes all CMYK as
/// inverted, which is how Adobe's programs store it: the programs that leave out Adobe's marker do so as well.
fn cmyk_to_rgb(mut pixels: Vec<u8>) -> Vec<u8> {
    let read = |ink: u8| u32::from(255 - ink);
    let multiply = |a: u32, b: u32| {
        let product = a * b + 128;
        ((product >> 8) + product) >> 8
    };
    for index in 0..pixels.len() / 4 {
        let white = 255 - read(pixels[index * 4 + 3]);
        for channel in 0..3 {
            let ink = read(pixels[index * 4 + channel]);
            pixels[index * 3 + channel] = white.saturating_sub(multiply(ink, white)) as u8;
        }
    }
    pixels.truncate(pixels.len() / 4 * 3);
    pixels
}
