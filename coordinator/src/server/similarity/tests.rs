//! The search compared with a brute-force one, over all sorts of vectors.

use common::{
    digest::Digest,
    embedding::{DIMENSIONS, Embedding},
};
use proptest::prelude::*;

use super::{
    exact::{cosine, normalised},
    matrix::Matrix,
    quantised::{Centre, QuantisedQuery, QuantisedRow},
};

/// Seeded numbers from -1 to 1 (SplitMix64).
fn numbers(mut seed: u64) -> impl FnMut() -> f32 {
    move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ word >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Random,
    /// Features of images: positive, most near 0, a few large.
    Skewed,
    /// Near one of a few others.
    Clustered,
    /// One of a few.
    Repeated,
    OneHot,
    Zero,
    NotFinite,
    /// Among the least that half precision has.
    Tiny,
    Huge,
    /// All equal but one.
    Flat,
}

fn embedding(kind: Kind, seed: u64) -> Embedding {
    let mut number = numbers(seed);
    let mut of_cluster = numbers(seed % 3);
    let place = (seed % DIMENSIONS as u64) as usize;
    let value = |index: usize| match kind {
        Kind::Skewed => (number() + 1.0).powi(6),
        Kind::Clustered => of_cluster() + number() / 200.0,
        Kind::Repeated => of_cluster(),
        Kind::OneHot if index == place => number() * 100.0,
        Kind::OneHot | Kind::Zero => 0.0,
        Kind::NotFinite if index == place => [f32::NAN, f32::INFINITY][place % 2],
        Kind::Random | Kind::NotFinite => number(),
        Kind::Tiny => number() * 1e-6,
        Kind::Huge => number() * 65_000.0,
        Kind::Flat if index == place => 1.0 + number() / 100.0,
        Kind::Flat => 1.0,
    };
    Embedding::from_f32(&(0..DIMENSIONS).map(value).collect::<Vec<_>>())
}

fn embeddings() -> impl Strategy<Value = Embedding> {
    use Kind::*;
    let kind = proptest::sample::select(vec![
        Random, Skewed, Clustered, Repeated, OneHot, Zero, NotFinite, Tiny, Huge, Flat,
    ]);
    (kind, 0_u64..40).prop_map(|(kind, seed)| embedding(kind, seed))
}

/// The vector of length 1, or of length 0 if it has no direction.
fn reference_row(embedding: &Embedding) -> Vec<f32> {
    let values: Vec<f64> = embedding.to_f32().into_iter().map(f64::from).collect();
    let length = values.iter().fold(0.0, |sum, value| sum + value * value).sqrt();
    let has_direction = length.is_finite() && length != 0.0;
    values.iter().map(|value| if has_direction { (value / length) as f32 } else { 0.0 }).collect()
}

/// The cosine in f32, in the order of additions that defines it.
fn reference_cosine(a: &[f32], b: &[f32]) -> f32 {
    let lane = |lane: usize| (lane..DIMENSIONS).step_by(16).fold(0.0, |sum, index| sum + a[index] * b[index]);
    (0..16).map(lane).fold(0.0, |sum, lane| sum + lane)
}

type Nearest = Vec<(f32, Digest)>;

/// Returns what a search finds for each query, and what comparing everything finds.
fn found_and_wanted(stored: Vec<Embedding>, queries: &[Embedding], count: usize) -> Vec<(Nearest, Nearest)> {
    let mut matrix = Matrix::default();
    let mut rows = Vec::new();
    for (number, embedding) in stored.into_iter().enumerate() {
        let digest = Digest::of(&number.to_le_bytes());
        rows.push((reference_row(&embedding), digest));
        matrix.insert(digest, embedding);
    }
    let of_query = |query: &Embedding| {
        let found = matrix.nearest(query, count).into_iter();
        let found = found.map(|candidate| (candidate.cosine, candidate.digest)).collect();
        let query = reference_row(query);
        let mut wanted: Nearest =
            rows.iter().map(|(row, digest)| (reference_cosine(row, &query), *digest)).collect();
        wanted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        wanted.truncate(count);
        (found, wanted)
    };
    queries.iter().map(of_query).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_search_finds_what_comparing_everything_finds(
        stored in prop::collection::vec(embeddings(), 0..120),
        query in embeddings(),
        count in 0_usize..130,
    ) {
        let (found, want) = found_and_wanted(stored, &[query], count).remove(0);
        prop_assert_eq!(found, want);
    }

    #[test]
    fn bounds_enclose_the_cosine(
        row in embeddings(),
        query in embeddings(),
        centred in prop::collection::vec(embeddings(), 0..4),
    ) {
        let (row, query) = (normalised(&row), normalised(&query));
        let centred: Vec<_> = centred.iter().map(normalised).collect();
        let centre = if centred.is_empty() { Centre::default() } else { Centre::of(&centred) };
        let bounds = QuantisedQuery::new(&query, &centre).bounds(&QuantisedRow::new(&row, &centre));
        let computed = f64::from(cosine(&row, &query));
        let real: f64 = row.iter().zip(&query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        for cosine in [computed, real] {
            prop_assert!(f64::from(bounds.lower) <= cosine && cosine <= f64::from(bounds.upper), "{bounds:?}");
        }
        prop_assert!(bounds.upper - bounds.lower < 0.4, "{bounds:?}");
    }
}

/// Several blocks of rows, with a centre, and several blocks of candidates: every third row is one of three.
#[test]
fn rows_of_all_blocks_are_found() {
    let kinds = [Kind::Repeated, Kind::Skewed, Kind::Flat, Kind::Repeated, Kind::Random, Kind::Clustered];
    let stored = (0..5000).map(|number| embedding(kinds[number as usize % kinds.len()], number)).collect();
    let queries = [
        embedding(Kind::Repeated, 0),
        embedding(Kind::Skewed, 601),
        embedding(Kind::Random, 1),
        embedding(Kind::Zero, 0),
    ];
    for (found, wanted) in found_and_wanted(stored, &queries, 700) {
        assert_eq!(found.len(), 700);
        assert_eq!(found, wanted);
    }
}
