//! Runs a schedule on a fresh system: warm up, disturb under load, settle, inspect, stop.
//!
//! The log folder of a failed schedule is kept.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use common::store::Submission;
use futures::future::join_all;
use tokio::{sync::OnceCell, time::sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    disturb::Scene,
    load::{Datasets, Load},
    schedule::Schedule,
    servers::ServerPair,
    system::{System, Tally},
    verdict::{self, Count},
};
use crate::{environment::Servers, python::project};

/// Time limit for the system to finish all submissions after the last disturbance. The slowest case is a job
/// that waits for a hedge or for the rescuer behind others.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(240);

/// How often a settling system is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Results of the schedules played so far.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    pub schedules: u32,
    /// Seeds of failed schedules, with the folders of their logs.
    pub failed: Vec<(u64, PathBuf)>,
    pub tally: Tally,
    pub count: Count,
}

/// Returns the weights' digest of the reference run, which is trained without disturbances once a process.
pub async fn undisturbed_weights(servers: Servers, datasets: &Datasets) -> String {
    static WEIGHTS: OnceCell<String> = OnceCell::const_new();
    WEIGHTS.get_or_init(|| train_undisturbed(servers, datasets)).await.clone()
}

async fn train_undisturbed(servers: Servers, datasets: &Datasets) -> String {
    let system = start(servers, datasets, "undisturbed").await;
    let began = Instant::now();
    let weights = datasets.undisturbed_weights(&system).await;
    crate::print_line(&format!("undisturbed run: {:.1?}, weights {weights}", began.elapsed()));
    let tally = system.end().await;
    assert!(tally.violations.is_empty(), "{:?}", tally.violations);
    weights
}

/// Starts a system whose log folder is named after `purpose` and kept if there are violations.
pub async fn start(servers: Servers, datasets: &Datasets, purpose: &str) -> System {
    let parent = project().join(".local/chaos");
    std::fs::create_dir_all(&parent).expect("the repository is writable");
    let folder = tempfile::Builder::new().prefix(&format!("{purpose}-")).tempdir_in(parent);
    let folder = folder.expect("the repository is writable").keep();
    let name = format!("chaos-{}", Uuid::now_v7().simple());
    System::start(servers, &name, folder, datasets.folder()).await
}

/// Runs one schedule and adds its result to `outcome`.
pub async fn play(
    servers: &ServerPair,
    datasets: &Datasets,
    undisturbed: &str,
    schedule: &Schedule,
    outcome: &mut Outcome,
) {
    crate::print_line(&schedule.to_string());
    let began = Instant::now();
    let system = start(servers.addresses(), datasets, &format!("seed-{}", schedule.seed)).await;
    let folder = system.folder().to_path_buf();
    let load = Load::warm_up(&system, datasets).await;
    let warm = began.elapsed();
    let scene = Scene::new(&system, servers, &load);
    disturb(&scene, schedule).await;
    let disturbed = began.elapsed();
    system.wait_until_serving().await;
    let explained = std::mem::take(&mut *scene.explained());
    let mut count = Count::default();
    if settle(&system).await {
        count = verdict::inspect(&system, &load, &explained, undisturbed).await;
    }
    let accepted = load.accepted().len();
    {
        let mut tally = system.tally();
        if tally.in_flight == 0 && tally.redelivered == 0 {
            tally
                .violations
                .push("no delivery was in flight at any kill, and none was redelivered".to_owned());
        }
    }
    let settled = began.elapsed();
    let tally = system.end().await;
    crate::print_line(&format!(
        "    seed {}: {} kills with {} deliveries in flight, {} redeliveries; {accepted} submissions accepted, {} items \
         settled, {} equal hashes; {} violations; {:.0?} = {warm:.0?} to warm up, {:.0?} disturbed, {:.0?} to settle",
        schedule.seed,
        tally.kills,
        tally.in_flight,
        tally.redelivered,
        count.items,
        count.equal_hashes,
        tally.violations.len(),
        settled,
        disturbed - warm,
        settled - disturbed,
    ));
    if !tally.violations.is_empty() {
        let text = format!("{schedule}\n\n{}\n", tally.violations.join("\n"));
        std::fs::write(folder.join("violations.txt"), text).expect("the folder is writable");
        crate::print_line(&format!(
            "    FAILED; replay with SEED={}; logs: {}",
            schedule.seed,
            folder.display()
        ));
        outcome.failed.push((schedule.seed, folder));
    }
    outcome.add(&tally, &count);
}

