//! Unusual and damaged images decode, or fail to, as they do in Pillow.

use std::{
    fs,
    path::{Path, PathBuf},
};

use images::decode;
use tests::{python::reference, real_data::real_data};

/// Largest allowed difference of a channel value: builds of libjpeg-turbo and libwebp may round differently.
const TOLERANCE: u8 = 1;

/// Pillow's result for a file.
enum Reference {
    Picture { width: u32, height: u32, rgb: Vec<u8> },
    Failure(String),
}

fn decode_with_pillow(images: &[PathBuf]) -> Vec<Reference> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pixels").display().to_string();
    let mut arguments = vec!["decode"];
    let paths: Vec<String> = images.iter().map(|path| path.display().to_string()).collect();
    arguments.extend(paths.iter().map(String::as_str));
    arguments.extend(["--out", &out]);
    reference(&arguments);
    let bytes = fs::read(&out).unwrap();
    let mut rest = bytes.as_slice();
    let mut references = Vec::new();
    while let Some((size, behind)) = rest.split_first_chunk::<8>() {
        let [width, height] = [&size[..4], &size[4..]].map(|n| u32::from_le_bytes(n.try_into().unwrap()));
        let length = if width == 0 { height } else { 3 * width * height } as usize;
        let (content, behind) = behind.split_at(length);
        references.push(if width == 0 {
            Reference::Failure(String::from_utf8_lossy(content).into_owned())
        } else {
            Reference::Picture { width, height, rgb: content.to_vec() }
        });
        rest = behind;
    }
    assert_eq!(references.len(), images.len());
    references
}

/// Compares decoding of every file in `folder` with Pillow, prints each result and returns the differences.
fn compare(folder: &Path) -> Vec<String> {
    let mut images: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    images.sort();
    assert!(!images.is_empty());
    let mut differing = Vec::new();
    for (path, reference) in images.iter().zip(decode_with_pillow(&images)) {
        let (same, text) = match (decode::decode(&fs::read(path).unwrap()), reference) {
            (Err(ours), Reference::Failure(theirs)) => (true, format!("fails: {ours} (Pillow: {theirs})")),
            (Ok(_), Reference::Failure(theirs)) => (false, format!("only Pillow fails: {theirs}")),
            (Err(ours), Reference::Picture { .. }) => (false, format!("only we fail: {ours}")),
            (Ok(ours), Reference::Picture { width, height, rgb }) => {
                let largest = ours.rgb.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
                let same = (ours.width, ours.height) == (width, height) && largest <= TOLERANCE;
                (same, format!("{}×{}, largest difference {largest}", ours.width, ours.height))
            }
        };
        let line = format!("{}: {text}", path.file_name().unwrap().to_string_lossy());
        tests::print_line(&line);
        if !same {
            differing.push(line);
        }
    }
    differing
}

#[test]
fn odd_images_decode_or_fail_as_they_do_in_pillow() {
    let folder = tempfile::tempdir().unwrap();
    reference(&["odd", &folder.path().display().to_string()]);
    let differing = compare(folder.path());
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn odd_images_found_in_the_wild_decode_or_fail_as_they_do_in_pillow() {
    let Some(data) = real_data("odd_images") else { return };
    let differing = compare(&data.join("odd-images"));
    assert!(differing.is_empty(), "{differing:#?}");
}
