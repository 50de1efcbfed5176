//! Unusual and damaged images decode, or fail to, as they do in Pillow, whatever was decoded before them.

mod differences;
mod orders;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::digest::Digest;
use differences::known_reason;
use images::{decode, picture::Picture, preprocess};
use tests::{python, real_data::real_data};

use crate::pillow::{self, Reference};

/// Largest allowed difference of a channel value: builds of libjpeg-turbo and libwebp may round differently.
const TOLERANCE: u8 = 1;

/// Writes the odd images, and returns their folder.
fn write_odd_images() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    python::run("odd_images.py", &[&folder.path().display().to_string()]);
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// How decoding of a file compares with Pillow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Comparison {
    SamePixels,
    BothFail,
    OnlyPillowFails,
    OnlyWeFail,
    OtherPixels,
    OtherResize,
}

fn compare(bytes: &[u8], reference: Reference) -> (Comparison, String) {
    match (decode::decode(bytes), reference) {
        (Err(ours), Reference::Failure(theirs)) => {
            (Comparison::BothFail, format!("fails: {ours} (Pillow: {theirs})"))
        }
        (Ok(_), Reference::Failure(theirs)) => {
            (Comparison::OnlyPillowFails, format!("only Pillow fails: {theirs}"))
        }
        (_, Reference::Picture { picture, resized })
            if Digest::of(&preprocess::resize(&picture).unwrap().0) != resized =>
        {
            (Comparison::OtherResize, "Pillow's picture is resized to other pixels".to_owned())
        }
        (Err(ours), Reference::Picture { .. }) => (Comparison::OnlyWeFail, format!("only we fail: {ours}")),
        (Ok(ours), Reference::Picture { picture: Picture { width, height, rgb }, .. }) => {
            let largest = ours.rgb.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
            let is_same = (ours.width, ours.height) == (width, height) && largest <= TOLERANCE;
            let comparison = if is_same { Comparison::SamePixels } else { Comparison::OtherPixels };
            let text = format!("{}×{} ({width}×{height}), difference {largest}", ours.width, ours.height);
            (comparison, text)
        }
    }
}

/// Compares decoding and resizing of every file in `folder` with Pillow, prints how many differ and why, and returns the
/// differences without a known reason.
fn unexplained_differences(folder: &Path) -> Vec<String> {
    let files = files(folder);
    let mut counts: BTreeMap<(String, Comparison), usize> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for (path, reference) in files.iter().zip(pillow::decode(folder, files.len())) {
        let (comparison, text) = compare(&fs::read(path).unwrap(), reference);
        let name = path.file_name().unwrap().to_string_lossy();
        let extension = path.extension().unwrap().to_string_lossy().into_owned();
        *counts.entry((extension, comparison)).or_default() += 1;
        if matches!(comparison, Comparison::SamePixels | Comparison::BothFail) {
            continue;
        }
        match known_reason(&name) {
            Some(reason) if comparison != Comparison::OtherResize => {
                reasons.entry(reason).or_default().push(format!("{name}: {text}"));
            }
            _ => unexplained.push(format!("{name}: {text}")),
        }
    }
    tests::print_line(&format!("{} files compared with Pillow: {counts:#?}", files.len()));
    tests::print_line(&format!("differences: {reasons:#?}"));
    unexplained
}

#[test]
fn odd_images_decode_or_fail_as_they_do_in_pillow() {
    let folder = write_odd_images();
    let unexplained = unexplained_differences(folder.path());
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}

#[test]
fn odd_images_found_in_the_wild_decode_or_fail_as_they_do_in_pillow() {
    let Some(data) = real_data("odd_images") else { return };
    let unexplained = unexplained_differences(&data.join("odd-images"));
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
