//! Schedules: which disturbances happen, when, and for how long, as a pure function of a seed.
//!
//! Disturbances are applied in `disturb`. Invariants: disturbances that overlap in time have different
//! subjects, so that each can be reverted independently; every [`Schedule`] kills a program; consecutive
//! seeds feature every kind in turn.

use std::{collections::HashMap, fmt, time::Duration};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Coordinators in the system, one of them the leader.
pub const COORDINATORS: usize = 2;
/// Workers in the system.
pub const WORKERS: usize = 2;
/// Number of disturbances in a schedule besides its feature and its kill.
const EVENTS: std::ops::RangeInclusive<usize> = 4..=7;
/// Pause between the starts of two disturbances.
const GAP_MS: std::ops::RangeInclusive<u64> = 200..=2200;
/// Pause between two disturbances of one subject.
const RECOVERY: Duration = Duration::from_millis(300);

/// A program under test.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Program {
    /// A coordinator, counted from 0.
    Coordinator(usize),
    /// A worker, counted from 0.
    Worker(usize),
}

/// A server that the programs depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Server {
    /// RabbitMQ.
    Broker,
    /// Redis.
    Store,
}

/// How Redis refuses writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// `READONLY`: it became a replica, as after a failover.
    Replica,
    /// `NOREPLICAS`: it has too few replicas.
    NoReplicas,
    /// `OOM`: its memory is full.
    Full,
}

/// An invalid message to publish.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Garbage {
    /// An unknown message type.
    UnknownType,
    /// A body that is not JSON.
    BadJson,
    /// A body over the limit.
    Oversized,
    /// A message without properties.
    NoHeaders,
}

/// A disturbance of the system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Disturbance {
    /// SIGKILL, then a restart.
    Kill(Program),
    /// SIGSTOP, then SIGCONT.
    Pause(Program),
    /// SIGTERM and, once the program has ended, a restart.
    Restart(Program),
    /// A restart with a clock skewed by this many seconds.
    SkewClock(Program, i64),
    /// SIGKILL of a server, then a restart.
    KillServer(Server),
    /// SIGSTOP of a server, then SIGCONT.
    PauseServer(Server),
    /// RabbitMQ's memory alarm, which blocks publishers.
    BrokerAlarm,
    /// RabbitMQ is killed and loses its data.
    WipeBroker,
    /// Redis refuses writes.
    RefuseWrites(Refusal),
    /// Redis is killed and restarts with its data from the start of the disturbance.
    RollStoreBack,
    /// The connections between a program and a server are reset.
    Cut(Program, Server),
    /// The connections are reset repeatedly.
    Flap(Program, Server),
    /// The connections become black holes for a while.
    Stall(Program, Server),
    /// Responses are delayed.
    SlowResponses(Program, Server),
    /// A worker's requests to RabbitMQ, mostly acks, are lost; then its connection is reset.
    LoseAcks(usize),
    /// Jobs of running submissions are published again in random order.
    Duplicate,
    /// A worker is paused until another has finished one of its jobs in flight.
    FinishTwice(usize),
    /// Jobs of running submissions are published again as older and newer versions encode them.
    MixVersions,
    /// An invalid message is published.
    PublishGarbage(Garbage),
    /// One job kills whichever worker starts it.
    Poison,
    /// Clients send requests to a coordinator and never read a response.
    DeafClients(usize),
    /// Clients upload to a coordinator at one byte a second.
    SlowUploads(usize),
}

