//! Rolling restarts: every worker ends in order and comes back, again and again, under load.

use tests::{
    chaos::{
        disturb::Explained,
        load::{Datasets, Load},
        runner, verdict,
    },
    environment::{Servers, number},
};
use tokio_util::sync::CancellationToken;

/// Rounds over all workers, unless somebody asks for others.
const ROUNDS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restarts_dead_letter_nothing() {
    let _turn = crate::TURN.lock().await;
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
                system.revive(&mut slot, None);
                drop(slot);
                system.wait_until_serving().await;
            }
        }
        over.cancel();
    };
    let working = async {
        tokio::join!(rolling, load.keep_coming(&over));
        done.cancel();
    };
    tokio::join!(working, system.meter(&done));
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &Explained::default(), &undisturbed).await;
    let dead = system.store.dead_letter_count().await.expect("Redis answers");
    let tally = system.end().await;
    tests::say(&format!(
        "{rounds} rolling restarts of all workers ({} restarts, {held} deliveries held at their SIGTERMs, {} \
         redeliveries): {} submissions, {} items: {} lost, {} doubled; {dead} dead letters; {} runs with equal hashes",
        tally.restarts,
        tally.redelivered,
        count.submissions,
        count.items,
        count.lost,
        count.doubled,
        count.equal_hashes,
    ));
    assert!(held > 0, "no worker held anything when it was asked to end");
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
}
