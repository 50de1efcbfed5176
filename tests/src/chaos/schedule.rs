//! Schedules: which disturbances happen, when, and for how long.
//!
//! Owns the choice, which is a pure function of a seed. Does not own how a disturbance is done (see
//! `disturb`). Invariants: two disturbances that overlap in time share no subject, so each can be ended
//! without ending another; every [`Schedule`] has a death; consecutive seeds feature every kind in turn.

use std::{collections::HashMap, fmt, time::Duration};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Coordinators in a disturbed system, of which one leads.
pub const COORDINATORS: usize = 2;
/// Workers in it.
pub const WORKERS: usize = 2;
/// Disturbances in one schedule, beside its first death.
const EVENTS: std::ops::RangeInclusive<usize> = 4..=7;
/// Snooze between the beginnings of two disturbances.
const GAP_MS: std::ops::RangeInclusive<u64> = 200..=2200;
/// How long a subject is left alone after a disturbance.
const REST: Duration = Duration::from_millis(300);

/// A program under test.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Program {
    /// A coordinator, counted from 0.
    Coordinator(usize),
    /// A worker, counted from 0.
    Worker(usize),
}

/// A server the programs lean on.
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
    /// `NOREPLICAS`: it lost the replicas that it must have.
    NoReplicas,
    /// `OOM`: its memory is full.
    Full,
}

/// What is published that is no job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Garbage {
    /// A type that nobody knows.
    UnknownType,
    /// A body that is no JSON.
    BadJson,
    /// A body over the limit.
    Oversized,
    /// No headers at all.
    NoHeaders,
}

/// What is done to the system.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Disturbance {
    /// SIGKILL, and a new start afterwards.
    Kill(Program),
    /// SIGSTOP, and SIGCONT afterwards.
    Snooze(Program),
    /// SIGTERM, the end awaited, and a new start.
    Restart(Program),
    /// Restarted with a clock that is this many seconds wrong.
    SkewClock(Program, i64),
    /// SIGKILL of a server, and a new start afterwards.
    KillServer(Server),
    /// SIGSTOP of a server, and SIGCONT afterwards.
    PauseServer(Server),
    /// RabbitMQ takes no publishes for want of memory.
    BrokerAlarm,
    /// RabbitMQ is killed and loses everything it held.
    WipeBroker,
    /// Redis refuses writes.
    RefuseWrites(Refusal),
    /// Redis is killed and comes back with what it held when the disturbance began.
    RollStoreBack,
    /// The connections between a program and a server are reset.
    Cut(Program, Server),
    /// They are reset again and again.
    Flap(Program, Server),
    /// The connections become black holes.
    Stall(Program, Server),
    /// Replies take a while.
    SlowReplies(Program, Server),
    /// What a worker says to RabbitMQ, acknowledgements above all, is lost, and then the connection.
    LoseAnswers(usize),
    /// Jobs of running submissions are published again, in another order.
    Duplicate,
    /// A worker is stopped over a job until another has finished it.
    FinishTwice(usize),
    /// Jobs of running submissions are published again, as an older and as a newer program writes them.
    MixVersions,
    /// Something that is no job is published.
    Litter(Garbage),
    /// One job kills whichever worker starts it.
    Poison,
}

impl Disturbance {
    /// What it is called where disturbances are counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(Program::Coordinator(_)) => "kill-coordinator",
            Self::Kill(Program::Worker(_)) => "kill-worker",
            Self::Snooze(Program::Coordinator(_)) => "pause-coordinator",
            Self::Snooze(Program::Worker(_)) => "pause-worker",
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
            Self::SlowReplies(..) => "slow-replies",
            Self::LoseAnswers(_) => "lose-acks",
            Self::Duplicate => "duplicate",
            Self::FinishTwice(_) => "finish-twice",
            Self::MixVersions => "mix-versions",
            Self::Litter(_) => "litter",
            Self::Poison => "poison",
        }
    }

    /// What is disturbed.
    #[must_use]
    pub fn subjects(&self) -> Vec<Subject> {
        match *self {
            Self::Kill(program)
            | Self::Snooze(program)
            | Self::Restart(program)
            | Self::SkewClock(program, _) => {
                vec![Subject::Program(program)]
            }
            Self::KillServer(server) | Self::PauseServer(server) => vec![Subject::Server(server)],
            Self::RefuseWrites(_) | Self::RollStoreBack => vec![Subject::Server(Server::Store)],
            Self::Cut(program, server)
            | Self::Flap(program, server)
            | Self::Stall(program, server)
            | Self::SlowReplies(program, server) => vec![Subject::Link(program, server)],
            Self::LoseAnswers(worker) => vec![Subject::Link(Program::Worker(worker), Server::Broker)],
            // Publishing needs the broker, and blaming the right job needs both servers to remember.
            Self::BrokerAlarm | Self::WipeBroker | Self::Duplicate | Self::MixVersions | Self::Litter(_) => {
                vec![Subject::Server(Server::Broker)]
            }
            Self::FinishTwice(worker) => {
                vec![Subject::Program(Program::Worker(worker)), Subject::Server(Server::Broker)]
            }
            Self::Poison => {
                vec![Subject::Poison, Subject::Server(Server::Broker), Subject::Server(Server::Store)]
            }
        }
    }
}

