//! Decoding and resizing keep nothing of one picture for the next.

use std::{fs, num::NonZero, path::Path, thread};

use common::job::outcome::ItemFailure;
use images::{
    decode::decode,
    perceptual_hash::PerceptualHash,
    picture::Picture,
    preprocess::{self, Pixels},
};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use tests::real_data::real_data;

const ORDERS: usize = 1_000;
/// Perceptual hashes take longer than the rest, and are computed in every so many orders.
const ORDERS_PER_HASH: usize = 50;
/// Larger pictures and files are left out, to save time.
const MAX_PIXELS: u32 = 20_000;
const MAX_BYTES: u64 = 200_000;

struct Sample {
    name: String,
    bytes: Vec<u8>,
    expected: Result<(Picture, Pixels, PerceptualHash), ItemFailure>,
}

impl Sample {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let expected = decode(&bytes).map(|picture| {
            let pixels = preprocess::resize(&picture).unwrap();
            let hash = PerceptualHash::of(&picture).unwrap();
            (picture, pixels, hash)
        });
        Self { name: path.file_name().unwrap().to_string_lossy().into_owned(), bytes, expected }
    }

    fn is_small(&self) -> bool {
        self.expected.as_ref().map_or(true, |(picture, ..)| picture.width * picture.height <= MAX_PIXELS)
    }

    fn check(&self, order: usize) {
        let name = &self.name;
        match (decode(&self.bytes), &self.expected) {
            (Ok(picture), Ok((expected, expected_pixels, expected_hash))) => {
                assert!(picture == *expected, "{name} in order {order}: other pixels");
                let pixels = preprocess::resize(&picture).unwrap();
                assert!(pixels == *expected_pixels, "{name} in order {order}: resized to other pixels");
                if order.is_multiple_of(ORDERS_PER_HASH) {
                    let hash = PerceptualHash::of(&picture).unwrap();
                    assert!(hash == *expected_hash, "{name} in order {order}: another hash");
                }
            }
            (Err(failure), Err(expected)) => assert_eq!(failure, *expected, "{name} in order {order}"),
            (result, _) => panic!("{name} in order {order}: {:?}", result.map(|_| "decoded")),
        }
    }
}

/// Each thread decodes as a worker's decode thread does, all files again and again, in random orders.
#[test]
fn pictures_are_the_same_in_1000_random_orders() {
    let folder = super::write_odd_images();
    let mut files = super::files(folder.path());
    if let Some(data) = real_data("orders of odd images found in the wild") {
        files.extend(super::files(&data.join("odd-images")));
    }
    files.retain(|file| fs::metadata(file).unwrap().len() <= MAX_BYTES);
    // Each expected result is computed on a thread that has decoded nothing before.
    let mut samples: Vec<Sample> = files
        .iter()
        .map(|file| thread::scope(|scope| scope.spawn(|| Sample::read(file)).join().unwrap()))
        .collect();
    samples.retain(Sample::is_small);

    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for thread in 0..threads {
            let samples = &samples;
            scope.spawn(move || {
                let mut order: Vec<&Sample> = samples.iter().collect();
                for number in (thread..ORDERS).step_by(threads) {
                    order.shuffle(&mut ChaCha8Rng::seed_from_u64(number as u64));
                    order.iter().for_each(|sample| sample.check(number));
                }
            });
        }
    });
    let decoded = samples.iter().filter(|sample| sample.expected.is_ok()).count();
    tests::print_line(&format!(
        "{ORDERS} random orders of {} files on {threads} threads: one result each, {decoded} pictures and {} failures",
        samples.len(),
        samples.len() - decoded
    ));
}
