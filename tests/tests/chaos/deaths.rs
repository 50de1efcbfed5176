//! Worker crashes with undisturbed servers: RabbitMQ redelivers the jobs that were in flight.

use tests::{
    chaos::{
        disturb::ExpectedEffects,
        load::{Datasets, Load},
        runner,
        schedule::Program,
        verdict,
    },
    environment::Servers,
};
use tokio_util::sync::CancellationToken;

/// Number of killed workers, below the number of exclusive crashes that makes a job poison.
const DEATHS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_killed_worker_are_redelivered() {
    let _guard = crate::EXCLUSIVE.lock().await;
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
            let jobs = system.pause_with_jobs_in_flight(&mut slot).await;
            slot.process().kill().await;
            system.record_kill(jobs.len());
            held.extend(jobs);
            system.restart(&mut slot, None);
            drop(slot);
            system.wait_until_serving().await;
        }
        over.cancel();
    };
    let working = async {
        tokio::join!(dying, load.submit_until(&over));
        done.cancel();
    };
    tokio::join!(working, system.count_redeliveries(&done));
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &ExpectedEffects::default(), &undisturbed).await;
    let mut redelivered = 0;
    for (submission, job) in &held {
        let mut statuses = system.store.job_statuses(*submission).await.expect("Redis is available");
        // A training job's status is deleted with its step.
        let Some(status) = statuses.remove(job).filter(|_| !job.contains('/')) else { continue };
        if status.crashes == 0 {
            system.record_violation(format!(
                "job {job} of {submission} was not redelivered after its worker died"
            ));
        } else {
            redelivered += 1;
        }
    }
    let tally = system.end().await;
    tests::print_line(&format!(
        "{DEATHS} workers killed with {} jobs in flight: {redelivered} item jobs redelivered; {} items: {} \
         lost, {} duplicated; {} runs with equal hashes",
        held.len(),
        count.items,
        count.lost,
        count.duplicated,
        count.equal_hashes,
    ));
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
    assert!(redelivered > 0, "no item job was in flight on a killed worker");
}
