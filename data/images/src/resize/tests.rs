//! Tests of the passes. `tests/tests/integration/resizing.rs` compares them with Pillow.

use proptest::prelude::*;

use super::*;

const SIDE: usize = 224;

/// Values without a pattern that a sum could miss.
fn picture(width: u32, height: u32, seed: u32) -> Picture {
    let value = |index: u32| ((index ^ seed).wrapping_mul(0x9e37_79b1) >> 24) as u8;
    Picture { width, height, rgb: (0..3 * width * height).map(value).collect() }
}

fn resized(instructions: Instructions, picture: &Picture) -> Vec<u8> {
    let mut target = vec![0; SIDE * SIDE * 3];
    resize_with(instructions, picture, SIDE, &mut target);
    target
}

fn check(width: u32, height: u32, seed: u32) {
    let picture = picture(width, height, seed);
    let is_equal = resized(Instructions::fastest(), &picture) == resized(Instructions::Scalar, &picture);
    assert!(is_equal, "{width}×{height}");
}

fn has_vectors() -> bool {
    let has_vectors = Instructions::fastest() != Instructions::Scalar;
    if !has_vectors {
        println!("SKIPPED: no vector instructions to compare with");
    }
    has_vectors
}

#[test]
fn vectors_compute_the_scalar_bytes_at_every_small_size() {
    if has_vectors() {
        (1..20).for_each(|width| (1..20).for_each(|height| check(width, height, 1)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn vectors_compute_the_scalar_bytes(width in 1_u32..1_500, height in 1_u32..1_500, seed: u32) {
        if has_vectors() {
            check(width, height, seed);
        }
    }

    #[test]
    fn vectors_compute_the_scalar_bytes_of_narrow_pictures(short in 1_u32..12, long in 1_u32..60_000, seed: u32) {
        if has_vectors() {
            check(short, long, seed);
            check(long, short, seed);
        }
    }
}

#[test]
fn white_stays_white() {
    for (width, height) in [(1, 1), (3, 4_000), (4_000, 3), (500, 500), (1_100_000, 1)] {
        let picture = Picture { width, height, rgb: vec![255; (3 * width * height) as usize] };
        assert!(
            resized(Instructions::fastest(), &picture).iter().all(|value| *value == 255),
            "{width}×{height}"
        );
    }
}
