//! How each disturbance is done, and undone.
//!
//! Owns the signals, the proxies' settings, the messages. Does not own when (see `schedule`) or whether the
//! system bore it (see `verdict`); it notes what it did that explains a dead letter, a failure or a loss.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use common::{
    broker::{BrokerConfig, Publisher},
    digest::Digest,
    ids::{JobId, SubmissionId},
    job::{
        args::{Chunk, EmbedArgs, JobArgs, PredictArgs},
        envelope::{Envelope, MAX_BODY_BYTES},
        kind::Kind,
    },
    store::{JobState, Submission, SubmissionKind},
    topology::{self, Route},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    load::{Load, is_poisonable},
    schedule::{Disturbance, Event, Garbage, Program, Server, shuffle},
    servers::ServerPair,
    system::{Slot, System},
};
use crate::{fault_proxy::Passage, python::project};

/// Longest a connection for the test's own publishes may take.
const PUBLISHING: Duration = Duration::from_secs(15);
/// Snooze between two resets of connections that flap.
const FLAP_MS: std::ops::RangeInclusive<u64> = 100..=900;
/// Longest a submission is waited for that is just being opened.
const OPENING: Duration = Duration::from_secs(4);
/// Longest a job that shall be poison is waited for, and then its end.
const VICTIM: Duration = Duration::from_secs(15);
const POISONED: Duration = Duration::from_secs(120);
/// Deaths after which a poisoned job should have been recognised long ago.
const DEATHS: u32 = 12;
/// How often a poisoned job is looked at.
const LOOK: Duration = Duration::from_millis(4);
/// Longest a worker is stopped until another has finished a job that it holds.
const FINISHING: Duration = Duration::from_secs(20);
/// What Redis may have answered and not written to its file yet: it puts a write off for so long while the
/// one before it is being synchronised (`appendfsync everysec`).
const UNWRITTEN: Duration = Duration::from_secs(2);
/// Copies of running jobs that are published.
const COPIES: usize = 24;

/// A system with its load and the servers that may be harmed.
pub struct Scene<'a> {
    /// The system.
    pub system: &'a System,
    /// Its servers.
    pub servers: &'a ServerPair,
    /// Its work.
    pub load: &'a Load<'a>,
    explained: Mutex<Explained>,
}

/// What was done that explains what would otherwise be a fault.
#[derive(Default)]
pub struct Explained {
    /// Jobs that killed whoever started them.
    pub poisoned: Vec<(SubmissionId, u32)>,
    /// Ids under which garbage is recorded.
    pub litter: Vec<String>,
    /// From when to when the store forgot.
    pub forgotten: Vec<(Instant, Instant)>,
    /// Whether the broker forgot.
    pub wiped: bool,
}

impl<'a> Scene<'a> {
    /// Sets the scene.
    #[must_use]
    pub fn new(system: &'a System, servers: &'a ServerPair, load: &'a Load<'a>) -> Self {
        Self { system, servers, load, explained: Mutex::default() }
    }

