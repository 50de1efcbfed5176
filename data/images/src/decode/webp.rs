//! The first frame of a WebP, on its canvas; outside the frame, the canvas is black.
//!
//! Owns the container: finds the first frame, and accepts what libwebp's demultiplexer accepts (`demux.c`).
//! The frame itself is decoded by `image`, from a container of its own.

use std::io::Cursor;

use common::job::outcome::ItemFailure;
use image::{DynamicImage, ImageFormat, ImageReader};

use super::{
    failure::{first_bytes, require_size, undecodable},
    input::Input,
};
use crate::picture::Picture;

const IS_ANIMATED: u8 = 0b10;
const HAS_ALPHA: u8 = 0x10;
const KNOWN_FLAGS: u8 = 0b11_1110;

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let failed = |error: &dyn std::fmt::Display| undecodable("WebP", error);
    let file = read(bytes).map_err(|error| failed(&error))?;
    let Frame { left, top, width, height, .. } = file.frame;
    let (canvas_width, canvas_height) = file.canvas;
    require_size(u64::from(canvas_width), u64::from(canvas_height))?;
    let alone = file.frame.alone();
    let decoded = ImageReader::with_format(Cursor::new(alone), ImageFormat::WebP).decode();
    let decoded = decoded.map_err(|error| failed(&error))?;
    if (decoded.width(), decoded.height()) != (width, height) {
        return Err(failed(&"its pixels have another size than their header"));
    }
    let rgb = to_rgb(decoded);
    if (width, height) == (canvas_width, canvas_height) {
        return Ok(Picture { width, height, rgb });
    }
    let mut canvas = vec![0; canvas_width as usize * canvas_height as usize * 3];
    let place = (top as usize * canvas_width as usize + left as usize) * 3;
    let rows = canvas[place..].chunks_mut(canvas_width as usize * 3);
    for (target, row) in rows.zip(rgb.chunks_exact(width as usize * 3)) {
        target[..row.len()].copy_from_slice(row);
    }
    Ok(Picture { width: canvas_width, height: canvas_height, rgb: canvas })
}

/// Reads width and height of the canvas, and whether the first frame has lossless data, be it of its alpha only.
pub(super) fn canvas(bytes: &[u8]) -> Option<((u32, u32), bool)> {
    let File { canvas, frame } = read(bytes).ok()?;
    Some((canvas, frame.pixels.0 == b"VP8L" || frame.alpha.is_some()))
}

struct File<'a> {
    canvas: (u32, u32),
    frame: Frame<'a>,
}

#[derive(Default, Clone, Copy)]
struct Frame<'a> {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    /// The name and the content of the chunk with the pixels.
    pixels: (&'a [u8], &'a [u8]),
    /// The content of the chunk with the alpha plane of lossy pixels.
    alpha: Option<&'a [u8]>,
}

impl Frame<'_> {
    /// Returns a file with only this frame.
    fn alone(&self) -> Vec<u8> {
        let mut body = b"WEBP".to_vec();
        let mut add = |name: &[u8], content: &[u8]| {
            body.extend_from_slice(name);
            body.extend((content.len() as u32).to_le_bytes());
            body.extend_from_slice(content);
            body.resize(body.len().next_multiple_of(2), 0);
        };
        if let Some(alpha) = self.alpha {
            let [width, height] = [self.width - 1, self.height - 1].map(u32::to_le_bytes);
            add(b"VP8X", &[&[HAS_ALPHA, 0, 0, 0], &width[..3], &height[..3]].concat());
            add(b"ALPH", alpha);
        }
        add(self.pixels.0, self.pixels.1);
        [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
    }
}

const CUT_OFF: &str = "the file is cut off";

fn read(bytes: &[u8]) -> Result<File<'_>, String> {
    let mut input = Input(bytes);
    input.take(b"RIFF".len());
    let size = input.u32_le().ok_or(CUT_OFF)? as usize;
    let mut chunks = Input(input.take(size).ok_or(CUT_OFF)?);
    chunks.take(b"WEBP".len()).ok_or(CUT_OFF)?;
    match chunks.0.get(..4) {
        Some(b"VP8X") => {}
        Some(b"VP8 " | b"VP8L") => {
            let frame = frame(&mut chunks)?.ok_or(CUT_OFF)?;
            return Ok(File { canvas: (frame.width, frame.height), frame });
        }
        _ => return Err(format!("it begins with an unknown chunk: {}", first_bytes(chunks.0))),
    }
    let (_, content) = chunk(&mut chunks)?;
    let mut header = Input(content);
    let [flags, ..] = header.array::<4>().ok_or(CUT_OFF)?;
    let [width, height] = [header.u24_le(), header.u24_le()].map(|side| side.map(|side| side + 1));
    let canvas = (width.ok_or(CUT_OFF)?, height.ok_or(CUT_OFF)?);
    if flags & !KNOWN_FLAGS != 0 {
        return Err(format!("its header has unknown flags: {flags:#x}"));
    }
    let frame = extended(&mut chunks, canvas, flags & IS_ANIMATED != 0)?;
    Ok(File { canvas, frame })
}

