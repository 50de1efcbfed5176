//! PNG; of an animation, the default image.
//!
//! Reads the chunks that decide the pixels, `IHDR`, `PLTE` and `IDAT`, and ignores all others, even broken
//! ones; the pixels may be the last of the file. Like Pillow, does not verify the checksum of `IDAT`, which
//! zlib's covers, and leaves rows at 0 that are missing in complete data.

use common::job::outcome::ItemFailure;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{
    failure::{require_size, undecodable},
    input::Input,
};
use crate::picture::Picture;

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const CUT_OFF: &str = "the file is cut off";
const MISSING: &str = "the file is cut off: pixels are missing";
/// First column and row, and their steps, of Adam7's passes.
const PASSES: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let failed = |error: String| undecodable("PNG", &error);
    let file = read(bytes).map_err(failed)?;
    require_size(file.header.width as u64, file.header.height as u64)?;
    let Header { width, height, .. } = file.header;
    let rgb = file.pixels().map_err(failed)?;
    Ok(Picture { width: width as u32, height: height as u32, rgb })
}

/// Reads width and height.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let Header { width, height, .. } = read(bytes).ok()?.header;
    Some((width as u32, height as u32))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    Rgba,
}

#[derive(Clone, Copy)]
struct Header {
    width: usize,
    height: usize,
    bits: usize,
    kind: Kind,
    is_interlaced: bool,
}

struct File<'a> {
    header: Header,
    palette: &'a [u8],
    /// The first piece of pixel data, and the chunks behind it.
    data: Data<'a>,
}

fn read(bytes: &[u8]) -> Result<File<'_>, String> {
    let mut input = Input(&bytes[SIGNATURE.len()..]);
    let (mut header, mut palette) = (None, [].as_slice());
    loop {
        let length = input.u32_be().ok_or(CUT_OFF)? as usize;
        let name: [u8; 4] = input.array().ok_or(CUT_OFF)?;
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return Err(format!("a chunk has the name {}", name.escape_ascii()));
        }
        if &name == b"IDAT" {
            let piece = input.take_up_to(length);
            let header = header.ok_or("pixels come before the header")?;
            return Ok(File { header, palette, data: Data { piece, behind: input } });
        }
        let content = input.take(length).ok_or(CUT_OFF)?;
        let checksum = input.u32_be().ok_or(CUT_OFF)?;
        let mut crc = Crc::new();
        match &name {
            b"IEND" => return Err("it has no pixels".to_owned()),
            b"IHDR" => header = Some(parse_header(content)?),
            b"PLTE" if header.is_some_and(|header| header.kind == Kind::Palette) => palette = content,
            _ => continue,
        }
        crc.update(&name);
        crc.update(content);
        if crc.sum() != checksum {
            return Err(format!("the checksum of its chunk {} is wrong", name.escape_ascii()));
        }
    }
}

fn parse_header(content: &[u8]) -> Result<Header, String> {
    let Some([bits, kind, _compression, filters, interlace]) = content.get(8..).and_then(|c| c.first_chunk())
    else {
        return Err("its header is too short".to_owned());
    };
    let mut sides = Input(content);
    let [width, height] = [sides.u32_be(), sides.u32_be()].map(|side| side.unwrap_or(0) as usize);
    let kind = match (kind, bits) {
        (0, 1 | 2 | 4 | 8 | 16) => Kind::Grey,
        (2, 8 | 16) => Kind::Rgb,
        (3, 1 | 2 | 4 | 8) => Kind::Palette,
        (4, 8 | 16) => Kind::GreyAlpha,
        (6, 8 | 16) => Kind::Rgba,
        _ => return Err(format!("colour type {kind} with {bits} bits does not exist")),
    };
    if *filters != 0 {
        return Err(format!("filter method {filters} does not exist"));
    }
    Ok(Header { width, height, bits: usize::from(*bits), kind, is_interlaced: *interlace != 0 })
}

impl Header {
    fn bits_per_pixel(&self) -> usize {
        let channels = match self.kind {
            Kind::Grey | Kind::Palette => 1,
            Kind::GreyAlpha => 2,
            Kind::Rgb => 3,
            Kind::Rgba => 4,
        };
        self.bits * channels
    }
}

