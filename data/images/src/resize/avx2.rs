//! The two passes with AVX2, bit for bit those of `scalar.rs`.
//!
//! The instruction that multiplies pairs of 16-bit numbers and adds the two products, `vpmaddwd`, is exact for a byte
//! and a number of 15 bits. A weight has up to 23 bits, so it is split into its low 15 and its high 8, and each half has
//! its own sum. Both sums are taken modulo 2³². This is exact, too, since their total, the low sum and 2¹⁵ high ones,
//! is below 2³¹.

use std::arch::x86_64::*;

use super::{
    rows::{GROUP, Rows},
    scalar,
    weights::{FRACTION_BITS, HALF, Windows},
};

/// Bits of the low half of a weight.
const LOW_BITS: u32 = 15;
/// Bytes that the vertical pass takes at a time.
const WIDTH: usize = 32;
const ABSENT: i8 = -1;

/// The weights of two neighbouring input pixels.
#[derive(Clone, Copy)]
struct Pair {
    low: i32,
    high: i32,
}

impl Pair {
    fn new(weights: &[u32]) -> Self {
        let (first, second) = (weights[0], weights.get(1).copied().unwrap_or(0));
        let low = |weight: u32| weight & ((1 << LOW_BITS) - 1);
        let pack = |first: u32, second: u32| (first | second << 16).cast_signed();
        Self { low: pack(low(first), low(second)), high: pack(first >> LOW_BITS, second >> LOW_BITS) }
    }
}

/// The weights of the horizontal pass, in pairs: as many for each output pixel, so that no branch depends on it. The
/// last of an odd number of output pixels is there twice.
pub(super) struct PairedWindows {
    /// The first input pixel of each output pixel.
    firsts: Vec<usize>,
    pairs: Vec<Pair>,
}

impl PairedWindows {
    /// Pairs the weights for rows of `width` pixels; `None` if a row is shorter than the pairs.
    pub(super) fn new(windows: &Windows, width: usize) -> Option<Self> {
        let length = windows.iter().map(|(_, weights)| weights.len()).max()?.next_multiple_of(2);
        let last_first = width.checked_sub(length)?;
        let (mut firsts, mut pairs, mut padded) = (Vec::new(), Vec::new(), vec![0; length]);
        for (first, weights) in windows.iter() {
            let start = first.min(last_first);
            padded.fill(0);
            padded[first - start..][..weights.len()].copy_from_slice(weights);
            firsts.push(start);
            pairs.extend(padded.chunks_exact(2).map(Pair::new));
        }
        if !firsts.len().is_multiple_of(2) {
            firsts.extend(firsts.last().copied());
            pairs.extend_from_within(pairs.len() - length / 2..);
        }
        Some(Self { firsts, pairs })
    }
}

/// Proof that the processor has AVX2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Returns `None` if the processor does not have it.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Resamples four rows of RGB pixels, each followed by [`SLACK`](super::rows::SLACK) bytes of any value.
    pub(super) fn horizontal(
        self,
        windows: &PairedWindows,
        rows: [&[u8]; GROUP],
        targets: [&mut [u8]; GROUP],
    ) {
        #[expect(unsafe_code, reason = "only some processors have AVX2")]
        // SAFETY: this one does, or there would be no `self`.
        unsafe {
            horizontal(windows, rows, targets);
        }
    }

    /// Computes an output row: the weighted sums of the rows from `first` on.
    pub(super) fn vertical(self, rows: Rows<'_>, first: usize, weights: &[u32], target: &mut [u8]) {
        #[expect(unsafe_code, reason = "only some processors have AVX2")]
        // SAFETY: this one does, or there would be no `self`.
        unsafe {
            vertical(rows, first, weights, target);
        }
    }
}