    /// What was done so far that explains something.
    pub fn explained(&self) -> MutexGuard<'_, Explained> {
        self.explained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the event says, from its beginning to its end. `seed` decides what the event leaves open.
    pub async fn perform(&self, event: Event, seed: u64) {
        let Event { lasting, disturbance, .. } = event;
        *self.system.tally().disturbances.entry(disturbance.kind()).or_default() += 1;
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        match disturbance {
            Disturbance::Kill(program) => self.kill(program, lasting).await,
            Disturbance::Snooze(program) => {
                let mut slot = self.system.slot(program).await;
                slot.process().pause();
                sleep(lasting).await;
                slot.process().resume();
            }
            Disturbance::Restart(program) => self.restart(program, None).await,
            Disturbance::SkewClock(program, seconds) => self.skew_clock(program, seconds).await,
            Disturbance::KillServer(server) => {
                let mut life = self.servers.life(server).await;
                let held = self.system.in_flight().await.len();
                life.kill().await;
                self.system.killed(held);
                if server == Server::Store {
                    let now = Instant::now();
                    let since = now.checked_sub(UNWRITTEN).unwrap_or(now);
                    self.explained().forgotten.push((since, now));
                }
                sleep(lasting).await;
                self.servers.spawn(server, &mut life);
                self.servers.ready(server).await;
                self.system.tally().restarts += 1;
            }
            Disturbance::PauseServer(server) => {
                let life = self.servers.life(server).await;
                life.pause();
                sleep(lasting).await;
                life.resume();
            }
            Disturbance::BrokerAlarm => {
                let _life = self.servers.life(Server::Broker).await;
                self.servers.set_alarm(true).await;
                sleep(lasting).await;
                self.servers.set_alarm(false).await;
            }
            Disturbance::WipeBroker => self.wipe_broker().await,
            Disturbance::RefuseWrites(refusal) => {
                let _life = self.servers.life(Server::Store).await;
                self.servers.refuse_writes(refusal).await;
                sleep(lasting).await;
                self.servers.accept_writes().await;
            }
            Disturbance::RollStoreBack => {
                if random.random_bool(0.5) {
                    self.wait_for_opening().await;
                }
                self.roll_store_back(lasting).await;
            }
            Disturbance::Cut(program, server) => {
                self.system.link(program, server).cut();
            }
            Disturbance::Flap(program, server) => {
                let until = Instant::now() + lasting;
                while Instant::now() < until {
                    self.system.link(program, server).cut();
                    sleep(Duration::from_millis(random.random_range(FLAP_MS))).await;
                }
            }
            Disturbance::Stall(program, server) => {
                self.pass(program, server, Passage::Stalled, lasting).await;
            }
            Disturbance::SlowReplies(program, server) => {
                let rest = Duration::from_millis(random.random_range(50..400));
                self.pass(program, server, Passage::SlowReplies(rest), lasting).await;
            }
            Disturbance::LoseAnswers(worker) => {
                let link = self.system.link(Program::Worker(worker), Server::Broker);
                link.set(Passage::LostRequests);
                sleep(lasting).await;
                link.cut();
                link.set(Passage::Open);
            }
            Disturbance::Duplicate => self.duplicate(&mut random).await,
            Disturbance::FinishTwice(worker) => self.finish_twice(worker).await,
            Disturbance::MixVersions => self.mix_versions().await,
            Disturbance::Litter(garbage) => self.litter(garbage).await,
            Disturbance::Poison => self.poison(&mut random).await,
        }
    }

    /// Kills a program, a worker while it holds something.
    async fn kill(&self, program: Program, lasting: Duration) {
        let mut slot = self.system.slot(program).await;
        let held = match program {
            Program::Worker(_) => self.system.pause_holding(&mut slot).await.len(),
            Program::Coordinator(_) => self.system.in_flight().await.len(),
        };
        slot.process().kill().await;
        self.system.killed(held);
        sleep(lasting).await;
        self.system.revive(&mut slot, None);
    }

    /// Restarts a program in order, with more environment variables.
    async fn restart(&self, program: Program, more: Option<&[(&str, String)]>) {
        let mut slot = self.system.slot(program).await;
        self.system.terminate(&mut slot).await;
        self.system.revive(&mut slot, more);
    }

