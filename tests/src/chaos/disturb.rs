//! Applies and reverts each disturbance: signals and proxy faults here, messages in `disturb_jobs`, clients in
//! `disturb_clients`.
//!
//! Does not decide when (see `schedule`) or judge the result (see `verdict`). It records which effects on the
//! system are expected, such as dead letters.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use common::{
    ids::{JobId, SubmissionId},
    job::kind::Kind,
    store::{Submission, SubmissionKind},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tokio::time::sleep;

use super::{
    load::Load,
    schedule::{Disturbance, Event, Program, Server},
    servers::ServerPair,
    system::System,
};
use crate::{fault_proxy::Fault, python::project};

/// Pause between two resets of a flapping connection.
const FLAP_MS: std::ops::RangeInclusive<u64> = 100..=900;
/// Longest wait for a submission whose jobs are being published.
const OPENING_TIMEOUT: Duration = Duration::from_secs(4);
/// Redis with `appendfsync everysec` may delay a write to its file by this long while an fsync is in
/// progress, so a kill can lose writes that it has acknowledged.
const FSYNC_DELAY: Duration = Duration::from_secs(2);

/// A system with its load and the servers to disturb.
pub struct Scene<'a> {
    pub system: &'a System,
    pub servers: &'a ServerPair,
    pub load: &'a Load<'a>,
    explained: Mutex<ExpectedEffects>,
}

/// Effects of disturbances that would otherwise be violations.
#[derive(Default)]
pub struct ExpectedEffects {
    /// Jobs that killed each worker that started them.
    pub poisoned: Vec<(SubmissionId, u32)>,
    /// Dead-letter IDs of published garbage.
    pub garbage: Vec<String>,
    /// Periods whose writes the store lost.
    pub store_rollbacks: Vec<(Instant, Instant)>,
    /// Whether the broker lost its data.
    pub broker_wiped: bool,
}

impl<'a> Scene<'a> {
    #[must_use]
    pub fn new(system: &'a System, servers: &'a ServerPair, load: &'a Load<'a>) -> Self {
        Self { system, servers, load, explained: Mutex::default() }
    }

    pub fn explained(&self) -> MutexGuard<'_, ExpectedEffects> {
        self.explained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the event for its duration and reverts it. `seed` determines its random choices.
    pub async fn perform(&self, event: Event, seed: u64) {
        let Event { duration, disturbance, .. } = event;
        *self.system.tally().disturbances.entry(disturbance.kind()).or_default() += 1;
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        match disturbance {
            Disturbance::Kill(program) => self.kill(program, duration).await,
            Disturbance::Pause(program) => {
                let mut slot = self.system.slot(program).await;
                slot.process().pause();
                sleep(duration).await;
                slot.process().resume();
            }
            Disturbance::Restart(program) => self.restart(program, None).await,
            Disturbance::SkewClock(program, seconds) => self.skew_clock(program, seconds).await,
            Disturbance::KillServer(server) => {
                let mut server_process = self.servers.lock(server).await;
                let held = self.system.in_flight().await.len();
                server_process.kill().await;
                self.system.record_kill(held);
                if server == Server::Store {
                    let now = Instant::now();
                    let since = now.checked_sub(FSYNC_DELAY).unwrap_or(now);
                    self.explained().store_rollbacks.push((since, now));
                }
                sleep(duration).await;
                self.servers.spawn(server, &mut server_process);
                self.servers.wait_until_ready(server).await;
                self.system.tally().restarts += 1;
            }
            Disturbance::PauseServer(server) => {
                let server_process = self.servers.lock(server).await;
                server_process.pause();
                sleep(duration).await;
                server_process.resume();
            }
            Disturbance::BrokerAlarm => {
                let _server_process = self.servers.lock(Server::Broker).await;
                self.servers.set_alarm(true).await;
                sleep(duration).await;
                self.servers.set_alarm(false).await;
            }
            Disturbance::WipeBroker => self.wipe_broker().await,
            Disturbance::RefuseWrites(refusal) => {
                let _server_process = self.servers.lock(Server::Store).await;
                self.servers.refuse_writes(refusal).await;
                sleep(duration).await;
                self.servers.accept_writes().await;
            }
            Disturbance::RollStoreBack => {
                if random.random_bool(0.5) {
                    self.wait_for_opening().await;
                }
                self.roll_store_back(duration).await;
            }
            Disturbance::Cut(program, server) => {
                self.system.link(program, server).reset_connections();
            }
            Disturbance::Flap(program, server) => {
                let until = Instant::now() + duration;
                while Instant::now() < until {
                    self.system.link(program, server).reset_connections();
                    sleep(Duration::from_millis(random.random_range(FLAP_MS))).await;
                }
            }
            Disturbance::Stall(program, server) => {
                self.inject(program, server, Fault::Stalled, duration).await;
            }
            Disturbance::SlowResponses(program, server) => {
                let delay = Duration::from_millis(random.random_range(50..400));
                self.inject(program, server, Fault::SlowResponses(delay), duration).await;
            }
            Disturbance::LoseAcks(worker) => {
                let link = self.system.link(Program::Worker(worker), Server::Broker);
                link.inject(Fault::LostRequests);
                sleep(duration).await;
                link.reset_connections();
                link.inject(Fault::None);
            }
            Disturbance::Duplicate => self.duplicate(&mut random).await,
            Disturbance::FinishTwice(worker) => self.finish_twice(worker).await,
            Disturbance::MixVersions => self.mix_versions().await,
            Disturbance::PublishGarbage(garbage) => self.publish_garbage(garbage).await,
            Disturbance::Poison => self.poison(&mut random).await,
            Disturbance::DeafClients(coordinator) => self.deaf_clients(coordinator, duration).await,
            Disturbance::SlowUploads(coordinator) => self.slow_uploads(coordinator, duration).await,
        }
    }

