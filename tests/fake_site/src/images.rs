//! Thumbnails in all variants, the placeholder and faulty files.
//!
//! Images are generated on request; `image_cache` keeps the newest. Invariant: the same video and variant
//! have the same bytes and ETag.

use bytes::Bytes;
use image::{
    Delay, Frame, RgbaImage,
    codecs::gif::{GifEncoder, Repeat},
};
use turbojpeg::{Image, PixelFormat, Subsamp};

use super::{
    channel::{MissingResponse, Video},
    exchange::{SiteRequest, SiteResponse},
    faults::Fault,
    picture::{Appearance, letterbox},
    site::Site,
    tokens::fingerprint,
};

const JPEG_QUALITY: i32 = 80;

/// A thumbnail size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Variant {
    pub(super) file: &'static str,
    /// Its name in the Data API, or empty.
    pub(super) api_name: &'static str,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Variant {
    pub(super) const ALL: [Self; 6] = [
        Self { file: "default", api_name: "default", width: 120, height: 90 },
        Self { file: "mqdefault", api_name: "medium", width: 320, height: 180 },
        Self { file: "hqdefault", api_name: "high", width: 480, height: 360 },
        Self { file: "sddefault", api_name: "standard", width: 640, height: 480 },
        Self { file: "maxresdefault", api_name: "maxres", width: 1280, height: 720 },
        Self { file: "hq720", api_name: "", width: 1280, height: 720 },
    ];

    pub(super) fn exists_for(&self, video: &Video) -> bool {
        match self.file {
            "maxresdefault" | "hq720" => video.has_maxres,
            "sddefault" => video.has_sd,
            _ => true,
        }
    }

    fn encode(&self, look: &Appearance) -> Bytes {
        // All scenes are 16:9; 4:3 variants are letterboxed.
        let scene = look.paint(self.width, self.width * 9 / 16);
        let rgb = letterbox(&scene, self.width, self.height);
        jpeg(&rgb, self.width, self.height)
    }
}

/// Returns the file at `/vi/{id}/{file}.jpg`.
pub(super) fn answer(site: &Site, request: &SiteRequest, fault: Option<Fault>) -> SiteResponse {
    let found = request.path.strip_prefix("/vi/").and_then(|rest| {
        let (id, file) = rest.split_once('/')?;
        let file = file.strip_suffix(".jpg")?;
        let variant = Variant::ALL.into_iter().find(|variant| variant.file == file)?;
        Some((site.content.video(id)?.1, variant))
    });
    let Some((video, variant)) = found.filter(|_| fault != Some(Fault::NotFound)) else {
        return placeholder(404);
    };
    if !variant.exists_for(video) {
        return placeholder(if video.missing == MissingResponse::Ok { 200 } else { 404 });
    }
    let file = site.image_cache.get(&request.path, || variant.encode(&video.look));
    let file = match fault {
        Some(Fault::AnimatedImage) => animation(),
        Some(Fault::OversizedImage) => oversized(&file),
        Some(Fault::LongImage(more)) => Bytes::from([&file[..], &vec![0; more]].concat()),
        Some(Fault::NotAnImage) => Bytes::from_static(b"<!DOCTYPE html><html><body>Sorry!</body></html>"),
        _ => file,
    };
    let tag = fingerprint(&file);
    SiteResponse::jpeg(200, file).with("cache-control", "public, max-age=7200").tagged(&tag, request)
}

/// Returns the placeholder for missing variants.
fn placeholder(status: u16) -> SiteResponse {
    let (width, height) = (120, 90);
    let mut grey = vec![0x99; width * height * 3];
    // Three lighter dots in the middle.
    for row in 40..50 {
        for dot in [40, 55, 70] {
            let from = (row * width + dot) * 3;
            grey[from..from + 30].fill(0xcc);
        }
    }
    SiteResponse::jpeg(status, jpeg(&grey, width, height)).with("cache-control", "public, max-age=300")
}

fn jpeg(rgb: &[u8], width: usize, height: usize) -> Bytes {
    let image = Image { pixels: rgb, width, pitch: width * 3, height, format: PixelFormat::RGB };
    let encoded = turbojpeg::compress(image, JPEG_QUALITY, Subsamp::Sub2x2).expect("RGB of this size fits");
    Bytes::copy_from_slice(&encoded)
}

/// A GIF of two frames.
fn animation() -> Bytes {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    encoder.set_repeat(Repeat::Infinite).expect("memory is writable");
    for shade in [60, 200] {
        let frame = RgbaImage::from_pixel(320, 180, image::Rgba([shade, shade, 90, 255]));
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder.encode_frame(Frame::from_parts(frame, 0, 0, delay)).expect("memory is writable");
    }
    drop(encoder);
    Bytes::from(file)
}

/// Changes the size in a JPEG's header to one that a decoder should refuse.
fn oversized(file: &[u8]) -> Bytes {
    let mut file = file.to_vec();
    // Skip segments by their lengths up to the frame header, which has length, precision, height and width
    // (ITU-T T.81, B.2.2).
    let mut at = 2;
    while !matches!(file[at + 1], 0xc0..=0xc2) {
        at += 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    }
    let side = 60_000_u16.to_be_bytes();
    file[at + 5..at + 9].copy_from_slice(&[side, side].concat());
    Bytes::from(file)
}