/// What one disturbance has for itself while it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A program.
    Program(Program),
    /// A server.
    Server(Server),
    /// The connections between the two.
    Link(Program, Server),
    /// The one job that may be poison.
    Poison,
}

/// One disturbance in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When it begins, after the schedule's beginning.
    pub at: Duration,
    /// How long it lasts.
    pub lasting: Duration,
    /// What is done.
    pub disturbance: Disturbance,
}

/// A schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The seed it follows from.
    pub seed: u64,
    /// Its events, in order of their beginnings.
    pub events: Vec<Event>,
}

/// How often the kinds of disturbances come up as a schedule's feature, in turn.
const FEATURES: [fn(&mut ChaCha12Rng) -> Disturbance; 27] = [
    |random| Disturbance::Kill(worker(random)),
    |random| Disturbance::Kill(coordinator(random)),
    |_| Disturbance::RollStoreBack,
    |_| Disturbance::WipeBroker,
    |_| Disturbance::Poison,
    |_| Disturbance::KillServer(Server::Broker),
    |_| Disturbance::KillServer(Server::Store),
    |random| Disturbance::LoseAnswers(random.random_range(0..WORKERS)),
    |random| Disturbance::Snooze(worker(random)),
    |random| Disturbance::Stall(program(random), server(random)),
    |_| Disturbance::RefuseWrites(Refusal::Full),
    |_| Disturbance::BrokerAlarm,
    |_| Disturbance::Duplicate,
    |random| Disturbance::SkewClock(program(random), [-300, 300][random.random_range(0..2)]),
    |random| Disturbance::Snooze(coordinator(random)),
    |_| Disturbance::RefuseWrites(Refusal::Replica),
    |_| Disturbance::PauseServer(Server::Store),
    |random| Disturbance::Cut(program(random), server(random)),
    |_| Disturbance::MixVersions,
    |random| Disturbance::Flap(program(random), server(random)),
    |random| Disturbance::Restart(worker(random)),
    |random| Disturbance::Restart(coordinator(random)),
    |random| Disturbance::SlowReplies(program(random), server(random)),
    |_| Disturbance::PauseServer(Server::Broker),
    |random| Disturbance::Litter(garbage(random)),
    |_| Disturbance::RefuseWrites(Refusal::NoReplicas),
    |random| Disturbance::FinishTwice(random.random_range(0..WORKERS)),
];

impl Schedule {
    /// Makes the schedule of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let feature = FEATURES[(seed % FEATURES.len() as u64) as usize](&mut random);
        let death = if random.random_bool(0.7) { worker(&mut random) } else { coordinator(&mut random) };
        let mut disturbances = vec![feature, Disturbance::Kill(death)];
        for _ in 0..random.random_range(EVENTS) {
            disturbances.push(FEATURES[random.random_range(0..FEATURES.len())](&mut random));
        }
        // One poisoned job a schedule: it costs four deaths.
        let mut poisoned = false;
        disturbances.retain(|next| {
            let second = *next == Disturbance::Poison && poisoned;
            poisoned |= *next == Disturbance::Poison;
            !second
        });
        shuffle(&mut disturbances, &mut random);
        Self { seed, events: place(disturbances, &mut random) }
    }
}

/// Gives each disturbance its time: soon after the one before it, and not before its subjects are free.
fn place(disturbances: Vec<Disturbance>, random: &mut ChaCha12Rng) -> Vec<Event> {
    let mut free = HashMap::<Subject, Duration>::new();
    let mut clock = Duration::ZERO;
    let mut events: Vec<Event> = disturbances
        .into_iter()
        .map(|disturbance| {
            clock += Duration::from_millis(random.random_range(GAP_MS));
            let lasting = Duration::from_millis(random.random_range(lasting_ms(&disturbance)));
            let subjects = disturbance.subjects();
            let at =
                subjects.iter().filter_map(|subject| free.get(subject)).copied().fold(clock, Duration::max);
            for subject in subjects {
                free.insert(subject, at + lasting + REST);
            }
            Event { at, lasting, disturbance }
        })
        .collect();
    events.sort_by_key(|event| event.at);
    events
}

