//! Measures decoding and resizing of JPEG files.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use ::images::preprocess;

use super::{images::BenchImages, report::DecodeRow};

/// Rounds per figure, which is their median.
const ROUNDS: u32 = 3;

/// Measures on one core and on all.
pub(super) fn measure(
    images: &BenchImages,
    cores: usize,
    duration: Duration,
) -> anyhow::Result<Vec<DecodeRow>> {
    // Fails with the name of a broken image.
    images.pixels(usize::MAX)?;
    let mut threads = vec![1, cores];
    threads.dedup();
    Ok(threads.into_iter().map(|threads| median_of_rounds(&images.files, threads, duration)).collect())
}

fn median_of_rounds(files: &[Vec<u8>], threads: usize, duration: Duration) -> DecodeRow {
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(files, threads, duration / ROUNDS)).collect();
    rates.sort_by(f64::total_cmp);
    let images_per_second = rates[rates.len() / 2];
    let core_ms_per_image = 1000.0 * threads as f64 / images_per_second;
    DecodeRow { threads, images_per_second, core_ms_per_image }
}

/// Images per second of `threads` threads that decode files in turn for `duration`.
fn rate(files: &[Vec<u8>], threads: usize, duration: Duration) -> f64 {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let decode = || {
        while began.elapsed() < duration {
            let file = &files[next.fetch_add(1, Ordering::Relaxed) % files.len()];
            std::hint::black_box(preprocess::pixels(file).expect("every image has been decoded once"));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(decode);
        }
    });
    next.into_inner() as f64 / began.elapsed().as_secs_f64()
}
