//! Forced reconnects leak no memory and keep the prefetch.

use std::{collections::BTreeMap, time::Instant};

use common::{
    job::kind::Kind,
    topology::{self, Route},
    training::protocol::head_fingerprint,
};
use tests::{
    chaos::{
        disturb::ExpectedEffects,
        load::{Datasets, Load},
        runner,
        schedule::{COORDINATORS, Program, Server, WORKERS},
        system::System,
        verdict,
    },
    cluster::eventually,
    environment::{Servers, number},
};

/// Default number of connections to reset.
const RECONNECTS: u64 = 60;
/// Limit on a program's memory growth.
const GROWTH_BYTES: u64 = 32 << 20;
/// The workers' configured prefetch.
const PREFETCH: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forced_reconnects_leak_nothing_and_keep_prefetch() {
    let _guard = crate::EXCLUSIVE.lock().await;
    let wanted = number("SUBWATCH_CHAOS_RECONNECTS").unwrap_or(RECONNECTS);
    let datasets = Datasets::make().await;
    let undisturbed = runner::undisturbed_weights(Servers::from_environment(), &datasets).await;
    let system = runner::start(Servers::from_environment(), &datasets, "reconnects").await;
    let load = Load::warm_up(&system, &datasets).await;
    // Fill buffers and caches before the first measurement.
    reset_all(&system).await;
    let before = memory(&system).await;
    let (began, mut reset) = (Instant::now(), 0);
    while reset < wanted {
        reset += reset_all(&system).await;
    }
    let took = began.elapsed();
    let after = memory(&system).await;
    for ((program, before), (_, after)) in before.iter().zip(&after) {
        tests::print_line(&format!("{program}: {} MiB before, {} MiB after", before >> 20, after >> 20));
        assert!(*after < before + GROWTH_BYTES, "{program} grew over {reset} reconnects");
    }
    let spaces = system.store.workers().await.unwrap()[0].record.spaces.clone();
    let mut want: BTreeMap<String, Vec<u64>> = Route::for_kinds(&Kind::ALL, &[head_fingerprint()], &spaces)
        .iter()
        .map(|route| (route.queue_name(), vec![PREFETCH; WORKERS]))
        .collect();
    want.insert(topology::dead_letter_queue().name, vec![16; COORDINATORS]);
    eventually("every queue has its consumers with their prefetch", || async {
        let mut found = BTreeMap::<String, Vec<u64>>::new();
        for (queue, prefetch) in system.vhost.prefetches().await {
            found.entry(queue).or_default().push(prefetch);
        }
        found == want
    })
    .await;

    // The system still works.
    load.submit_each().await;
    assert!(runner::settle(&system).await, "{:?}", system.tally().violations);
    let count = verdict::inspect(&system, &load, &ExpectedEffects::default(), &undisturbed).await;
    let tally = system.end().await;
    tests::print_line(&format!(
        "{reset} connections reset and reopened in {took:.0?}; prefetch unchanged; then {} items: {} lost, {} duplicated",
        count.items, count.lost, count.duplicated,
    ));
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
}

/// Resets all connections of all programs, waits until they are reopened, and returns their number.
async fn reset_all(system: &System) -> u64 {
    let links =
        || system.programs().flat_map(|program| [(program, Server::Broker), (program, Server::Store)]);
    let opened = |program, server| system.link(program, server).opened();
    let mut reset = 0;
    let before: Vec<_> = links()
        .map(|(program, server)| {
            let opened = opened(program, server);
            let open = system.link(program, server).reset_connections() as u64;
            reset += open;
            (program, server, opened + open)
        })
        .collect();
    for (program, server, opened_then) in before {
        eventually(&format!("{program} reconnects to {server}"), || async {
            // The store reconnects on its next query, which the readiness probe makes.
            system.is_ready(program).await && opened(program, server) >= opened_then
        })
        .await;
    }
    reset
}

async fn memory(system: &System) -> Vec<(Program, u64)> {
    let mut all = Vec::new();
    for program in system.programs() {
        all.push((program, system.slot(program).await.process().resident_bytes()));
    }
    all
}
