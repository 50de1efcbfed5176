//! BMP, and DIB, which is a BMP without its file header.
//!
//! Reads what Pillow reads: headers of OS/2 and Windows, palettes, colours of 16, 24 and 32 bits with its usual
//! masks, and run lengths. Alpha is dropped.

use common::job::outcome::ItemFailure;

use super::{
    failure::{require_size, undecodable},
    input::Input,
};
use crate::picture::Picture;

const FILE_HEADER: usize = 14;
const CORE_HEADER: u32 = 12;
const HEADERS: [u32; 7] = [CORE_HEADER, 40, 52, 56, 64, 108, 124];
const CUT_OFF: &str = "the file is cut off: it ends in its header";
/// Values of the field `compression`.
const RAW: u32 = 0;
const RLE8: u32 = 1;
const RLE4: u32 = 2;
const MASKS: u32 = 3;

/// Reads width and height.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let Header { width, height, .. } = read(bytes).ok()?.header;
    Some((width, height))
}

/// Whether a file begins like a DIB, with the size of its header.
pub(super) fn is_dib(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|size| HEADERS.contains(&u32::from_le_bytes(*size)))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ItemFailure> {
    let failed = |error: &dyn std::fmt::Display| undecodable("BMP", error);
    let file = read(bytes).map_err(|error| failed(&error))?;
    let Header { width, height, bits, compression, .. } = file.header;
    require_size(u64::from(width), u64::from(height))?;
    let layout = Layout::of(&file).map_err(|error| failed(&error))?;
    let (width, height) = (width as usize, height as usize);
    let mut rgb = Vec::with_capacity(width * height * 3);
    let pixels_missing = || failed(&"the file is cut off: pixels are missing");
    let from_bottom = |row: usize| if file.header.is_top_down { row } else { height - 1 - row };

    if matches!(compression, RLE8 | RLE4) {
        let Layout::Indexed = layout else { return Err(failed(&"run lengths of colours are not supported")) };
        let start = bytes.len() - file.pixels.len();
        let indices = run_lengths(file.pixels, start, compression == RLE4, width, height);
        let indices = indices.ok_or_else(pixels_missing)?;
        for row in 0..height {
            let row = &indices[from_bottom(row) * width..][..width];
            rgb.extend(row.iter().flat_map(|index| file.colour(*index)));
        }
    } else {
        let used = (width * bits as usize).div_ceil(8);
        let stride = used.next_multiple_of(4);
        for row in 0..height {
            // The last row may lack its padding.
            let row = file.pixels.get(from_bottom(row) * stride..).and_then(|rest| rest.get(..used));
            layout.extend(&mut rgb, row.ok_or_else(pixels_missing)?, width, &file);
        }
    }
    Ok(Picture { width: width as u32, height: height as u32, rgb })
}

struct Header {
    size: u32,
    width: u32,
    height: u32,
    is_top_down: bool,
    bits: u16,
    compression: u32,
    /// Colours in the palette.
    colours: u32,
    masks: [u32; 4],
}

struct File<'a> {
    header: Header,
    palette: &'a [u8],
    pixels: &'a [u8],
}

impl File<'_> {
    fn colour(&self, index: u8) -> [u8; 3] {
        let width = if self.header.size == CORE_HEADER { 3 } else { 4 };
        let entry = self.palette.get(usize::from(index) * width..).and_then(|entry| entry.first_chunk());
        entry.map_or([0; 3], |[blue, green, red]| [*red, *green, *blue])
    }
}