    async fn skew_clock(&self, program: Program, seconds: i64) {
        let Some(library) = faketime() else {
            return crate::say("SKIPPED: a skewed clock, since libfaketime is not installed");
        };
        let variables = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("{seconds:+}")),
            // Only the wall clock is wrong: time-outs run on the other.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        self.restart(program, Some(&variables)).await;
    }

    async fn pass(&self, program: Program, server: Server, passage: Passage, lasting: Duration) {
        let link = self.system.link(program, server);
        link.set(passage);
        sleep(lasting).await;
        link.set(Passage::Open);
    }

    async fn wipe_broker(&self) {
        let mut life = self.servers.life(Server::Broker).await;
        let held = self.system.in_flight().await.len();
        life.kill().await;
        self.system.killed(held);
        self.explained().wiped = true;
        self.servers.wipe_broker();
        self.servers.spawn(Server::Broker, &mut life);
        self.servers.ready(Server::Broker).await;
        self.system.remake_vhost().await;
        self.system.tally().restarts += 1;
    }

    /// Waits for the short time in which a submission is recorded and not all its jobs are published.
    async fn wait_for_opening(&self) {
        let since = Instant::now();
        while since.elapsed() < OPENING {
            let running = self.system.running().await.unwrap_or_default();
            let is_opening = |submission: &Submission| {
                submission.kind != SubmissionKind::Train
                    && (submission.manifest.is_none() || submission.jobs_published < submission.jobs)
            };
            if running.iter().any(is_opening) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn roll_store_back(&self, lasting: Duration) {
        let mut life = self.servers.life(Server::Store).await;
        let since = Instant::now();
        let snapshot = self.servers.snapshot_store();
        sleep(lasting).await;
        let held = self.system.in_flight().await.len();
        life.kill().await;
        self.system.killed(held);
        self.servers.roll_store_back(&snapshot);
        self.servers.spawn(Server::Store, &mut life);
        self.servers.ready(Server::Store).await;
        self.system.tally().restarts += 1;
        self.explained().forgotten.push((since, Instant::now()));
    }

    /// Publishes copies of jobs of running submissions in another order.
    async fn duplicate(&self, random: &mut ChaCha12Rng) {
        let mut copies: Vec<(Envelope, Route)> = Vec::new();
        for submission in self.system.running().await.unwrap_or_default() {
            copies.extend((0..submission.jobs_published).filter_map(|job| copy_of(&submission, job)));
        }
        copies.extend(copies.clone());
        shuffle(&mut copies, random);
        copies.truncate(COPIES);
        let config = BrokerConfig::new(self.system.vhost.amqp_url().into(), "chaos");
        let Ok(Ok(publisher)) = timeout(PUBLISHING, Publisher::connect(&config)).await else { return };
        for (copy, route) in copies {
            // The broker may be disturbed as well; what it does not take is not delivered twice.
            let _ = timeout(PUBLISHING, publisher.publish(&copy, &route)).await;
        }
    }

    /// Stops a worker that holds several jobs of one submission, has another worker finish one of them, and
    /// lets the first go on: it finishes that job as well, while others of the submission are open.
    async fn finish_twice(&self, worker: usize) {
        let mut slot = self.system.slot(Program::Worker(worker)).await;
        let Some(id) = self.load.submit_spare().await else {
            return crate::say("    no coordinator accepted a submission whose jobs take a while");
        };
        let Some((submission, job)) = self.pause_holding_several(&mut slot, id).await else {
            return crate::say("    the worker did not hold several jobs of the submission");
        };
        let config = BrokerConfig::new(self.system.vhost.amqp_url().into(), "chaos");
        if let (Some((copy, route)), Ok(Ok(publisher))) =
            (copy_of(&submission, job), timeout(PUBLISHING, Publisher::connect(&config)).await)
        {
            // The stopped worker is served some of them.
            for _ in 0..COPIES {
                let _ = timeout(PUBLISHING, publisher.publish(&copy, &route)).await;
            }
            let since = Instant::now();
            while since.elapsed() < FINISHING {
                let marks = self.system.ask(self.system.store.job_statuses(submission.id)).await;
                if marks.and_then(|mut marks| marks.remove(&job.to_string())).is_some_and(|m| m.is_finished())
                {
                    self.system.tally().finished_twice += 1;
                    break;
                }
                sleep(LOOK).await;
            }
        }
        slot.process().resume();
    }

    /// Stops a worker while it holds at least two jobs of a submission of items, and returns one of them.
    async fn pause_holding_several(&self, slot: &mut Slot, id: SubmissionId) -> Option<(Submission, u32)> {
        let since = Instant::now();
        while since.elapsed() < VICTIM {
            let held = self.system.pause_holding(slot).await;
            let running = self.system.running().await.unwrap_or_default();
            if let Some(submission) = running.into_iter().find(|submission| submission.id == id) {
                let mut jobs = held.iter().filter(|(id, _)| *id == submission.id).map(|(_, job)| job);
                if let (true, Some(job), Some(_)) = (submission.manifest.is_some(), jobs.next(), jobs.next())
                    && let Ok(job) = job.parse()
                {
                    return Some((submission, job));
                }
            }
            slot.process().resume();
            sleep(LOOK).await;
        }
        None
    }

    /// Publishes copies of jobs as a program before this one and one after it would write them.
    async fn mix_versions(&self) {
        for submission in self.system.running().await.unwrap_or_default() {
            let jobs = (0..submission.jobs_published).filter_map(|job| copy_of(&submission, job));
            for (index, (job, route)) in jobs.take(4).enumerate() {
                let mut body: Value = serde_json::to_value(&job.args).expect("arguments are plain data");
                let mut headers = job_headers();
                if index % 2 == 0 {
                    headers["subwatch-of-the-future"] = json!("a header that nobody knows yet");
                    headers["subwatch-fence"] = json!(1 << 40);
                    body["of_the_future"] = json!({"nested": [1, 2, 3]});
                    body["chunk"]["of_the_future"] = json!(true);
                }
                let properties = json!({
                    "type": job.message_type(), "message_id": job.job.to_string(),
                    "correlation_id": job.submission.to_string(), "delivery_mode": 2, "headers": headers,
                });
                let key = route.routing_key();
                let _ =
                    self.system.vhost.try_publish(topology::JOB_EXCHANGE, &key, properties, &body.to_string()).await;
            }
        }
    }

    async fn litter(&self, garbage: Garbage) {
        let id = Uuid::new_v4().to_string();
        let job = |message_type: &str| {
            json!({"type": message_type, "message_id": id, "correlation_id": Uuid::new_v4().to_string(),
                   "headers": job_headers()})
        };
        let (properties, body) = match garbage {
            Garbage::UnknownType => (job("dance.v7"), "{}".to_owned()),
            Garbage::BadJson => (job("embed.v1"), format!("{{\"chunk\": {id}")),
            Garbage::Oversized => (job("predict.v1"), format!("\"{}\"", "x".repeat(MAX_BODY_BYTES))),
            Garbage::NoHeaders => (json!({}), format!("nobody knows {id}")),
        };
        let name = match garbage {
            Garbage::NoHeaders => Digest::of(body.as_bytes()).prefix(32),
            _ => id.clone(),
        };
        let key = Route::Embed.routing_key();
        if self.system.vhost.try_publish(topology::JOB_EXCHANGE, &key, properties, &body).await == Ok(true) {
            self.explained().litter.push(name);
        }
    }

    /// Kills whichever worker starts one job, until the job has reached its end.
    async fn poison(&self, random: &mut ChaCha12Rng) {
        let Some((submission, job)) = self.find_victim(random).await else {
            return crate::say("    no job could be poisoned");
        };
        self.explained().poisoned.push((submission, job));
        let (since, mut deaths) = (Instant::now(), 0);
        loop {
            let marks = self.system.ask(self.system.store.job_statuses(submission)).await.unwrap_or_default();
            match marks.get(&job.to_string()) {
                Some(mark) if mark.is_finished() => {
                    return crate::say(&format!(
                        "    job {job} of {submission} is {} after {deaths} deaths",
                        mark.state
                    ));
                }
                Some(mark) if mark.state == JobState::Started => {
                    for worker in self.system.workers() {
                        let mut slot = self.system.slot(worker).await;
                        if slot.instance().is_none()
                            || slot.instance() != mark.instance
                            || slot.process().has_ended()
                        {
                            continue;
                        }
                        slot.process().kill().await;
                        self.system.killed(1);
                        self.system.revive(&mut slot, None);
                        deaths += 1;
                    }
                }
                Some(_) => {}
                None => {
                    // A store that is put back may forget the submission with all its jobs.
                    let state = self.system.ask(self.system.store.state(submission)).await;
                    if state == Some(None) && !self.explained().forgotten.is_empty() {
                        return crate::say(&format!("    job {job} of {submission} was forgotten"));
                    }
                }
            }
            if deaths > DEATHS || since.elapsed() > POISONED {
                return self.system.violated(format!(
                    "job {job} of {submission} is not recognised as poison after {deaths} deaths and {:?}",
                    since.elapsed()
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// Finds a job of a user's embed submission that nobody has started.
    async fn find_victim(&self, random: &mut ChaCha12Rng) -> Option<(SubmissionId, u32)> {
        let since = Instant::now();
        while since.elapsed() < VICTIM {
            for submission in self.system.running().await.unwrap_or_default() {
                if !is_poisonable(&submission) {
                    continue;
                }
                let Some(marks) = self.system.ask(self.system.store.job_statuses(submission.id)).await else {
                    continue;
                };
                let jobs: Vec<u32> =
                    (0..submission.jobs).filter(|job| !marks.contains_key(&job.to_string())).collect();
                if !jobs.is_empty() {
                    return Some((submission.id, jobs[random.random_range(0..jobs.len())]));
                }
            }
            sleep(LOOK).await;
        }
        None
    }
}

fn job_headers() -> Value {
    json!({"subwatch-attempt": 1, "subwatch-max-attempts": 5, "subwatch-generation": 0})
}

/// The job `job` of a submission of items as its coordinator published it, and where.
fn copy_of(submission: &Submission, job: u32) -> Option<(Envelope, Route)> {
    let manifest = submission.manifest.as_ref()?;
    let (items, part_items) = (manifest["items"].as_u64()?, manifest["part_items"].as_u64()?);
    let first_item = u64::from(job) * part_items;
    let folder = manifest["folder"].as_str()?.parse().ok()?;
    let chunk = Chunk {
        part: dataset::files::parts::part_url(&folder, job),
        dataset: manifest["dataset"].as_str().and_then(|url| url.parse().ok()),
        index: job,
        first_item,
        items: u32::try_from(items.checked_sub(first_item)?.min(part_items)).ok()?,
    };
    let (args, route) = match submission.kind {
        SubmissionKind::Embed => (JobArgs::Embed(EmbedArgs { chunk }), Route::Embed),
        SubmissionKind::Predict => {
            let run = submission.spec["run"].as_str()?.parse().ok()?;
            (JobArgs::Predict(PredictArgs { chunk, run }), Route::Predict)
        }
        SubmissionKind::Train | SubmissionKind::Crawl => return None,
    };
    let envelope = Envelope {
        job: JobId::derive(submission.id, args.kind(), &args.name()),
        submission: submission.id,
        attempt: 1,
        max_attempts: 5,
        generation: 0,
        deadline_ms: None,
        traceparent: None,
        args,
    };
    Some((envelope, route))
}

/// The id of an embed job.
pub(super) fn embed_job(submission: SubmissionId, job: u32) -> JobId {
    JobId::derive(submission, Kind::Embed, &job.to_string())
}

/// libtorch's worker is threaded, so it is the library's threaded form.
fn faketime() -> Option<PathBuf> {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    let unpacked = project().join(".local/faketime/usr/lib/x86_64-linux-gnu").join(LIBRARY);
    let installed =
        ["x86_64", "aarch64"].map(|cpu| PathBuf::from(format!("/usr/lib/{cpu}-linux-gnu/{LIBRARY}")));
    installed.into_iter().chain([unpacked]).find(|path| path.exists())
}