/// Reads the chunks behind an extended header, all of them: libwebp refuses a file if any frame is broken.
fn extended<'a>(chunks: &mut Input<'a>, canvas: (u32, u32), is_animated: bool) -> Result<Frame<'a>, String> {
    let mut first = None;
    let mut has_animation = false;
    while !chunks.0.is_empty() {
        match chunks.0.get(..4).ok_or(CUT_OFF)? {
            b"VP8X" => return Err("it has two headers".to_owned()),
            b"ALPH" | b"VP8 " | b"VP8L" if has_animation || first.is_some() => {
                return Err("it has pixels outside its frames".to_owned());
            }
            b"ALPH" | b"VP8 " | b"VP8L" => {
                let frame = frame(chunks)?.ok_or("it has alpha without pixels")?;
                if (frame.width, frame.height) != canvas {
                    return Err("its canvas and its pixels differ in size".to_owned());
                }
                first = Some(frame);
            }
            b"ANIM" => {
                has_animation = true;
                if chunk(chunks)?.1.len() < 6 {
                    return Err("its animation header is too short".to_owned());
                }
            }
            b"ANMF" if !has_animation => return Err("a frame comes before the animation header".to_owned()),
            b"ANMF" => {
                let (_, content) = chunk(chunks)?;
                let frame = animation_frame(content, canvas)?;
                // Without its flag, an animation has no frames.
                if is_animated {
                    first.get_or_insert(frame);
                }
            }
            _ => {
                chunk(chunks)?;
            }
        }
    }
    first.ok_or_else(|| "it has no frame".to_owned())
}

/// Reads a frame of an animation. The frame's size is that of its pixels.
fn animation_frame(content: &[u8], canvas: (u32, u32)) -> Result<Frame<'_>, String> {
    let mut input = Input(content);
    let [left, top] = [input.u24_le(), input.u24_le()].map(|place| place.map(|place| place * 2));
    let (left, top) = (left.ok_or(CUT_OFF)?, top.ok_or(CUT_OFF)?);
    // Size, duration and flags.
    input.take(3 + 3 + 3 + 1).ok_or(CUT_OFF)?;
    let frame = frame(&mut input)?.ok_or("a frame has no pixels")?;
    if left + frame.width > canvas.0 || top + frame.height > canvas.1 {
        return Err("a frame is not within the canvas".to_owned());
    }
    Ok(Frame { left, top, ..frame })
}

/// Reads an alpha plane, if there is one, and pixels. Returns `None` if there are none.
fn frame<'a>(chunks: &mut Input<'a>) -> Result<Option<Frame<'a>>, String> {
    let mut alpha = None;
    if chunks.0.starts_with(b"ALPH") {
        alpha = Some(chunk(chunks)?.1);
    }
    let size = match chunks.0.get(..4) {
        Some(b"VP8 ") => lossy_size,
        Some(b"VP8L") if alpha.is_none() => lossless_size,
        _ => return Ok(None),
    };
    let pixels = chunk(chunks)?;
    if chunks.0.starts_with(b"ALPH") && alpha.is_none() {
        return Err("its alpha comes behind its pixels".to_owned());
    }
    let (width, height) = size(pixels.1).ok_or("the header of its pixels is broken")?;
    Ok(Some(Frame { width, height, pixels, alpha, ..Frame::default() }))
}

fn lossy_size(pixels: &[u8]) -> Option<(u32, u32)> {
    let mut input = Input(pixels);
    input.take(3)?;
    let is_start = input.array() == Some([0x9d, 0x01, 0x2a]);
    let [width, height] = [input.u16_le()?, input.u16_le()?].map(|side| u32::from(side & 0x3fff));
    (is_start && width > 0 && height > 0).then_some((width, height))
}

fn lossless_size(pixels: &[u8]) -> Option<(u32, u32)> {
    let mut input = Input(pixels);
    let signature = input.byte()?;
    let bits = input.u32_le()?;
    (signature == 0x2f).then_some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
}

/// Takes a chunk: its name and its content.
fn chunk<'a>(chunks: &mut Input<'a>) -> Result<(&'a [u8], &'a [u8]), String> {
    let name = chunks.take(4).ok_or(CUT_OFF)?;
    let length = chunks.u32_le().ok_or(CUT_OFF)? as usize;
    let content = chunks.take(length).ok_or(CUT_OFF)?;
    if length % 2 == 1 {
        chunks.take(1).ok_or(CUT_OFF)?;
    }
    Ok((name, content))
}

/// Drops alpha without compositing, as Pillow does.
fn to_rgb(image: DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageRgba8(rgba) => {
            let mut pixels = rgba.into_raw();
            for index in 0..pixels.len() / 4 {
                pixels.copy_within(index * 4..index * 4 + 3, index * 3);
            }
            pixels.truncate(pixels.len() / 4 * 3);
            pixels
        }
        other => other.into_rgb8().into_raw(),
    }
}