fn read(bytes: &[u8]) -> Result<File<'_>, String> {
    let mut input = Input(bytes);
    let has_file_header = bytes.starts_with(b"BM");
    let mut offset = 0;
    if has_file_header {
        input.take(FILE_HEADER - 4);
        offset = input.u32_le().ok_or(CUT_OFF)? as usize;
    }
    let size = input.u32_le().ok_or(CUT_OFF)?;
    if !HEADERS.contains(&size) {
        return Err(format!("a header of {size} bytes is not supported"));
    }
    let header = header(&mut input, size).ok_or(CUT_OFF)?;
    let mut palette = [].as_slice();
    if header.bits <= 8 {
        let length = header.colours as usize * if header.size == CORE_HEADER { 3 } else { 4 };
        palette = input.take_up_to(length);
        // Many programs write the offset of the palette instead of that of the pixels.
        if has_file_header && offset == FILE_HEADER + header.size as usize {
            offset += length;
        }
    }
    let pixels = if offset == 0 { input.0 } else { bytes.get(offset..).unwrap_or(&[]) };
    Ok(File { header, palette, pixels })
}

/// Reads a header behind its size. Returns `None` if the file ends in it.
fn header(input: &mut Input, size: u32) -> Option<Header> {
    let mut rest = Input(input.take(size as usize - 4)?);
    if size == CORE_HEADER {
        let [width, height] = [rest.u16_le()?.into(), rest.u16_le()?.into()];
        let [_planes, bits] = [rest.u16_le()?, rest.u16_le()?];
        let colours = 1u32.checked_shl(bits.into()).unwrap_or(0);
        let (compression, masks) = (RAW, [0; 4]);
        return Some(Header { size, width, height, is_top_down: false, bits, compression, colours, masks });
    }
    let [width, height] = [rest.u32_le()?, rest.u32_le()?];
    let is_top_down = height >> 24 == 0xff;
    let height = if is_top_down { height.wrapping_neg() } else { height };
    let [_planes, bits] = [rest.u16_le()?, rest.u16_le()?];
    let compression = rest.u32_le()?;
    // The size of the pixels and the resolution.
    rest.take(3 * 4)?;
    let colours = match rest.u32_le()? {
        0 => 1u32.checked_shl(bits.into()).unwrap_or(0),
        colours => colours,
    };
    let _important_colours = rest.u32_le()?;
    let mut masks = [0; 4];
    if compression == MASKS {
        // Later versions have the masks in their header; before, three follow it.
        let (source, count) =
            if size >= 52 { (&mut rest, if size >= 56 { 4 } else { 3 }) } else { (input, 3) };
        for mask in &mut masks[..count] {
            *mask = source.u32_le()?;
        }
    }
    Some(Header { size, width, height, is_top_down, bits, compression, colours, masks })
}

/// How a row of bytes becomes pixels.
enum Layout {
    Indexed,
    /// Two bytes with five bits of red and blue and so many of green.
    Packed {
        green_bits: u32,
    },
    /// So many bytes, and where among them red, green and blue are.
    Bytes {
        length: usize,
        rgb: [usize; 3],
    },
}

impl Layout {
    fn of(file: &File) -> Result<Self, String> {
        let Header { bits, compression, colours, masks, .. } = file.header;
        let usual = Self::Bytes { length: usize::from(bits) / 8, rgb: [2, 1, 0] };
        match (bits, compression) {
            (1 | 4 | 8, RAW | RLE8 | RLE4) if !(1..=65_536).contains(&colours) => {
                Err(format!("a palette of {colours} colours is not supported"))
            }
            (1 | 4 | 8, RAW | RLE8 | RLE4) => Ok(Self::Indexed),
            (16, RAW) => Ok(Self::Packed { green_bits: 5 }),
            (24 | 32, RAW | RLE8 | RLE4) => Ok(usual),
            (16 | 24 | 32, MASKS) => Self::of_masks(bits, masks, usual)
                .ok_or_else(|| format!("the masks {masks:x?} of {bits} bits are not supported")),
            (1 | 4 | 8 | 16 | 24 | 32, _) => Err(format!("compression {compression} is not supported")),
            _ => Err(format!("pixels of {bits} bits are not supported")),
        }
    }

