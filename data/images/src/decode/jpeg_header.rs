//! Reduces the header of a JPEG, everything before its first scan, to what decides its pixels.
//!
//! Fill bytes and junk between segments, comments, colour profiles and other metadata are left out: libjpeg
//! skips them, with warnings. JFIF's and Adobe's segments decide the colour space and are written anew.
//! Segments are found as libjpeg and Pillow find them (T.81, B.1.1.2). What cannot be decoded stays, for
//! libjpeg to refuse.

use super::input::Input;

const START: u8 = 0xd8;
const SCAN: u8 = 0xda;
const JFIF: u8 = 0xe0;
const ADOBE: u8 = 0xee;
const COMMENT: u8 = 0xfe;

/// A JFIF segment of version 1.1 without a thumbnail.
const PLAIN_JFIF: [u8; 18] = *b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";

/// Returns a copy with a reduced header.
///
/// # Errors
/// When the file ends in its header, a marker has no meaning there, or its samples do not have 8 bits.
pub(crate) fn plain(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut input = Input(bytes);
    let mut header = Header { bytes: Vec::with_capacity(bytes.len()), components: 0, transform_at: None };
    let cut_off = || "the file is cut off: it ends in its header".to_owned();
    if input.array() != Some([0xff, START]) {
        return Err("the file does not begin with a start marker".to_owned());
    }
    header.bytes.extend([0xff, START]);
    loop {
        match next_marker(&mut input).ok_or_else(cut_off)? {
            marker @ 0x02..=0xbf => return Err(format!("a marker ff {marker:02x} in the header")),
            START => return Err("a second start marker in the header".to_owned()),
            // Markers without a segment: TEM, and restart markers, which have no meaning here.
            0x01 | 0xd0..=0xd7 => {}
            marker @ (0xc8 | 0xd9 | 0xf0..=0xfd) => header.bytes.extend([0xff, marker]),
            marker => {
                let content = segment(&mut input).ok_or_else(cut_off)?;
                header.add(marker, content)?;
                if marker == SCAN {
                    header.bytes.extend_from_slice(input.0);
                    return Ok(header.finish());
                }
            }
        }
    }
}

/// What a JPEG's frame header says.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: u8,
    /// Whether it has, or may have, several scans.
    pub(super) has_scans: bool,
}

/// Reads the frame header; `None` if there is none before the first scan.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let mut input = Input(bytes);
    input.take(2)?;
    let mut frame: Option<Frame> = None;
    loop {
        match next_marker(&mut input)? {
            0x01 | 0xd0..=0xd9 | 0xc8 | 0xf0..=0xfd => {}
            marker => {
                let mut content = Input(&segment(&mut input)?[2..]);
                if marker == SCAN {
                    let scanned = content.byte()?;
                    let frame = frame?;
                    return Some(Frame { has_scans: frame.has_scans || scanned < frame.components, ..frame });
                }
                if is_frame(marker) {
                    content.byte()?;
                    let (height, width) = (content.u16_be()?, content.u16_be()?);
                    let components = content.byte()?;
                    // SOF0 and SOF1 are sequential with Huffman codes, SOF9 with arithmetic ones.
                    let has_scans = !matches!(marker, 0xc0 | 0xc1 | 0xc9);
                    frame = Some(Frame { width, height, components, has_scans });
                }
            }
        }
    }
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Skips to the next marker, over junk and fill bytes.
fn next_marker(input: &mut Input) -> Option<u8> {
    loop {
        while input.byte()? != 0xff {}
        let mut marker = input.byte()?;
        while marker == 0xff {
            marker = input.byte()?;
        }
        // A stuffed zero is junk.
        if marker != 0 {
            return Some(marker);
        }
    }
}

/// Takes a segment with its length field. libjpeg reads lengths below two, which are invalid, as two.
fn segment<'a>(input: &mut Input<'a>) -> Option<&'a [u8]> {
    let length = Input(input.0).u16_be()?;
    input.take(usize::from(length.max(2)))
}

struct Header {
    bytes: Vec<u8>,
    components: u8,
    /// Where Adobe's colour transform was written.
    transform_at: Option<usize>,
}

impl Header {
    /// Adds a segment, given with its length field.
    fn add(&mut self, marker: u8, segment: &[u8]) -> Result<(), String> {
        let content = &segment[2..];
        match marker {
            JFIF if content.len() >= 14 && content.starts_with(b"JFIF\0") => {
                self.bytes.extend(PLAIN_JFIF);
                return Ok(());
            }
            ADOBE if content.len() >= 12 && content.starts_with(b"Adobe") => {
                self.bytes.extend([0xff, ADOBE, 0, 14]);
                self.bytes.extend_from_slice(&content[..12]);
                self.transform_at = Some(self.bytes.len() - 1);
                return Ok(());
            }
            0xe0..=0xef | COMMENT => return Ok(()),
            // The frame: precision, height, width, number of components.
            marker if is_frame(marker) => {
                if let Some(bits) = content.first().filter(|bits| **bits != 8) {
                    return Err(format!("its samples have {bits} bits, and only 8 are supported"));
                }
                self.components = content.get(5).copied().unwrap_or(0);
            }
            _ => {}
        }
        self.bytes.extend([0xff, marker]);
        self.bytes.extend_from_slice(segment);
        Ok(())
    }

    /// Replaces an unknown colour transform by the one that libjpeg assumes.
    fn finish(mut self) -> Vec<u8> {
        if let Some(transform) = self.transform_at.and_then(|at| self.bytes.get_mut(at)) {
            let usual = if self.components == 4 { 2 } else { 1 };
            if *transform != 0 {
                *transform = usual;
            }
        }
        self.bytes
    }
}