impl Disturbance {
    /// Returns the name under which the disturbance is counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(Program::Coordinator(_)) => "kill-coordinator",
            Self::Kill(Program::Worker(_)) => "kill-worker",
            Self::Pause(Program::Coordinator(_)) => "pause-coordinator",
            Self::Pause(Program::Worker(_)) => "pause-worker",
            Self::Restart(Program::Coordinator(_)) => "restart-coordinator",
            Self::Restart(Program::Worker(_)) => "restart-worker",
            Self::SkewClock(..) => "skew-clock",
            Self::KillServer(Server::Broker) => "kill-rabbitmq",
            Self::KillServer(Server::Store) => "kill-redis",
            Self::PauseServer(Server::Broker) => "pause-rabbitmq",
            Self::PauseServer(Server::Store) => "pause-redis",
            Self::BrokerAlarm => "rabbitmq-alarm",
            Self::WipeBroker => "wipe-rabbitmq",
            Self::RefuseWrites(Refusal::Full) => "redis-full",
            Self::RefuseWrites(Refusal::Replica) => "redis-read-only",
            Self::RefuseWrites(Refusal::NoReplicas) => "redis-no-replicas",
            Self::RollStoreBack => "roll-redis-back",
            Self::Cut(..) => "cut",
            Self::Flap(..) => "flap",
            Self::Stall(..) => "stall",
            Self::SlowResponses(..) => "slow-responses",
            Self::LoseAcks(_) => "lose-acks",
            Self::Duplicate => "duplicate",
            Self::FinishTwice(_) => "finish-twice",
            Self::MixVersions => "mix-versions",
            Self::PublishGarbage(_) => "publish-garbage",
            Self::Poison => "poison",
            Self::DeafClients(_) => "deaf-clients",
            Self::SlowUploads(_) => "slow-uploads",
        }
    }

    /// Returns the subjects that are locked while the disturbance lasts.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        match *self {
            Self::Kill(program)
            | Self::Pause(program)
            | Self::Restart(program)
            | Self::SkewClock(program, _) => {
                vec![Subject::Program(program)]
            }
            Self::KillServer(server) | Self::PauseServer(server) => vec![Subject::Server(server)],
            Self::RefuseWrites(_) | Self::RollStoreBack => vec![Subject::Server(Server::Store)],
            Self::Cut(program, server)
            | Self::Flap(program, server)
            | Self::Stall(program, server)
            | Self::SlowResponses(program, server) => vec![Subject::Link(program, server)],
            Self::LoseAcks(worker) => vec![Subject::Link(Program::Worker(worker), Server::Broker)],
            // Publishing needs the broker; blaming the right job needs both servers to keep their data.
            Self::BrokerAlarm
            | Self::WipeBroker
            | Self::Duplicate
            | Self::MixVersions
            | Self::PublishGarbage(_) => {
                vec![Subject::Server(Server::Broker)]
            }
            Self::FinishTwice(worker) => {
                vec![Subject::Program(Program::Worker(worker)), Subject::Server(Server::Broker)]
            }
            Self::Poison => {
                vec![Subject::Poison, Subject::Server(Server::Broker), Subject::Server(Server::Store)]
            }
            Self::DeafClients(_) | Self::SlowUploads(_) => vec![Subject::Clients],
        }
    }
}

/// Something that at most one disturbance affects at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    Program(Program),
    Server(Server),
    /// The connections between a program and a server.
    Link(Program, Server),
    /// The poisoned job: at most one at a time.
    Poison,
    /// Clients from outside: one address has a limited number of connections.
    Clients,
}

/// A disturbance with its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Start, relative to the schedule's start.
    pub at: Duration,
    pub duration: Duration,
    pub disturbance: Disturbance,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    pub seed: u64,
    /// Events by start time.
    pub events: Vec<Event>,
}

/// All kinds of disturbances. A schedule's seed selects the one it features.
const FEATURES: [fn(&mut ChaCha12Rng) -> Disturbance; 29] = [
    |random| Disturbance::Kill(worker(random)),
    |random| Disturbance::Kill(coordinator(random)),
    |_| Disturbance::RollStoreBack,
    |_| Disturbance::WipeBroker,
    |_| Disturbance::Poison,
    |_| Disturbance::KillServer(Server::Broker),
    |_| Disturbance::KillServer(Server::Store),
    |random| Disturbance::LoseAcks(random.random_range(0..WORKERS)),
    |random| Disturbance::Pause(worker(random)),
    |random| Disturbance::Stall(program(random), server(random)),
    |_| Disturbance::RefuseWrites(Refusal::Full),
    |_| Disturbance::BrokerAlarm,
    |_| Disturbance::Duplicate,
    |random| Disturbance::SkewClock(program(random), [-300, 300][random.random_range(0..2)]),
    |random| Disturbance::Pause(coordinator(random)),
    |_| Disturbance::RefuseWrites(Refusal::Replica),
    |_| Disturbance::PauseServer(Server::Store),
    |random| Disturbance::Cut(program(random), server(random)),
    |_| Disturbance::MixVersions,
    |random| Disturbance::Flap(program(random), server(random)),
    |random| Disturbance::Restart(worker(random)),
    |random| Disturbance::Restart(coordinator(random)),
    |random| Disturbance::SlowResponses(program(random), server(random)),
    |_| Disturbance::PauseServer(Server::Broker),
    |random| Disturbance::PublishGarbage(garbage(random)),
    |_| Disturbance::RefuseWrites(Refusal::NoReplicas),
    |random| Disturbance::FinishTwice(random.random_range(0..WORKERS)),
    |random| Disturbance::DeafClients(random.random_range(0..COORDINATORS)),
    |random| Disturbance::SlowUploads(random.random_range(0..COORDINATORS)),
];

