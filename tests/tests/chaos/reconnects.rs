//! Forced reconnects: connections are cut again and again; nothing leaks, and prefetch stays in force.

use std::{collections::BTreeMap, time::Instant};

use common::{
    job::kind::Kind,
    topology::{self, Route},
    training::protocol::head_fingerprint,
};
use tests::{
    chaos::{
        disturb::Explained,
        load::{Datasets, Load},
        runner,
        schedule::{COORDINATORS, Program, Server, WORKERS},
        system::System,
        verdict,
    },
    cluster::eventually,
    environment::{Servers, number},
};

/// Connections that are cut, unless somebody asks for others.
const RECONNECTS: u64 = 60;
/// How much more memory a program may occupy afterwards.
const GROWTH_BYTES: u64 = 32 << 20;
/// Prefetch of a worker's queues in these tests.
const PREFETCH: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_reconnects_leak_nothing_and_keep_prefetch() {
    let _turn = crate::TURN.lock().await;
    let wanted = number("SUBWATCH_CHAOS_RECONNECTS").unwrap_or(RECONNECTS);
    let datasets = Datasets::make().await;
    let undisturbed = runner::undisturbed_weights(Servers::from_environment(), &datasets).await;
    let system = runner::start(Servers::from_environment(), &datasets, "reconnects").await;
    let load = Load::warm_up(&system, &datasets).await;
    // What is filled once, such as buffers and caches, is filled before the first measurement.
    cut_all(&system).await;
    let before = memory(&system).await;
    let (began, mut cut) = (Instant::now(), 0);
    while cut < wanted {
        cut += cut_all(&system).await;
    }
    let took = began.elapsed();
    let after = memory(&system).await;
    for ((program, before), (_, after)) in before.iter().zip(&after) {
        tests::say(&format!("{program}: {} MiB before, {} MiB after", before >> 20, after >> 20));
        assert!(*after < before + GROWTH_BYTES, "{program} grew over {cut} reconnects");
    }
    let mut want: BTreeMap<String, Vec<u64>> = Route::for_kinds(&Kind::ALL, &[head_fingerprint()])
        .iter()
        .map(|route| (route.queue_name(), vec![PREFETCH; WORKERS]))
        .collect();
    want.insert(topology::dead_letter_queue().name, vec![16; COORDINATORS]);
    eventually("every queue has its consumers, with their prefetch", || async {
        let mut found = BTreeMap::<String, Vec<u64>>::new();
        for (queue, prefetch) in system.vhost.prefetches().await {
            found.entry(queue).or_default().push(prefetch);
        }
        found == want
    })
    .await;

    // And everything still works.
    load.submit_each().await;
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &Explained::default(), &undisturbed).await;
    let tally = system.end().await;
    tests::say(&format!(
        "{cut} connections cut and opened again in {took:.0?}; prefetch in force; then {} items: {} lost, {} doubled",
        count.items, count.lost, count.doubled,
    ));
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
}

/// Cuts every connection of every program, waits until all are back, and returns how many there were.
async fn cut_all(system: &System) -> u64 {
    let links =
        || system.programs().flat_map(|program| [(program, Server::Broker), (program, Server::Store)]);
    let opened = |program, server| system.link(program, server).opened();
    let mut cut = 0;
    let before: Vec<_> = links()
        .map(|(program, server)| {
            let opened = opened(program, server);
            let open = system.link(program, server).cut() as u64;
            cut += open;
            (program, server, opened + open)
        })
        .collect();
    for (program, server, opened_then) in before {
        eventually(&format!("{program} is connected to {server} again"), || async {
            // The store's connection is opened by whoever asks next, which the probe does.
            system.is_ready(program).await && opened(program, server) >= opened_then
        })
        .await;
    }
    cut
}

async fn memory(system: &System) -> Vec<(Program, u64)> {
    let mut all = Vec::new();
    for program in system.programs() {
        all.push((program, system.slot(program).await.process().resident_bytes()));
    }
    all
}