#[target_feature(enable = "avx2")]
fn horizontal(windows: &PairedWindows, rows: [&[u8]; GROUP], mut targets: [&mut [u8]; GROUP]) {
    // Rows of one length need one check.
    let length = rows[0].len();
    let rows = rows.map(|row| &row[..length]);
    let count = windows.pairs.len() / windows.firsts.len();
    let [a, b, c, d] = &mut targets;
    let windows = windows.firsts.as_chunks::<2>().0.iter().zip(windows.pairs.chunks_exact(2 * count));
    for (number, (firsts, pairs)) in windows.enumerate() {
        let mut words = [_mm256_setzero_si256(); 2];
        // One call, in a loop, is inlined.
        for ((words, first), pairs) in words.iter_mut().zip(firsts).zip(pairs.chunks_exact(count)) {
            *words = weighted_pixels(&rows, *first, pairs);
        }
        let bytes = without_gaps(_mm256_packus_epi16(words[0], words[1]));
        let [ac, bd] = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
        let start = 6 * number;
        write_two(a, start, _mm_cvtsi128_si64(ac));
        write_two(b, start, _mm_cvtsi128_si64(bd));
        write_two(c, start, _mm_extract_epi64::<1>(ac));
        write_two(d, start, _mm_extract_epi64::<1>(bd));
    }
}

/// Computes an output pixel of each row: R, G, B and a gap. In the lower half are rows a and c, in the upper b and d.
#[inline]
#[target_feature(enable = "avx2")]
fn weighted_pixels(rows: &[&[u8]; GROUP], first: usize, pairs: &[Pair]) -> __m256i {
    let mut sums = [Sums::new(); 2];
    let mut offset = first * 3;
    let (blocks, last) = pairs.as_chunks::<2>();
    for block in blocks {
        for (sums, rows) in sums.iter_mut().zip(rows.as_chunks::<2>().0) {
            let pixels = two_rows(rows, offset);
            sums.add(first_two(pixels), block[0]);
            sums.add(last_two(pixels), block[1]);
        }
        offset += 12;
    }
    for pair in last {
        for (sums, rows) in sums.iter_mut().zip(rows.as_chunks::<2>().0) {
            sums.add(first_two(two_rows(rows, offset)), *pair);
        }
    }
    _mm256_packs_epi32(sums[0].rounded(), sums[1].rounded())
}

/// Writes two pixels. The two bytes after them are written as well if they are the row's: the next call writes them.
#[inline]
fn write_two(target: &mut [u8], start: usize, pixels: i64) {
    let pixels = pixels.to_le_bytes();
    let target = &mut target[start..];
    match target.first_chunk_mut() {
        Some(place) => *place = pixels,
        None => {
            let length = target.len().min(6);
            target[..length].copy_from_slice(&pixels[..length]);
        }
    }
}

#[target_feature(enable = "avx2")]
fn vertical(rows: Rows<'_>, first: usize, weights: &[u32], target: &mut [u8]) {
    let (blocks, rest) = target.as_chunks_mut::<WIDTH>();
    let start = blocks.len() * WIDTH;
    for (number, block) in blocks.iter_mut().enumerate() {
        let mut sums = [Sums::new(); 4];
        for (index, weights) in (first..).step_by(2).zip(weights.chunks(2)) {
            let pair = Pair::new(weights);
            let load = |index| {
                load32(rows.row(index)[number * WIDTH..].first_chunk().expect("a block is in its row"))
            };
            let upper = load(index);
            // The second weight of a pair without a second row is zero.
            let lower = if weights.len() == 2 { load(index + 1) } else { upper };
            let zero = _mm256_setzero_si256();
            let [even, odd] = [_mm256_unpacklo_epi8(upper, lower), _mm256_unpackhi_epi8(upper, lower)];
            sums[0].add(_mm256_unpacklo_epi8(even, zero), pair);
            sums[1].add(_mm256_unpackhi_epi8(even, zero), pair);
            sums[2].add(_mm256_unpacklo_epi8(odd, zero), pair);
            sums[3].add(_mm256_unpackhi_epi8(odd, zero), pair);
        }
        let left = _mm256_packs_epi32(sums[0].rounded(), sums[1].rounded());
        let right = _mm256_packs_epi32(sums[2].rounded(), sums[3].rounded());
        store32(_mm256_packus_epi16(left, right), block);
    }
    scalar::vertical(rows, first, weights, start, rest);
}

