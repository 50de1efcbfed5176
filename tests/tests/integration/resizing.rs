//! Pictures are resized to the same bytes as by Pillow. `odd_images` compares more kinds of files.

use std::fs;

use common::digest::Digest;
use images::{
    decode::decode,
    encode,
    picture::Picture,
    preprocess::{self, SIDE},
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tests::real_data::real_data;

use crate::pillow::{self, Reference};

/// Sides near each decision of the resize: no pass, one pass, the order of the passes, vectors or not, all weights or
/// some at a time.
const SIZES: [(u32, u32); 40] = [
    (1, 1),
    (1, 2),
    (2, 1),
    (3, 3),
    (5, 5),
    (6, 1),
    (6, 6),
    (7, 5),
    (10, 11),
    (11, 10),
    (1, 224),
    (224, 1),
    (223, 224),
    (224, 223),
    (224, 224),
    (224, 225),
    (225, 224),
    (225, 226),
    (225, 227),
    (224, 672),
    (672, 224),
    (300, 375),
    (300, 376),
    (300, 377),
    (447, 449),
    (448, 448),
    (120, 90),
    (320, 180),
    (480, 360),
    (640, 480),
    (1280, 720),
    (3, 4_000),
    (4_000, 3),
    (1, 5_000),
    (5_000, 1),
    (2, 65_537),
    (65_537, 2),
    (131_073, 2),
    (1_100_000, 1),
    (1, 1_100_000),
];
const RANDOM_SIZES: usize = 80;

#[test]
fn pictures_of_many_sizes_are_resized_to_pillows_bytes() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut sizes = SIZES.to_vec();
    sizes.extend((0..RANDOM_SIZES).map(|_| (random.random_range(1..900), random.random_range(1..900))));
    let folder = tempfile::tempdir().unwrap();
    for (number, (width, height)) in sizes.iter().enumerate() {
        let values = (0..3 * width * height).map(|_| random.random::<u8>());
        // Black and white ones have the largest sums.
        let rgb =
            if number % 3 == 0 { values.map(|value| value / 128 * 255).collect() } else { values.collect() };
        let picture = Picture { width: *width, height: *height, rgb };
        fs::write(folder.path().join(format!("{number:03}.png")), encode::png(&picture)).unwrap();
    }
    let mut differing = Vec::new();
    for reference in pillow::decode(folder.path(), sizes.len()) {
        let Reference::Picture { picture, resized } = reference else { panic!("Pillow decodes PNG") };
        if Digest::of(&preprocess::resize(&picture).unwrap().0) != resized {
            differing.push((picture.width, picture.height));
        }
    }
    assert!(differing.is_empty(), "to {SIDE}×{SIDE} from {differing:?}");
}

#[test]
fn real_thumbnails_become_pillows_bytes() {
    let Some(data) = real_data("real_thumbnails_become_pillows_bytes") else { return };
    let folder = data.join("fitness-3200/thumbnails");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut differing = Vec::new();
    for (path, reference) in files.iter().zip(pillow::decode(&folder, files.len())) {
        let Reference::Picture { picture, resized } = reference else { panic!("Pillow decodes {path:?}") };
        let bytes = fs::read(path).unwrap();
        let is_same = decode(&bytes).unwrap() == picture
            && Digest::of(&preprocess::pixels(&bytes).unwrap().0) == resized;
        if !is_same {
            differing.push(path);
        }
    }
    tests::print_line(&format!("{} thumbnails compared with Pillow", files.len()));
    assert!(differing.is_empty(), "{} of {} differ: {differing:?}", differing.len(), files.len());
}
