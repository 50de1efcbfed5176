//! Decodes the text of a table: UTF-8, or UTF-16 with a byte order mark.
//!
//! Any other encoding is an error that names the likely one, since a wrong guess would change names without a word.

use super::{file_kind, lines::LineIndex};

/// A file that cannot be read as text. Displayed without the name of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// What the file is instead.
    #[error("the file is {0}")]
    OtherFile(String),
    #[error("{problem}; the encoding is probably {encoding}")]
    Encoding {
        problem: String,
        /// As iconv names it.
        encoding: &'static str,
    },
    /// UTF-8 with a few invalid bytes.
    #[error("{0}")]
    Damaged(String),
}

impl TextError {
    /// Describes the error, with the command that converts the file `name`.
    #[must_use]
    pub fn with_command(&self, name: &str) -> String {
        let converted = match name.rsplit_once('.') {
            Some((stem, extension)) if !extension.contains('/') => format!("{stem}.utf8.{extension}"),
            _ => format!("{name}.utf8"),
        };
        let (from, to) = (quoted(name), quoted(&converted));
        match self {
            Self::OtherFile(_) => self.to_string(),
            Self::Encoding { encoding, .. } => {
                format!("{self}: convert it with `iconv -f {encoding} -t UTF-8 {from} > {to}`")
            }
            Self::Damaged(_) => {
                format!("{self}: drop them with `iconv -f UTF-8 -t UTF-8 -c {from} > {to}`")
            }
        }
    }
}