/// Eight sums of products.
#[derive(Clone, Copy)]
struct Sums {
    low: __m256i,
    high: __m256i,
}

impl Sums {
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        Self { low: _mm256_set1_epi32(HALF.cast_signed()), high: _mm256_setzero_si256() }
    }

    /// Adds eight pairs of values, each of 16 bits, times the pair of weights.
    #[target_feature(enable = "avx2")]
    fn add(&mut self, values: __m256i, pair: Pair) {
        let low = _mm256_madd_epi16(values, _mm256_set1_epi32(pair.low));
        let high = _mm256_madd_epi16(values, _mm256_set1_epi32(pair.high));
        self.low = _mm256_add_epi32(self.low, low);
        self.high = _mm256_add_epi32(self.high, high);
    }

    #[target_feature(enable = "avx2")]
    fn rounded(self) -> __m256i {
        let high = _mm256_slli_epi32::<{ LOW_BITS as i32 }>(self.high);
        _mm256_srli_epi32::<{ FRACTION_BITS as i32 }>(_mm256_add_epi32(self.low, high))
    }
}

/// Loads 16 bytes of each row, from `offset` on.
#[target_feature(enable = "avx2")]
fn two_rows(rows: &[&[u8]; 2], offset: usize) -> __m256i {
    let [a, b] = rows;
    let a = load16(block(a, offset));
    let b = load16(block(b, offset));
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b)
}

#[inline]
fn block(row: &[u8], offset: usize) -> &[u8; 16] {
    row[offset..].first_chunk().expect("a block is in its row and the slack")
}

/// Moves the channels of the first two pixels side by side, as 16-bit numbers: R R G G B B.
#[target_feature(enable = "avx2")]
fn first_two(pixels: __m256i) -> __m256i {
    const Z: i8 = ABSENT;
    let order = _mm_setr_epi8(0, Z, 3, Z, 1, Z, 4, Z, 2, Z, 5, Z, Z, Z, Z, Z);
    _mm256_shuffle_epi8(pixels, _mm256_broadcastsi128_si256(order))
}

/// Moves the channels of the third and fourth pixel side by side.
#[target_feature(enable = "avx2")]
fn last_two(pixels: __m256i) -> __m256i {
    const Z: i8 = ABSENT;
    let order = _mm_setr_epi8(6, Z, 9, Z, 7, Z, 10, Z, 8, Z, 11, Z, Z, Z, Z, Z);
    _mm256_shuffle_epi8(pixels, _mm256_broadcastsi128_si256(order))
}

/// Closes the gaps between two pixels in every eight bytes.
#[target_feature(enable = "avx2")]
fn without_gaps(bytes: __m256i) -> __m256i {
    const Z: i8 = ABSENT;
    let order = _mm_setr_epi8(0, 1, 2, 8, 9, 10, Z, Z, 4, 5, 6, 12, 13, 14, Z, Z);
    _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order))
}

#[target_feature(enable = "avx2")]
fn load16(bytes: &[u8; 16]) -> __m128i {
    #[expect(unsafe_code, reason = "vectors are loaded through pointers")]
    // SAFETY: the array has the 16 bytes that are read, at any alignment.
    unsafe {
        _mm_loadu_si128(bytes.as_ptr().cast())
    }
}

#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8; 32]) -> __m256i {
    #[expect(unsafe_code, reason = "vectors are loaded through pointers")]
    // SAFETY: the array has the 32 bytes that are read, at any alignment.
    unsafe {
        _mm256_loadu_si256(bytes.as_ptr().cast())
    }
}

#[target_feature(enable = "avx2")]
fn store32(vector: __m256i, bytes: &mut [u8; 32]) {
    #[expect(unsafe_code, reason = "vectors are stored through pointers")]
    // SAFETY: the array has room for the 32 bytes that are written, at any alignment.
    unsafe {
        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector);
    }
}
