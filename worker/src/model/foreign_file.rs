//! Names files that were given as weights but are something else, by their first bytes, and says what to do.

/// Ask PyTorch to write the tensors alone.
const SAVE: &str = "save model.state_dict() with torch.save instead";

/// First bytes, what they begin, and what to do.
const KINDS: [(&[u8], &str, &str); 10] = [
    (b"version https://git-lfs.github.com/", "a Git LFS pointer", "run `git lfs pull` in its repository"),
    (b"/annex/objects/", "a git-annex pointer", "run `git annex get` on it"),
    (b"\x1f\x8b", "compressed with gzip", "decompress it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it"),
    (b"BZh", "compressed with bzip2", "decompress it"),
    (b"\xfd7zXZ\0", "compressed with xz", "decompress it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes", SAVE),
    (b"GGUF", "a GGUF file", SAVE),
    (b"\x93NUMPY", "a NumPy array", SAVE),
];
/// Returns what the file is and what to do, unless it may be a `.safetensors` file.
pub(super) fn reason(bytes: &[u8]) -> Option<String> {
    let start = &bytes[..bytes.len().min(1024)];
    let (kind, advice) = kind(start)?;
    Some(format!("the file is {kind}, not the weights: {advice}"))
}

fn kind(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if start.is_empty() {
        return Some(("empty", "download or save it again"));
    }
    if let Some((_, kind, advice)) = KINDS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Some((kind, advice));
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    // In a .safetensors file, `{` follows the length of the header.
    match text {
        [b'<', ..] => {
            let advice = "download the file itself; the address of a page that shows it, or that asks for a login, \
                          gives the page (on Hugging Face, the address has /resolve/ rather than /blob/)";
            return Some(("a page of HTML or XML", advice));
        }
        [b'{', ..] => {
            return Some((
                "JSON, such as an error message or an index of parts",
                "name the file of the tensors",
            ));
        }
        _ => {}
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", "unpack it, and name the .pth or .safetensors file in it"));
    }
    matches!(start, [0x80, 2..=5, ..]).then_some(("a Python pickle that torch.save did not write", SAVE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named() {
        let check = |bytes: &[u8], want: &str| {
            let reason = reason(bytes).unwrap_or_default();
            assert!(reason.contains(want), "{reason}");
        };
        check(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "`git lfs pull`");
        check(b"\n  <!DOCTYPE html><title>Sign in</title>", "HTML");
        check(b"\xef\xbb\xbf<html>", "HTML");
        check(b"{\"error\": \"Repository not found\"}", "JSON");
        check(b"", "empty");
        check(b"\x1f\x8b\x08", "gzip");
        check(&[&[b'a'; 257][..], b"ustar"].concat(), "tar archive");
        check(b"\x80\x04\x95\x00}.", "pickle");
        assert_eq!(reason(b"\x10\0\0\0\0\0\0\0{}"), None);
    }
}