/// Applies the schedule's events under load.
async fn disturb(scene: &Scene<'_>, schedule: &Schedule) {
    let (over, done) = (CancellationToken::new(), CancellationToken::new());
    let begins = tokio::time::Instant::now();
    let performing = async {
        let events = (1..).zip(&schedule.events).map(|(number, event)| async move {
            sleep_until(begins + event.at).await;
            scene.perform(*event, schedule.seed.wrapping_mul(1000).wrapping_add(number)).await;
        });
        join_all(events).await;
        over.cancel();
    };
    let working = async {
        tokio::join!(performing, scene.load.submit_until(&over));
        done.cancel();
    };
    tokio::join!(working, scene.system.supervise(&done), scene.system.count_redeliveries(&done));
}

/// Waits until every submission is in a terminal state and every queue is empty; returns whether all are.
pub async fn settle(system: &System) -> bool {
    let done = CancellationToken::new();
    let settled = async {
        let since = Instant::now();
        let settled = loop {
            let running = system.running().await;
            if running.as_ref().is_some_and(Vec::is_empty) {
                break true;
            }
            if since.elapsed() > SETTLE_TIMEOUT {
                for submission in running.unwrap_or_default() {
                    describe_stuck(system, &submission).await;
                }
                break false;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        done.cancel();
        settled
    };
    let (settled, (), ()) = tokio::join!(settled, system.supervise(&done), system.count_redeliveries(&done));
    let since = Instant::now();
    loop {
        let mut queues = system.vhost.queue_counts().await;
        queues.retain(|_, count| *count > 0);
        if queues.is_empty() {
            return settled;
        }
        if since.elapsed() > SETTLE_TIMEOUT {
            system.record_violation(format!(
                "queues are not empty though all submissions have ended: {queues:?}"
            ));
            return settled;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn describe_stuck(system: &System, submission: &Submission) {
    let statuses = system.store.job_statuses(submission.id).await.expect("Redis is available");
    let unfinished: Vec<String> = statuses
        .iter()
        .filter(|(_, status)| !status.is_finished())
        .map(|(name, status)| {
            format!("{name}: {} by {:?}, {} crashes", status.state, status.instance, status.crashes)
        })
        .collect();
    let queues = system.vhost.queue_counts().await;
    let queues: Vec<_> = queues.iter().filter(|(_, count)| **count > 0).collect();
    let Submission { id, kind, state, jobs, jobs_published, jobs_finished, .. } = submission;
    system.record_violation(format!(
        "{kind:?} submission {id} is stuck in state {state}: {jobs_finished} of {jobs} jobs finished, \
         {jobs_published} published; unfinished {unfinished:?}; queues {queues:?}"
    ));
}

impl Outcome {
    fn add(&mut self, tally: &Tally, count: &Count) {
        self.schedules += 1;
        self.tally.kills += tally.kills;
        self.tally.restarts += tally.restarts;
        self.tally.in_flight += tally.in_flight;
        self.tally.redelivered += tally.redelivered;
        self.tally.finished_twice += tally.finished_twice;
        for (kind, times) in &tally.disturbances {
            *self.tally.disturbances.entry(kind).or_default() += times;
        }
        self.tally.violations.extend(tally.violations.iter().cloned());
        self.count.submissions += count.submissions;
        self.count.items += count.items;
        self.count.lost += count.lost;
        self.count.duplicated += count.duplicated;
        self.count.equal_hashes += count.equal_hashes;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, failed, tally, count } = self;
        let kinds: Vec<String> =
            tally.disturbances.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        write!(
            f,
            "{schedules} schedules ({} failed), {} kills with {} deliveries in flight, {} restarts, {} redeliveries, {} \
             jobs finished twice, {} disturbances ({}); {} submissions, {} items: {} lost, {} duplicated; {} runs with equal hashes",
            failed.len(),
            tally.kills,
            tally.in_flight,
            tally.restarts,
            tally.redelivered,
            tally.finished_twice,
            tally.disturbances.values().sum::<u32>(),
            kinds.join(", "),
            count.submissions,
            count.items,
            count.lost,
            count.duplicated,
            count.equal_hashes,
        )
    }
}
