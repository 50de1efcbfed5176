//! Recognises files that are not tables by their first bytes.

/// First bytes, what the file is, and what to do with it.
const SIGNATURES: [(&[u8], &str, &str); 22] = [
    (b"\xff\xd8\xff", "a JPEG image", ""),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", ""),
    (b"GIF8", "a GIF image", ""),
    (b"RIFF", "a RIFF file, such as a WebP image", ""),
    (b"%PDF", "a PDF document", ""),
    (b"\x1f\x8b", "gzip-compressed", "decompress it with gunzip"),
    (b"BZh", "bzip2-compressed", "decompress it with bunzip2"),
    (b"\xfd7zXZ\0", "xz-compressed", "decompress it with unxz"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "decompress it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "extract the table"),
    (b"Rar!", "a RAR archive", "extract the table"),
    (b"PAR1", "a Parquet file", "save it as CSV, such as with pandas' to_csv"),
    (b"ARROW1", "an Arrow file", "save it as CSV, such as with pandas' to_csv"),
    (b"SQLite format 3\0", "a SQLite database", "export the table as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", "save it as CSV UTF-8"),
    (b"\x80\x02", "a Python pickle", "save it as CSV, such as with pandas' to_csv"),
    (b"\x80\x03", "a Python pickle", "save it as CSV, such as with pandas' to_csv"),
    (b"\x80\x04", "a Python pickle", "save it as CSV, such as with pandas' to_csv"),
    (b"\x80\x05", "a Python pickle", "save it as CSV, such as with pandas' to_csv"),
    (b"version https://git-lfs", "a Git LFS pointer", "get the file itself with git lfs pull"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"<?xml", "an XML document", ""),
];

/// Describes a file that is not a text table: what it is, and what to do.
pub(super) fn describe(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(describe_zip(bytes).to_owned());
    }
    let found = SIGNATURES.iter().find(|(signature, ..)| bytes.starts_with(signature));
    if let Some((_, what, advice)) = found {
        return Some(if advice.is_empty() { (*what).to_owned() } else { format!("{what}: {advice}") });
    }
    let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_lowercase();
    let start = start.trim_start_matches('\u{feff}').trim_start();
    let is_html = start.starts_with("<!doctype html") || start.starts_with("<html");
    is_html.then(|| "an HTML page: download the file itself".to_owned())
}

fn describe_zip(bytes: &[u8]) -> &'static str {
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    if has(b"xl/workbook") || has(b"xl/worksheets") {
        "an Excel workbook (.xlsx): save it as CSV UTF-8"
    } else if has(b"vnd.oasis.opendocument.spreadsheet") {
        "an OpenDocument spreadsheet: save it as CSV in UTF-8"
    } else {
        "a ZIP archive: extract the table"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_tables_are_named() {
        let check = |bytes: &[u8], want: &str| {
            let found = describe(bytes).unwrap_or_default();
            assert!(found.contains(want), "{found}");
        };
        check(b"\xff\xd8\xff\xe0..JFIF", "a JPEG image");
        check(b"PK\x03\x04\x14\0\x06\0[Content_Types].xml .. xl/workbook.xml", "Excel workbook (.xlsx)");
        check(b"PK\x03\x04\x14\0videos.csv", "a ZIP archive: extract");
        check(b"\x1f\x8b\x08\0", "gunzip");
        check(b"PAR1\x15", "a Parquet file");
        check(b"\xef\xbb\xbf\n<!DOCTYPE html><title>404", "an HTML page");
        assert_eq!(describe(b"video_id,views\n"), None);
        assert_eq!(describe(b""), None);
    }
}
