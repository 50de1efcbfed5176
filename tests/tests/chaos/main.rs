//! Chaos over real servers: `make test` plays a few fixed schedules, `make chaos` as many as are asked for.

use tests::{
    chaos::{
        load::Datasets,
        runner::{self, Outcome},
        schedule::Schedule,
        servers::ServerPair,
    },
    environment::number,
};

/// The seeds that `make test` plays.
const SEEDS: [u64; 3] = [1, 2, 3];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disturbed_systems_lose_and_double_nothing() {
    let schedules = number("SUBWATCH_CHAOS_SCHEDULES");
    let seeds: Vec<u64> = match (number("SUBWATCH_CHAOS_SEED"), schedules) {
        (None, None) => SEEDS.to_vec(),
        (first, count) => (first.unwrap_or(0)..).take(count.unwrap_or(1) as usize).collect(),
    };
    let (servers, datasets) = tokio::join!(ServerPair::start(), Datasets::make());
    let undisturbed = runner::undisturbed_weights(&servers, &datasets).await;
    let mut outcome = Outcome::default();
    for seed in seeds {
        runner::play(&servers, &datasets, &undisturbed, &Schedule::of(seed), &mut outcome).await;
    }
    tests::say(&outcome.to_string());
    assert!(outcome.failed.is_empty(), "{:#?}", outcome.failed);
}