    /// Kills a program; a worker while it has jobs in flight.
    async fn kill(&self, program: Program, duration: Duration) {
        let mut slot = self.system.slot(program).await;
        let held = match program {
            Program::Worker(_) => self.system.pause_with_jobs_in_flight(&mut slot).await.len(),
            Program::Coordinator(_) => self.system.in_flight().await.len(),
        };
        slot.process().kill().await;
        self.system.record_kill(held);
        sleep(duration).await;
        self.system.restart(&mut slot, None);
    }

    /// Restarts a program gracefully, with additional environment variables.
    async fn restart(&self, program: Program, more: Option<&[(&str, String)]>) {
        let mut slot = self.system.slot(program).await;
        self.system.terminate(&mut slot).await;
        self.system.restart(&mut slot, more);
    }

    async fn skew_clock(&self, program: Program, seconds: i64) {
        let Some(library) = faketime() else {
            return crate::print_line("SKIPPED: skewed clock: libfaketime is not installed");
        };
        let variables = [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", format!("{seconds:+}")),
            // Skew only the wall clock; timeouts use the monotonic clock.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        self.restart(program, Some(&variables)).await;
    }

    async fn inject(&self, program: Program, server: Server, fault: Fault, duration: Duration) {
        let link = self.system.link(program, server);
        link.inject(fault);
        sleep(duration).await;
        link.inject(Fault::None);
    }

    async fn wipe_broker(&self) {
        let mut server_process = self.servers.lock(Server::Broker).await;
        let held = self.system.in_flight().await.len();
        server_process.kill().await;
        self.system.record_kill(held);
        self.explained().broker_wiped = true;
        self.servers.wipe_broker();
        self.servers.spawn(Server::Broker, &mut server_process);
        self.servers.wait_until_ready(Server::Broker).await;
        self.system.remake_vhost().await;
        self.system.tally().restarts += 1;
    }

    /// Waits until a submission is recorded but not all its jobs are published.
    async fn wait_for_opening(&self) {
        let since = Instant::now();
        while since.elapsed() < OPENING_TIMEOUT {
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

    async fn roll_store_back(&self, duration: Duration) {
        let mut server_process = self.servers.lock(Server::Store).await;
        let since = Instant::now();
        let snapshot = self.servers.snapshot_store();
        sleep(duration).await;
        let held = self.system.in_flight().await.len();
        server_process.kill().await;
        self.system.record_kill(held);
        self.servers.roll_store_back(&snapshot);
        self.servers.spawn(Server::Store, &mut server_process);
        self.servers.wait_until_ready(Server::Store).await;
        self.system.tally().restarts += 1;
        self.explained().store_rollbacks.push((since, Instant::now()));
    }
}

pub(super) fn embed_job(submission: SubmissionId, job: u32) -> JobId {
    JobId::derive(submission, Kind::Embed, &job.to_string())
}

/// Returns the path of the multi-threaded build of libfaketime, which threaded programs need.
fn faketime() -> Option<PathBuf> {
    const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
    let unpacked = project().join(".local/faketime/usr/lib/x86_64-linux-gnu").join(LIBRARY);
    let installed =
        ["x86_64", "aarch64"].map(|cpu| PathBuf::from(format!("/usr/lib/{cpu}-linux-gnu/{LIBRARY}")));
    installed.into_iter().chain([unpacked]).find(|path| path.exists())
}