/// Quotes a file name for a shell if it has to be.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    let name = if name.starts_with('-') { format!("./{name}") } else { name.to_owned() };
    if name.chars().all(is_plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// Decodes a table without its byte order mark.
///
/// # Errors
/// If the bytes are not text, or text in another encoding.
pub fn decode(bytes: &[u8]) -> Result<String, TextError> {
    if bytes.starts_with(&[0xff, 0xfe, 0, 0]) || bytes.starts_with(&[0, 0, 0xfe, 0xff]) {
        let problem = "the byte order mark is that of UTF-32".to_owned();
        return Err(TextError::Encoding { problem, encoding: "UTF-32" });
    }
    match bytes {
        [0xff, 0xfe, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        _ => {}
    }
    if let Some(what) = file_kind::describe(bytes) {
        return Err(TextError::OtherFile(what));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(with_nul_bytes(bytes)),
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_owned()),
        Err(_) if bytes.contains(&0) => Err(with_nul_bytes(bytes)),
        Err(error) => Err(other_encoding(bytes, error.valid_up_to())),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, TextError> {
    let damaged = || TextError::OtherFile("damaged: its UTF-16 text is cut off or invalid".to_owned());
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let units = pairs.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).collect::<Result<String, _>>().map_err(|_| damaged())
}

/// Text has no NUL bytes, except as UTF-16.
fn with_nul_bytes(bytes: &[u8]) -> TextError {
    let nul_at = |parity: usize| bytes.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (nul_at(0), nul_at(1), bytes.len() / 2);
    let problem = "the text has NUL bytes and no byte order mark".to_owned();
    if odd * 2 > half && even * 10 < half {
        TextError::Encoding { problem, encoding: "UTF-16LE" }
    } else if even * 2 > half && odd * 10 < half {
        TextError::Encoding { problem, encoding: "UTF-16BE" }
    } else {
        TextError::OtherFile("a binary file, not a table".to_owned())
    }
}

fn other_encoding(bytes: &[u8], offset: usize) -> TextError {
    let valid = String::from_utf8_lossy(&bytes[..offset]);
    let line = LineIndex::new(&valid).line_of(offset);
    // The offset is behind the last line if the first invalid byte begins one.
    let line = if valid.ends_with(['\n', '\r']) { line + 1 } else { line };
    let problem = format!("byte 0x{:02X} in line {line} is not valid UTF-8", bytes[offset]);
    let text = String::from_utf8_lossy(bytes);
    let invalid = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count();
    let other = text.chars().filter(|c| !c.is_ascii() && *c != char::REPLACEMENT_CHARACTER).count();
    if other > 2 * invalid {
        let many =
            if invalid == 1 { "only it is invalid".to_owned() } else { format!("{invalid} are invalid") };
        return TextError::Damaged(format!("{problem}, and {many}"));
    }
    TextError::Encoding { problem, encoding: likely_encoding(bytes) }
}

/// Guesses an encoding of one or two bytes a character from its runs of bytes over 0x7F.
fn likely_encoding(bytes: &[u8]) -> &'static str {
    let is_high = |byte: &u8| *byte >= 0x80;
    let runs: Vec<&[u8]> =
        bytes.chunk_by(|a, b| is_high(a) == is_high(b)).filter(|run| is_high(&run[0])).collect();
    let share = |matching: usize, all: usize| matching * 10 >= all * 8;
    let kana = |run: &&&[u8]| matches!(run[0], 0x82 | 0x83);
    let pairs = || runs.iter().flat_map(|run| run.chunks_exact(2));
    let hangul = pairs().filter(|pair| (0xb0..=0xc8).contains(&pair[0]) && pair[1] >= 0xa1).count();
    let han = pairs().filter(|pair| (0xa1..=0xf7).contains(&pair[0]) && pair[1] >= 0xa1).count();
    let high = runs.iter().map(|run| run.len()).sum::<usize>();
    let even = runs.iter().filter(|run| run.len() % 2 == 0).count();
    let letters = runs.iter().flat_map(|run| run.iter()).filter(|byte| **byte >= 0xc0).count();
    if runs.iter().filter(kana).count() * 2 > runs.len() {
        "CP932"
    } else if share(even, runs.len()) && share(2 * hangul, high) {
        "CP949"
    } else if high >= 3 * runs.len() && share(letters, high) {
        "WINDOWS-1251"
    } else if share(even, runs.len()) && share(2 * han, high) {
        "GB18030"
    } else if bytes.iter().any(|byte| [0x81, 0x8d, 0x8f, 0x90, 0x9d].contains(byte)) {
        "ISO-8859-1"
    } else {
        "WINDOWS-1252"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_8_and_utf_16_are_read_without_their_byte_order_marks() {
        let check = |bytes: &[u8]| assert_eq!(decode(bytes).as_deref(), Ok("é,먹\n"), "{bytes:?}");
        check("é,먹\n".as_bytes());
        check("\u{feff}é,먹\n".as_bytes());
        let units = || "\u{feff}é,먹\n".encode_utf16();
        check(&units().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        check(&units().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
        assert_eq!(decode(b"").as_deref(), Ok(""));
    }

    #[test]
    fn other_encodings_are_named_with_the_line_and_the_command() {
        let check = |bytes: &[u8], line: u64, encoding: &str| {
            let error = decode(bytes).unwrap_err().with_command("a b.csv");
            assert!(error.contains(&format!("in line {line} ")), "{error}");
            let command = format!("`iconv -f {encoding} -t UTF-8 'a b.csv' > 'a b.utf8.csv'`");
            assert!(error.ends_with(&command), "{error}");
        };
        check(b"video_id,title\r\n\r\nd,ma\xf1ana y caf\xe9\n", 3, "WINDOWS-1252");
        check(b"a\n\xc4pfel, \x93quoted\x94\n", 2, "WINDOWS-1252");
        check(b"a\n\xc4pfel\x81\n", 2, "ISO-8859-1");
        // 먹방 여행, ゲームの, игры мир, 游戏世界
        check(b"a\n\xb8\xd4\xb9\xe6 \xbf\xa9\xc7\xe0\n", 2, "CP949");
        check(b"a\n\x83\x51\x81\x5b\x83\x80\x82\xcc\n", 2, "CP932");
        check(b"a\n\xe8\xe3\xf0\xfb \xec\xe8\xf0\n", 2, "WINDOWS-1251");
        check(b"a\n\xd3\xce\xcf\xb7 \xca\xc0\xbd\xe7\n", 2, "GB18030");
    }

    #[test]
    fn utf_16_without_a_mark_and_damaged_or_binary_files_are_named() {
        let encoded: Vec<u8> = "video_id,views\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let error = decode(&encoded).unwrap_err().with_command("t.csv");
        assert!(error.contains("iconv -f UTF-16LE -t UTF-8 t.csv > t.utf8.csv"), "{error}");
        let error = decode("a\n먹방 여행\n".as_bytes()[..].split_last().unwrap().1);
        assert!(error.is_ok(), "only the line end is missing");
        let mut damaged = "a\n먹방 여행\n".as_bytes().to_vec();
        damaged.extend(b"\x84\n");
        let error = decode(&damaged).unwrap_err().with_command("t.csv");
        assert!(error.contains("byte 0x84 in line 3") && error.contains("-c t.csv"), "{error}");
        let error = decode(&[b"a".as_slice(), &[0, 1, 0, 0, 7, 0]].concat()).unwrap_err().to_string();
        assert!(error.contains("a binary file"), "{error}");
    }
}
