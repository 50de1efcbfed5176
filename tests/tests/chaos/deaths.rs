//! Deaths of workers over servers that nobody disturbs: RabbitMQ itself delivers again what they held.

use tests::{
    chaos::{
        disturb::Explained,
        load::{Datasets, Load},
        runner,
        schedule::Program,
        verdict,
    },
    environment::Servers,
};
use tokio_util::sync::CancellationToken;

/// Workers that die: fewer than the deaths after which a job that runs alone is poison.
const DEATHS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_held_is_delivered_again() {
    let _turn = crate::TURN.lock().await;
    let datasets = Datasets::make().await;
    let undisturbed = runner::undisturbed_weights(Servers::from_environment(), &datasets).await;
    let system = runner::start(Servers::from_environment(), &datasets, "deaths").await;
    let load = Load::warm_up(&system, &datasets).await;
    let (over, done) = (CancellationToken::new(), CancellationToken::new());
    let mut held = Vec::new();
    let dying = async {
        let workers: Vec<Program> = system.workers().collect();
        for worker in workers.iter().copied().cycle().take(DEATHS) {
            let mut slot = system.slot(worker).await;
            let jobs = system.pause_holding(&mut slot).await;
            slot.process().kill().await;
            system.killed(jobs.len());
            held.extend(jobs);
            system.revive(&mut slot, None);
            drop(slot);
            system.wait_until_serving().await;
        }
        over.cancel();
    };
    let working = async {
        tokio::join!(dying, load.keep_coming(&over));
        done.cancel();
    };
    tokio::join!(working, system.meter(&done));
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &Explained::default(), &undisturbed).await;
    let mut delivered_again = 0;
    for (submission, job) in &held {
        let mut marks = system.store.job_statuses(*submission).await.expect("Redis answers");
        // A training job's mark goes with its step.
        let Some(mark) = marks.remove(job).filter(|_| !job.contains('/')) else { continue };
        if mark.crashes == 0 {
            system.violated(format!("job {job} of {submission} did not come back from its dead worker"));
        } else {
            delivered_again += 1;
        }
    }
    let tally = system.end().await;
    tests::say(&format!(
        "{DEATHS} deaths of workers that held {} jobs: {delivered_again} jobs of items came back by themselves; {} items: {} \
         lost, {} doubled; {} runs with equal hashes",
        held.len(),
        count.items,
        count.lost,
        count.doubled,
        count.equal_hashes,
    ));
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
    assert!(delivered_again > 0, "no worker held jobs of items when it was killed");
}