impl Schedule {
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let feature = FEATURES[(seed % FEATURES.len() as u64) as usize](&mut random);
        let victim = if random.random_bool(0.7) { worker(&mut random) } else { coordinator(&mut random) };
        let mut disturbances = vec![feature, Disturbance::Kill(victim)];
        for _ in 0..random.random_range(EVENTS) {
            disturbances.push(FEATURES[random.random_range(0..FEATURES.len())](&mut random));
        }
        // At most one poisoned job per schedule: it costs four kills.
        let mut poisoned = false;
        disturbances.retain(|next| {
            let second = *next == Disturbance::Poison && poisoned;
            poisoned |= *next == Disturbance::Poison;
            !second
        });
        shuffle(&mut disturbances, &mut random);
        Self { seed, events: assign_times(disturbances, &mut random) }
    }
}

/// Starts each disturbance shortly after the one before it, but not before its subjects are free.
fn assign_times(disturbances: Vec<Disturbance>, random: &mut ChaCha12Rng) -> Vec<Event> {
    let mut free = HashMap::<Subject, Duration>::new();
    let mut clock = Duration::ZERO;
    let mut events: Vec<Event> = disturbances
        .into_iter()
        .map(|disturbance| {
            clock += Duration::from_millis(random.random_range(GAP_MS));
            let duration = Duration::from_millis(random.random_range(duration_ms(&disturbance)));
            let subjects = disturbance.subjects();
            let at =
                subjects.iter().filter_map(|subject| free.get(subject)).copied().fold(clock, Duration::max);
            for subject in subjects {
                free.insert(subject, at + duration + RECOVERY);
            }
            Event { at, duration, disturbance }
        })
        .collect();
    events.sort_by_key(|event| event.at);
    events
}

/// Returns the range of a disturbance's duration in milliseconds.
fn duration_ms(disturbance: &Disturbance) -> std::ops::RangeInclusive<u64> {
    match disturbance {
        Disturbance::Kill(_) => 100..=2500,
        // The maximum exceeds two heartbeats, after which RabbitMQ closes a silent connection.
        Disturbance::Pause(_) | Disturbance::Stall(..) => 500..=11_000,
        Disturbance::KillServer(_) => 500..=4000,
        Disturbance::RollStoreBack => 500..=8000,
        Disturbance::Flap(..) => 2000..=8000,
        Disturbance::PauseServer(_) => 500..=5000,
        Disturbance::BrokerAlarm | Disturbance::RefuseWrites(_) => 1000..=5000,
        Disturbance::SlowResponses(..) => 2000..=6000,
        // Longer than a coordinator waits for such clients.
        Disturbance::DeafClients(_) | Disturbance::SlowUploads(_) => 4000..=14_000,
        Disturbance::LoseAcks(_) => 500..=2500,
        Disturbance::Restart(_)
        | Disturbance::SkewClock(..)
        | Disturbance::WipeBroker
        | Disturbance::Cut(..)
        | Disturbance::Duplicate
        | Disturbance::FinishTwice(_)
        | Disturbance::MixVersions
        | Disturbance::PublishGarbage(_)
        | Disturbance::Poison => 0..=0,
    }
}

fn coordinator(random: &mut impl Rng) -> Program {
    Program::Coordinator(random.random_range(0..COORDINATORS))
}

fn worker(random: &mut impl Rng) -> Program {
    Program::Worker(random.random_range(0..WORKERS))
}

fn program(random: &mut impl Rng) -> Program {
    if random.random_bool(0.3) { coordinator(random) } else { worker(random) }
}

fn server(random: &mut impl Rng) -> Server {
    if random.random_bool(0.5) { Server::Broker } else { Server::Store }
}

fn garbage(random: &mut impl Rng) -> Garbage {
    let all = [Garbage::UnknownType, Garbage::BadJson, Garbage::Oversized, Garbage::NoHeaders];
    all[random.random_range(0..all.len())]
}