/// How long a disturbance may last, in milliseconds.
fn lasting_ms(disturbance: &Disturbance) -> std::ops::RangeInclusive<u64> {
    match disturbance {
        Disturbance::Kill(_) => 100..=2500,
        // The longest is over two of the tests' heartbeats, after which RabbitMQ gives a silent peer up.
        Disturbance::Snooze(_) | Disturbance::Stall(..) => 500..=11_000,
        Disturbance::KillServer(_) => 500..=4000,
        Disturbance::RollStoreBack => 500..=8000,
        Disturbance::Flap(..) => 2000..=8000,
        Disturbance::PauseServer(_) => 500..=5000,
        Disturbance::BrokerAlarm | Disturbance::RefuseWrites(_) => 1000..=5000,
        Disturbance::SlowReplies(..) => 2000..=6000,
        Disturbance::LoseAnswers(_) => 500..=2500,
        Disturbance::Restart(_)
        | Disturbance::SkewClock(..)
        | Disturbance::WipeBroker
        | Disturbance::Cut(..)
        | Disturbance::Duplicate
        | Disturbance::FinishTwice(_)
        | Disturbance::MixVersions
        | Disturbance::Litter(_)
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

/// Fisher and Yates's shuffle.
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
            Self::Snooze(program) => write!(f, "SIGSTOP of {program}"),
            Self::Restart(program) => write!(f, "SIGTERM and restart of {program}"),
            Self::SkewClock(program, seconds) => {
                write!(f, "restart of {program} with a clock {seconds:+} s wrong")
            }
            Self::KillServer(server) => write!(f, "kill -9 of {server}"),
            Self::PauseServer(server) => write!(f, "SIGSTOP of {server}"),
            Self::BrokerAlarm => f.write_str("RabbitMQ's memory alarm"),
            Self::WipeBroker => f.write_str("kill -9 of RabbitMQ and the loss of its data"),
            Self::RefuseWrites(Refusal::Replica) => f.write_str("Redis is read-only"),
            Self::RefuseWrites(Refusal::NoReplicas) => f.write_str("Redis lacks its replicas"),
            Self::RefuseWrites(Refusal::Full) => f.write_str("Redis is out of memory"),
            Self::RollStoreBack => f.write_str("kill -9 of Redis, which comes back as it was"),
            Self::Cut(program, server) => write!(f, "connections of {program} to {server} reset"),
            Self::Flap(program, server) => {
                write!(f, "connections of {program} to {server} reset again and again")
            }
            Self::Stall(program, server) => write!(f, "connections of {program} to {server} in a black hole"),
            Self::SlowReplies(program, server) => write!(f, "slow replies of {server} to {program}"),
            Self::LoseAnswers(worker) => {
                write!(f, "acknowledgements of worker {worker} lost, then its connection")
            }
            Self::Duplicate => f.write_str("duplicates of running jobs, in another order"),
            Self::FinishTwice(worker) => {
                write!(f, "SIGSTOP of worker {worker} until another has finished a job it holds")
            }
            Self::MixVersions => f.write_str("running jobs as older and newer programs write them"),
            Self::Litter(garbage) => write!(f, "garbage in a queue: {garbage:?}"),
            Self::Poison => f.write_str("a job that kills whoever starts it"),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule of seed {}:", self.seed)?;
        for Event { at, lasting, disturbance } in &self.events {
            write!(
                f,
                "\n    at {:>4.1} s for {:>4.1} s  {disturbance}",
                at.as_secs_f64(),
                lasting.as_secs_f64()
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
        fn a_schedule_follows_from_its_seed(seed: u64) {
            prop_assert_eq!(Schedule::of(seed), Schedule::of(seed));
        }

        #[test]
        fn overlapping_disturbances_share_no_subject(seed: u64) {
            let Schedule { events, .. } = Schedule::of(seed);
            for (index, first) in events.iter().enumerate() {
                for second in &events[index + 1..] {
                    if second.at > first.at + first.lasting {
                        continue;
                    }
                    let subjects = first.disturbance.subjects();
                    let shared = second.disturbance.subjects().into_iter().find(|s| subjects.contains(s));
                    prop_assert_eq!(shared, None, "{} and {}", first.disturbance, second.disturbance);
                }
            }
        }

        #[test]
        fn every_schedule_has_a_death_and_at_most_one_poisoned_job(seed: u64) {
            let Schedule { events, .. } = Schedule::of(seed);
            prop_assert!(events.iter().any(|event| matches!(event.disturbance, Disturbance::Kill(_))));
            let poisoned = events.iter().filter(|event| event.disturbance == Disturbance::Poison);
            prop_assert!(poisoned.count() <= 1);
            prop_assert!(events.is_sorted_by_key(|event| event.at));
            let end = events.iter().map(|event| event.at + event.lasting).max();
            prop_assert!(end < Some(Duration::from_secs(90)), "{:?}", end);
        }
    }

    #[test]
    fn consecutive_seeds_feature_every_kind() {
        let kinds = |seeds: std::ops::Range<u64>| -> HashSet<&str> {
            seeds.flat_map(|seed| Schedule::of(seed).events).map(|event| event.disturbance.kind()).collect()
        };
        let all = kinds(0..27);
        assert_eq!(all.len(), 27, "{all:?}");
        assert_eq!(kinds(1000..1027), all);
    }
}
