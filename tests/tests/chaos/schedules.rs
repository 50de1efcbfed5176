//! Schedules of disturbances: nothing is lost or duplicated, and trained weights stay bit-identical.

use tests::{
    chaos::{
        load::Datasets,
        runner::{self, Outcome},
        schedule::Schedule,
        servers::ServerPair,
    },
    environment::number,
};

/// Default seeds.
const SEEDS: [u64; 2] = [26, 36];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disturbed_systems_lose_and_duplicate_nothing() {
    let _guard = crate::EXCLUSIVE.lock().await;
    let seeds: Vec<u64> = match (number("SUBWATCH_CHAOS_SEED"), number("SUBWATCH_CHAOS_SCHEDULES")) {
        (None, None) => SEEDS.to_vec(),
        (first, count) => (first.unwrap_or(0)..).take(count.unwrap_or(1) as usize).collect(),
    };
    let (servers, datasets) = tokio::join!(ServerPair::start(), Datasets::make());
    let undisturbed = runner::undisturbed_weights(servers.addresses(), &datasets).await;
    let mut outcome = Outcome::default();
    for seed in seeds {
        runner::play(&servers, &datasets, &undisturbed, &Schedule::of(seed), &mut outcome).await;
    }
    tests::print_line(&outcome.to_string());
    assert!(outcome.failed.is_empty(), "failed seeds: {:#?}", outcome.failed);
}
