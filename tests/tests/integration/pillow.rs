//! What Pillow makes of image files.

use std::{fs, path::Path};

use common::digest::Digest;
use images::picture::Picture;
use tests::python::reference;

/// Pillow's result for a file.
pub(crate) enum Reference {
    /// The picture, and the SHA-256 of its 224×224 resize.
    Picture {
        picture: Picture,
        resized: Digest,
    },
    Failure(String),
}

/// Decodes and resizes the `count` files of a folder, in the order of their names.
pub(crate) fn decode(folder: &Path, count: usize) -> Vec<Reference> {
    let out = tempfile::NamedTempFile::new().unwrap();
    let [folder, out] = [folder, out.path()].map(|path| path.display().to_string());
    reference(&["decode", &folder, "--out", &out]);
    let bytes = fs::read(&out).unwrap();
    let mut rest = bytes.as_slice();
    let mut references = Vec::with_capacity(count);
    while let Some((size, behind)) = rest.split_first_chunk::<8>() {
        let [width, height] = [&size[..4], &size[4..]].map(|n| u32::from_le_bytes(n.try_into().unwrap()));
        let length = if width == 0 { height } else { 3 * width * height } as usize;
        let (content, mut behind) = behind.split_at(length);
        references.push(if width == 0 {
            Reference::Failure(String::from_utf8_lossy(content).into_owned())
        } else {
            let (digest, after) = behind.split_first_chunk().unwrap();
            behind = after;
            let picture = Picture { width, height, rgb: content.to_vec() };
            Reference::Picture { picture, resized: Digest(*digest) }
        });
        rest = behind;
    }
    assert_eq!(references.len(), count);
    references
}