/// Fisher–Yates shuffle.
pub(super) fn shuffle<T>(values: &mut [T], random: &mut impl Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, random.random_range(0..=last));
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator(index) => write!(f, "coordinator {index}"),
            Self::Worker(index) => write!(f, "worker {index}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "RabbitMQ",
            Self::Store => "Redis",
        })
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(program) => write!(f, "kill -9 of {program}"),
            Self::Pause(program) => write!(f, "SIGSTOP of {program}"),
            Self::Restart(program) => write!(f, "SIGTERM and restart of {program}"),
            Self::SkewClock(program, seconds) => {
                write!(f, "restart of {program} with its clock skewed by {seconds:+} s")
            }
            Self::KillServer(server) => write!(f, "kill -9 of {server}"),
            Self::PauseServer(server) => write!(f, "SIGSTOP of {server}"),
            Self::BrokerAlarm => f.write_str("RabbitMQ's memory alarm"),
            Self::WipeBroker => f.write_str("kill -9 of RabbitMQ with loss of its data"),
            Self::RefuseWrites(Refusal::Replica) => f.write_str("Redis is read-only"),
            Self::RefuseWrites(Refusal::NoReplicas) => f.write_str("Redis has too few replicas"),
            Self::RefuseWrites(Refusal::Full) => f.write_str("Redis is out of memory"),
            Self::RollStoreBack => f.write_str("kill -9 of Redis and rollback of its data"),
            Self::Cut(program, server) => write!(f, "connections of {program} to {server} reset"),
            Self::Flap(program, server) => {
                write!(f, "connections of {program} to {server} reset repeatedly")
            }
            Self::Stall(program, server) => write!(f, "connections of {program} to {server} in a black hole"),
            Self::SlowResponses(program, server) => write!(f, "slow responses of {server} to {program}"),
            Self::LoseAcks(worker) => {
                write!(f, "acknowledgements of worker {worker} lost, then its connection")
            }
            Self::Duplicate => f.write_str("duplicates of running jobs in random order"),
            Self::FinishTwice(worker) => {
                write!(f, "SIGSTOP of worker {worker} until another has finished one of its jobs")
            }
            Self::MixVersions => f.write_str("running jobs as older and newer versions encode them"),
            Self::PublishGarbage(garbage) => write!(f, "garbage in a queue: {garbage:?}"),
            Self::Poison => f.write_str("a job that kills each worker that starts it"),
            Self::DeafClients(index) => write!(f, "clients of coordinator {index} that never read"),
            Self::SlowUploads(index) => write!(f, "uploads to coordinator {index} at one byte a second"),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule of seed {}:", self.seed)?;
        for Event { at, duration, disturbance } in &self.events {
            write!(
                f,
                "\n    at {:>4.1} s for {:>4.1} s  {disturbance}",
                at.as_secs_f64(),
                duration.as_secs_f64()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn schedule_is_a_function_of_its_seed(seed: u64) {
            prop_assert_eq!(Schedule::of(seed), Schedule::of(seed));
        }

        #[test]
        fn overlapping_disturbances_have_different_subjects(seed: u64) {
            let Schedule { events, .. } = Schedule::of(seed);
            for (index, first) in events.iter().enumerate() {
                for second in &events[index + 1..] {
                    if second.at > first.at + first.duration {
                        continue;
                    }
                    let subjects = first.disturbance.subjects();
                    let shared = second.disturbance.subjects().into_iter().find(|s| subjects.contains(s));
                    prop_assert_eq!(shared, None, "{} and {}", first.disturbance, second.disturbance);
                }
            }
        }

        #[test]
        fn every_schedule_has_a_kill_and_at_most_one_poisoned_job(seed: u64) {
            let Schedule { events, .. } = Schedule::of(seed);
            prop_assert!(events.iter().any(|event| matches!(event.disturbance, Disturbance::Kill(_))));
            let poisoned = events.iter().filter(|event| event.disturbance == Disturbance::Poison);
            prop_assert!(poisoned.count() <= 1);
            prop_assert!(events.is_sorted_by_key(|event| event.at));
            let end = events.iter().map(|event| event.at + event.duration).max();
            prop_assert!(end < Some(Duration::from_secs(90)), "{:?}", end);
        }
    }

    #[test]
    fn consecutive_seeds_feature_every_kind() {
        let kinds = |seeds: std::ops::Range<u64>| -> HashSet<&str> {
            seeds.flat_map(|seed| Schedule::of(seed).events).map(|event| event.disturbance.kind()).collect()
        };
        let count = FEATURES.len();
        let all = kinds(0..count as u64);
        assert_eq!(all.len(), count, "{all:?}");
        assert_eq!(kinds(1000..1000 + count as u64), all);
    }
}
