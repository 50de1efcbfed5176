//! Plays a schedule over a fresh system and waits until it has settled.
//!
//! Owns the order of things: warm up, disturb while work keeps coming, settle, judge, end. The folder with
//! the logs of a schedule that failed is kept.

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

/// Longest a system may take to finish what it was given once nothing disturbs it any more. The slowest
/// way is a job that waits for its hedge or its sweep behind others.
const SETTLING: Duration = Duration::from_secs(240);

/// How often a settling system is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What came of schedules.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    /// Schedules played.
    pub schedules: u32,
    /// Those that failed, by seed, with the folder of their logs.
    pub failed: Vec<(u64, PathBuf)>,
    /// What happened.
    pub tally: Tally,
    /// What was found.
    pub count: Count,
}

/// Trains the run whose bits are compared, in a system that nobody disturbs, once in this process.
///
/// # Panics
/// When that does not succeed.
pub async fn undisturbed_weights(servers: Servers, datasets: &Datasets) -> String {
    static WEIGHTS: OnceCell<String> = OnceCell::const_new();
    WEIGHTS.get_or_init(|| train_undisturbed(servers, datasets)).await.clone()
}

async fn train_undisturbed(servers: Servers, datasets: &Datasets) -> String {
    let system = start(servers, datasets, "undisturbed").await;
    let began = Instant::now();
    let weights = datasets.undisturbed_weights(&system).await;
    crate::say(&format!("an undisturbed run takes {:.1?} and ends with {weights}", began.elapsed()));
    let tally = system.end().await;
    assert!(tally.violations.is_empty(), "{:?}", tally.violations);
    weights
}

/// Starts a system of its own for `purpose`, whose logs are kept where it is violated.
///
/// # Panics
/// When it does not start.
pub async fn start(servers: Servers, datasets: &Datasets, purpose: &str) -> System {
    let parent = project().join(".local/chaos");
    std::fs::create_dir_all(&parent).expect("a folder can be made in the project");
    let folder = tempfile::Builder::new().prefix(&format!("{purpose}-")).tempdir_in(parent);
    let folder = folder.expect("a folder can be made in the project").keep();
    let name = format!("chaos-{}", Uuid::now_v7().simple());
    System::start(servers, &name, folder, datasets.folder()).await
}

/// Plays one schedule and adds what came of it to `outcome`.
pub async fn play(
    servers: &ServerPair,
    datasets: &Datasets,
    undisturbed: &str,
    schedule: &Schedule,
    outcome: &mut Outcome,
) {
    crate::say(&schedule.to_string());
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
                .push("nothing was in flight at any kill, and nothing was delivered again".to_owned());
        }
    }
    let settled = began.elapsed();
    let tally = system.end().await;
    crate::say(&format!(
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
        std::fs::write(folder.join("violations.txt"), text).expect("the folder can be written to");
        crate::say(&format!(
            "    FAILED; play it again with SEED={}; logs: {}",
            schedule.seed,
            folder.display()
        ));
        outcome.failed.push((schedule.seed, folder));
    }
    outcome.add(&tally, &count);
}

/// Performs the schedule's events while work keeps coming.
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
        tokio::join!(performing, scene.load.keep_coming(&over));
        done.cancel();
    };
    tokio::join!(working, scene.system.supervise(&done), scene.system.meter(&done));
}

/// Waits until every submission has reached its end and every queue is empty. Returns whether they have.
pub async fn settle(system: &System) -> bool {
    let done = CancellationToken::new();
    let settled = async {
        let since = Instant::now();
        let settled = loop {
            let running = system.running().await;
            if running.as_ref().is_some_and(Vec::is_empty) {
                break true;
            }
            if since.elapsed() > SETTLING {
                for submission in running.unwrap_or_default() {
                    describe_stuck(system, &submission).await;
                }
                break false;
            }
            tokio::time::sleep(LOOK).await;
        };
        done.cancel();
        settled
    };
    let (settled, (), ()) = tokio::join!(settled, system.supervise(&done), system.meter(&done));
    let since = Instant::now();
    loop {
        let mut queues = system.vhost.queue_counts().await;
        queues.retain(|_, count| *count > 0);
        if queues.is_empty() {
            return settled;
        }
        if since.elapsed() > SETTLING {
            system.violated(format!("these queues are not empty though everything has ended: {queues:?}"));
            return settled;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn describe_stuck(system: &System, submission: &Submission) {
    let marks = system.store.job_statuses(submission.id).await.expect("Redis answers");
    let unfinished: Vec<String> = marks
        .iter()
        .filter(|(_, mark)| !mark.is_finished())
        .map(|(name, mark)| {
            format!("{name}: {} by {:?}, {} crashes", mark.state, mark.instance, mark.crashes)
        })
        .collect();
    let queues = system.vhost.queue_counts().await;
    let queues: Vec<_> = queues.iter().filter(|(_, count)| **count > 0).collect();
    let Submission { id, kind, state, jobs, jobs_published, jobs_finished, .. } = submission;
    system.violated(format!(
        "{kind:?} submission {id} is {state} though nothing is in its way: {jobs_finished} of {jobs} jobs finished, \
         {jobs_published} published; marks {unfinished:?}; queues {queues:?}"
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
        self.count.doubled += count.doubled;
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
             jobs finished twice, {} disturbances ({}); {} submissions, {} items: {} lost, {} doubled; {} runs with equal hashes",
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
            count.doubled,
            count.equal_hashes,
        )
    }
}
