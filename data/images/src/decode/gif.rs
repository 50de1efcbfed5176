//! The first frame of a GIF, on its canvas, as Pillow draws it.
//!
//! The canvas is the screen, enlarged to the frame if that does not fit; outside the frame it has the colour of
//! the transparent index, or else of index 0.

use common::job::outcome::ItemFailure;

use super::{
    failure::{require_size, undecodable},
    input::Input,
};
use crate::picture::Picture;

/// Maximum number of LZW codes.
const TABLE: usize = 4096;
/// Maximum width of an LZW code in a growing table.
const MAX_CODE_BITS: u32 = 12;

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let failed = |error: &dyn std::fmt::Display| undecodable("GIF", error);
    let frame = first_frame(bytes).ok_or_else(|| failed(&"it has no whole frame"))?;
    let [left, top, width, height] = frame.area.map(usize::from);
    if width == 0 || height == 0 {
        return Err(failed(&format!("its first frame is {width}×{height}")));
    }
    let [canvas_width, canvas_height] = frame.canvas();
    require_size(canvas_width as u64, canvas_height as u64)?;
    let pixels = decompress(frame.data, frame.code_bits, width * height).map_err(|error| failed(&error))?;

    let colour = |index: u8| match frame.colours {
        Some(colours) => *colours.as_chunks::<3>().0.get(usize::from(index)).unwrap_or(&[0; 3]),
        None => [index; 3],
    };
    let mut rgb = colour(frame.transparent.unwrap_or(0)).repeat(canvas_width * canvas_height);
    for (row, y) in pixels.chunks_exact(width).zip(rows(height, frame.is_interlaced)) {
        let start = ((top + y) * canvas_width + left) * 3;
        for (pixel, index) in rgb[start..].as_chunks_mut::<3>().0.iter_mut().zip(row) {
            *pixel = colour(*index);
        }
    }
    Ok(Picture { width: canvas_width as u32, height: canvas_height as u32, rgb })
}

struct Frame<'a> {
    screen: [u16; 2],
    /// Left, top, width, height.
    area: [u16; 4],
    /// `None`: an index is a grey value.
    colours: Option<&'a [u8]>,
    transparent: Option<u8>,
    is_interlaced: bool,
    code_bits: u8,
    data: &'a [u8],
}

impl Frame<'_> {
    /// Width and height of the screen, enlarged to the frame.
    fn canvas(&self) -> [usize; 2] {
        let [left, top, width, height] = self.area.map(usize::from);
        [usize::from(self.screen[0]).max(left + width), usize::from(self.screen[1]).max(top + height)]
    }
}

/// Reads width and height of the canvas.
pub(super) fn canvas(bytes: &[u8]) -> Option<(u32, u32)> {
    let [width, height] = first_frame(bytes)?.canvas().map(|side| side as u32);
    Some((width, height))
}

fn first_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    const INTERLACED: u8 = 0x40;
    let mut input = Input(bytes);
    input.take(b"GIF89a".len())?;
    let screen = [input.u16_le()?, input.u16_le()?];
    let [flags, _background, _aspect] = input.array()?;
    let global = table(&mut input, flags);
    let mut transparent = None;
    loop {
        match input.byte()? {
            b';' => return None,
            b'!' => transparent = extension(&mut input)?.or(transparent),
            b',' => break,
            // Pillow skips other bytes.
            _ => {}
        }
    }
    let area = [input.u16_le()?, input.u16_le()?, input.u16_le()?, input.u16_le()?];
    let flags = input.byte()?;
    let local = table(&mut input, flags);
    let (colours, is_interlaced) = (local.or(global), flags & INTERLACED != 0);
    Some(Frame { screen, area, colours, transparent, is_interlaced, code_bits: input.byte()?, data: input.0 })
}

/// Takes the colour table that `flags` announce.
fn table<'a>(input: &mut Input<'a>, flags: u8) -> Option<&'a [u8]> {
    const HAS_TABLE: u8 = 0x80;
    (flags & HAS_TABLE != 0).then(|| input.take_up_to(3 << ((flags & 7) + 1)))
}

