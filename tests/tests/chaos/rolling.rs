//! Rolling restarts: every worker is restarted gracefully, repeatedly, under load.

use tests::{
    chaos::{
        disturb::ExpectedEffects,
        load::{Datasets, Load},
        runner, verdict,
    },
    environment::{Servers, number},
};
use tokio_util::sync::CancellationToken;

/// Default number of rounds over all workers.
const ROUNDS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_dead_letter_nothing() {
    let _guard = crate::EXCLUSIVE.lock().await;
    let rounds = number("SUBWATCH_CHAOS_ROLLS").unwrap_or(ROUNDS);
    let datasets = Datasets::make().await;
    let undisturbed = runner::undisturbed_weights(Servers::from_environment(), &datasets).await;
    let system = runner::start(Servers::from_environment(), &datasets, "rolling").await;
    let load = Load::warm_up(&system, &datasets).await;
    let (over, done) = (CancellationToken::new(), CancellationToken::new());
    let mut held = 0;
    let rolling = async {
        for _ in 0..rounds {
            for worker in system.workers() {
                let mut slot = system.slot(worker).await;
                let instance = slot.instance();
                held += system.in_flight().await.iter().filter(|(_, _, by)| *by == instance).count();
                system.terminate(&mut slot).await;
                system.restart(&mut slot, None);
                drop(slot);
                system.wait_until_serving().await;
            }
        }
        over.cancel();
    };
    let working = async {
        tokio::join!(rolling, load.submit_until(&over));
        done.cancel();
    };
    tokio::join!(working, system.count_redeliveries(&done));
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &ExpectedEffects::default(), &undisturbed).await;
    let dead = system.store.dead_letter_count().await.expect("Redis is available");
    let tally = system.end().await;
    tests::print_line(&format!(
        "{rounds} rolling restarts of all workers ({} restarts, {held} deliveries in flight at SIGTERM, {} \
         redeliveries): {} submissions, {} items: {} lost, {} duplicated; {dead} dead letters; {} runs with equal hashes",
        tally.restarts,
        tally.redelivered,
        count.submissions,
        count.items,
        count.lost,
        count.duplicated,
        count.equal_hashes,
    ));
    assert!(held > 0, "no delivery was in flight at any SIGTERM");
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
}