    fn of_masks(bits: u16, masks: [u32; 4], usual: Self) -> Option<Self> {
        let bytes = |rgb| Some(Self::Bytes { length: 4, rgb });
        match (bits, masks) {
            (16, [0x7c00, 0x3e0, 0x1f, _]) => Some(Self::Packed { green_bits: 5 }),
            (16, [0xf800, 0x7e0, 0x1f, _]) => Some(Self::Packed { green_bits: 6 }),
            (24, [0xff_0000, 0xff00, 0xff, _])
            | (32, [0xff_0000, 0xff00, 0xff, 0 | 0xff00_0000] | [0, 0, 0, 0]) => Some(usual),
            (32, [0xff00_0000, 0xff_0000, 0xff00, 0 | 0xff]) => bytes([3, 2, 1]),
            (32, [0xff00_0000, 0xff00, 0xff, 0 | 0xff_0000]) => bytes([3, 1, 0]),
            (32, [0xff, 0xff00, 0xff_0000, 0xff00_0000]) => bytes([0, 1, 2]),
            _ => None,
        }
    }

    /// Appends a row of `width` pixels.
    fn extend(&self, rgb: &mut Vec<u8>, row: &[u8], width: usize, file: &File) {
        match self {
            Self::Indexed => {
                let bits = u32::from(file.header.bits);
                let per_byte = 8 / bits;
                let indices = row.iter().flat_map(|byte| {
                    (0..per_byte).map(move |place| {
                        let shifted = u32::from(*byte) >> (8 - bits * (place + 1));
                        (shifted & ((1 << bits) - 1)) as u8
                    })
                });
                rgb.extend(indices.take(width).flat_map(|index| file.colour(index)));
            }
            Self::Packed { green_bits } => {
                for pixel in row.as_chunks::<2>().0 {
                    let pixel = u32::from(u16::from_le_bytes(*pixel));
                    let channel = |shift: u32, bits: u32| {
                        let largest = (1 << bits) - 1;
                        (((pixel >> shift) & largest) * 255 / largest) as u8
                    };
                    rgb.extend([channel(5 + green_bits, 5), channel(5, *green_bits), channel(0, 5)]);
                }
            }
            Self::Bytes { length, rgb: places } => {
                rgb.extend(row.chunks_exact(*length).flat_map(|pixel| places.map(|place| pixel[place])));
            }
        }
    }
}

/// Decompresses run lengths to indices, in the order of the file; `start` is the position of `data` in the
/// file. Returns `None` if pixels are missing at the end. Skipped pixels have index 0, and a run ends with its
/// row.
fn run_lengths(data: &[u8], start: usize, is_rle4: bool, width: usize, height: usize) -> Option<Vec<u8>> {
    let (mut input, total) = (Input(data), width * height);
    let mut indices: Vec<u8> = Vec::with_capacity(total);
    let mut x = 0;
    while indices.len() < total {
        let Some([count, value]) = input.array::<2>() else { break };
        match (count, value) {
            (0, 0) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, 1) => break,
            (0, 2) => {
                let Some([right, up]) = input.array::<2>() else { break };
                let skipped = usize::from(right) + usize::from(up) * width;
                indices.resize(total.min(indices.len() + skipped), 0);
                x = indices.len() % width;
            }
            (0, count) => {
                let wanted = usize::from(count).min(total - indices.len());
                let length = if is_rle4 { wanted.div_ceil(2) } else { wanted };
                let literal = input.take_up_to(length);
                if is_rle4 {
                    let pairs = literal.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
                    indices.extend(pairs.take(wanted));
                } else {
                    indices.extend_from_slice(literal);
                }
                if literal.len() < length {
                    break;
                }
                x += usize::from(count);
                // Literals are padded to an even position in the file.
                if !(start + data.len() - input.0.len()).is_multiple_of(2) {
                    input.take_up_to(1);
                }
            }
            (count, value) => {
                let count = usize::from(count).min(width.saturating_sub(x));
                let pair = if is_rle4 { [value >> 4, value & 0xf] } else { [value; 2] };
                indices.extend(pair.iter().cycle().take(count));
                x += count;
            }
        }
    }
    (indices.len() >= total).then_some(indices)
}