/// Skips an extension; returns the transparent index if it sets one.
fn extension(input: &mut Input) -> Option<Option<u8>> {
    const CONTROL: u8 = 0xf9;
    const IS_TRANSPARENT: u8 = 1;
    let label = input.byte()?;
    let mut transparent = None;
    let mut is_first = true;
    loop {
        let length = input.byte()?;
        let block = input.take(usize::from(length))?;
        if label == CONTROL && is_first && !block.is_empty() {
            let control: &[u8; 4] = block.first_chunk()?;
            transparent = (control[0] & IS_TRANSPARENT != 0).then_some(control[3]);
        }
        if length == 0 {
            return Some(transparent);
        }
        is_first = false;
    }
}

/// The order in which rows are stored.
fn rows(height: usize, is_interlaced: bool) -> impl Iterator<Item = usize> {
    let passes: &[(usize, usize)] = if is_interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    passes.iter().flat_map(move |(first, step)| (*first..height).step_by(*step))
}

/// Splits the data of a frame into codes. Data goes on behind an empty block if pixels are missing.
struct Codes<'a> {
    input: Input<'a>,
    block: Input<'a>,
    buffer: u32,
    buffered: u32,
}

impl Codes<'_> {
    /// Returns `None` at the end of the file, which is before a block that is cut off.
    fn next(&mut self, bits: u32) -> Option<usize> {
        while self.buffered < bits {
            match self.block.byte() {
                Some(byte) => {
                    self.buffer |= u32::from(byte) << self.buffered;
                    self.buffered += 8;
                }
                None => {
                    let length = self.input.byte()?;
                    self.block = Input(self.input.take(usize::from(length))?);
                }
            }
        }
        let code = self.buffer & ((1 << bits) - 1);
        self.buffer >>= bits;
        self.buffered -= bits;
        Some(code as usize)
    }
}

/// Decompresses `length` pixels. `code_bits` is the width of a pixel's code.
fn decompress(data: &[u8], code_bits: u8, length: usize) -> Result<Vec<u8>, &'static str> {
    const INVALID: &str = "its pixels have an invalid code";
    const MISSING: &str = "the file is cut off: pixels are missing";
    if u32::from(code_bits) > MAX_CODE_BITS {
        return Err("its codes are too wide");
    }
    let clear = 1 << code_bits;
    let first_bits = u32::from(code_bits) + 1;
    let mut codes = Codes { input: Input(data), block: Input(&[]), buffer: 0, buffered: 0 };
    // `clear + 1` is the end code. A higher one stands for the pixels of `prefixes[code]`, and `suffixes[code]`.
    let (mut prefixes, mut suffixes) = (vec![0; TABLE], vec![0; TABLE]);
    let (mut next, mut bits) = (clear + 2, first_bits);
    // The code before, and the first pixel that it stands for.
    let mut previous: Option<(usize, u8)> = None;
    let mut pixels = Vec::with_capacity(length);
    while pixels.len() < length {
        let code = codes.next(bits).filter(|code| *code != clear + 1).ok_or(MISSING)?;
        if code == clear {
            (next, bits, previous) = (clear + 2, first_bits, None);
            continue;
        }
        let Some((previous_code, previous_pixel)) = previous else {
            if code > clear {
                return Err(INVALID);
            }
            pixels.push(code as u8);
            previous = Some((code, code as u8));
            continue;
        };
        if code > next {
            return Err(INVALID);
        }
        let start = pixels.len();
        let mut rest = code;
        if code == next {
            pixels.push(previous_pixel);
            rest = previous_code;
        }
        while rest >= clear {
            pixels.push(*suffixes.get(rest).ok_or(INVALID)?);
            rest = prefixes[rest];
        }
        pixels.push(rest as u8);
        pixels[start..].reverse();
        if next < TABLE {
            (prefixes[next], suffixes[next]) = (previous_code, rest as u8);
            if next == (1 << bits) - 1 && bits < MAX_CODE_BITS {
                bits += 1;
            }
            next += 1;
        }
        previous = Some((code, rest as u8));
    }
    pixels.truncate(length);
    Ok(pixels)
}