impl File<'_> {
    fn pixels(&self) -> Result<Vec<u8>, String> {
        let Header { width, height, is_interlaced, .. } = self.header;
        let mut rgb = self.colour(0).repeat(width * height);
        let mut stream = Stream { data: self.data, inflate: Decompress::new(true) };
        let passes = if is_interlaced { PASSES.as_slice() } else { &[[0, 0, 1, 1]] };
        let distance = (self.header.bits_per_pixel() / 8).max(1);
        for [left, top, step_x, step_y] in passes.iter().copied() {
            if left >= width {
                continue;
            }
            let length = ((width - left).div_ceil(step_x) * self.header.bits_per_pixel()).div_ceil(8);
            let (mut row, mut above) = (vec![0; 1 + length], vec![0; 1 + length]);
            for y in (top..height).step_by(step_y) {
                if !stream.fill(&mut row)? {
                    return Ok(rgb);
                }
                unfilter(row[0], &mut row[1..], &above[1..], distance)?;
                let target = &mut rgb[y * width * 3..][..width * 3].as_chunks_mut::<3>().0[left..];
                self.colour_row(&row[1..], target.iter_mut().step_by(step_x));
                std::mem::swap(&mut row, &mut above);
            }
        }
        stream.verify_end()?;
        Ok(rgb)
    }

    fn colour(&self, sample: u8) -> [u8; 3] {
        match self.header.kind {
            Kind::Palette => {
                let colours = self.palette.as_chunks::<3>().0;
                *colours.get(usize::from(sample)).unwrap_or(&[0; 3])
            }
            _ => [sample; 3],
        }
    }

    /// Converts a row as Pillow does: alpha is dropped without compositing, 16-bit colours keep their high byte,
    /// and 16-bit grey (mode `I;16`) is clipped at 255.
    fn colour_row<'a>(&self, row: &[u8], pixels: impl Iterator<Item = &'a mut [u8; 3]>) {
        let Header { bits, kind, .. } = self.header;
        let bytes = self.header.bits_per_pixel() / 8;
        match (kind, bits) {
            (Kind::Grey | Kind::Palette, 1 | 2 | 4) => {
                let largest = (1 << bits) - 1;
                let scale = if kind == Kind::Grey { 255 / largest } else { 1 };
                for (index, pixel) in pixels.enumerate() {
                    let place = index * bits;
                    let sample = row[place / 8] >> (8 - bits - place % 8) & largest;
                    *pixel = self.colour(sample * scale);
                }
            }
            (Kind::Grey | Kind::Palette, 8) => {
                pixels.zip(row).for_each(|(pixel, sample)| *pixel = self.colour(*sample));
            }
            (Kind::Grey, _) => {
                for (pixel, sample) in pixels.zip(row.as_chunks().0) {
                    *pixel = [u16::from_be_bytes(*sample).min(255) as u8; 3];
                }
            }
            (Kind::GreyAlpha, _) => {
                pixels.zip(row.chunks_exact(bytes)).for_each(|(pixel, sample)| *pixel = [sample[0]; 3]);
            }
            _ => {
                let step = bits / 8;
                for (pixel, sample) in pixels.zip(row.chunks_exact(bytes)) {
                    *pixel = [sample[0], sample[step], sample[2 * step]];
                }
            }
        }
    }
}

/// The content of consecutive `IDAT` chunks, which may be cut off.
#[derive(Clone, Copy)]
struct Data<'a> {
    piece: &'a [u8],
    /// What follows the piece, from its checksum on.
    behind: Input<'a>,
}

impl Data<'_> {
    /// Moves to the next piece; returns whether there is one.
    fn advance(&mut self) -> bool {
        let mut input = self.behind;
        let _checksum = input.u32_be();
        let (Some(length), Some(b"IDAT")) = (input.u32_be(), input.take(4)) else { return false };
        *self = Self { piece: input.take_up_to(length as usize), behind: input };
        true
    }
}

struct Stream<'a> {
    data: Data<'a>,
    inflate: Decompress,
}

impl Stream<'_> {
    /// Fills a row. Returns `false` if the data ends properly behind the row before.
    fn fill(&mut self, row: &mut [u8]) -> Result<bool, String> {
        let mut filled = 0;
        while filled < row.len() {
            let step = self.inflate(&mut row[filled..])?;
            filled += step.written;
            if step.is_end && filled == 0 {
                return Ok(false);
            }
            if filled < row.len() && (step.is_end || step.is_idle && !self.data.advance()) {
                return Err(MISSING.to_owned());
            }
        }
        Ok(true)
    }

    /// Verifies zlib's checksum, unless it is missing.
    fn verify_end(&mut self) -> Result<(), String> {
        loop {
            let step = self.inflate(&mut [0])?;
            if step.is_end || step.written > 0 || step.is_idle && !self.data.advance() {
                return Ok(());
            }
        }
    }

    fn inflate(&mut self, target: &mut [u8]) -> Result<Step, String> {
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(self.data.piece, target, FlushDecompress::None);
        let status = status.map_err(|error| format!("its compressed data is broken: {error}"))?;
        let read = (self.inflate.total_in() - read) as usize;
        let written = (self.inflate.total_out() - written) as usize;
        self.data.piece = &self.data.piece[read..];
        Ok(Step { written, is_end: status == Status::StreamEnd, is_idle: read == 0 && written == 0 })
    }
}

/// What a call of the decompressor did.
struct Step {
    written: usize,
    is_end: bool,
    /// The piece is used up.
    is_idle: bool,
}

/// Reverses a filter. `distance` is the number of bytes from a pixel to the next one.
fn unfilter(filter: u8, row: &mut [u8], above: &[u8], distance: usize) -> Result<(), String> {
    match filter {
        0 => {}
        1 => {
            for index in distance..row.len() {
                row[index] = row[index].wrapping_add(row[index - distance]);
            }
        }
        2 => {
            for (value, above) in row.iter_mut().zip(above) {
                *value = value.wrapping_add(*above);
            }
        }
        3 | 4 => {
            for index in 0..row.len() {
                let before = index.checked_sub(distance);
                let [left, corner] = before.map_or([0; 2], |before| [row[before], above[before]]);
                let guess = if filter == 3 {
                    u16::midpoint(left.into(), above[index].into()) as u8
                } else {
                    paeth(left, above[index], corner)
                };
                row[index] = row[index].wrapping_add(guess);
            }
        }
        _ => return Err(format!("filter {filter} does not exist")),
    }
    Ok(())
}

fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, above, corner].map(i16::from);
    let estimate = a + b - c;
    let [from_a, from_b, from_c] = [a, b, c].map(|value| (estimate - value).abs());
    if from_a <= from_b && from_a <= from_c {
        left
    } else if from_b <= from_c {
        above
    } else {
        corner
    }
}
