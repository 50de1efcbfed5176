//! Failover of Redis behind one address: the old primary stays reachable and refuses to serve.

use std::process::Stdio;

use common::{
    ids::SubmissionId,
    store::{State, Store, StoreConfig},
};
use tests::{
    chaos::servers::{free_ports, server_command},
    cluster::{Cluster, eventually},
    fault_proxy::FaultProxy,
    process::Process,
};

/// A Redis server of one test.
struct Redis {
    port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Redis {
    async fn start() -> Self {
        let (port, folder) = (free_ports(1), tempfile::tempdir().unwrap());
        let mut command = server_command("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(folder.path()).args(["--repl-diskless-sync-delay", "0"]);
        let process = Process::start(command, folder.path().join("redis.log"));
        let redis = Self { port, _process: process, _folder: folder };
        eventually("Redis serves", || async { redis.command(&["ping"]).await.trim() == "PONG" }).await;
        redis
    }

    /// Runs a command in redis-cli and returns its output.
    async fn command(&self, command_line: &[&str]) -> String {
        let mut command = server_command("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(command_line);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn replicate(&self, primary: u16) {
        self.command(&["replicaof", "127.0.0.1", &primary.to_string()]).await;
    }

    async fn wait_until_replicated(&self) {
        eventually("the replica is up to date", || async {
            self.command(&["info", "replication"]).await.contains("master_link_status:up")
        })
        .await;
    }

    /// Number of clients of a kind: `normal` (redis-cli is one) or `pubsub`.
    async fn clients(&self, kind: &str) -> usize {
        self.command(&["client", "list", "type", kind]).await.lines().count()
    }
}

fn store_config(port: u16) -> StoreConfig {
    StoreConfig {
        url: format!("redis://127.0.0.1:{port}/0").as_str().into(),
        ca_certificates: None,
        key_prefix: "failover:".to_owned(),
    }
}

#[tokio::test]
async fn programs_follow_a_failover_that_leaves_the_old_primary_reachable() {
    let (old, new) = (Redis::start().await, Redis::start().await);
    let proxy = FaultProxy::start(old.port).await;
    let config = store_config(proxy.port());
    let settings = [
        ("SUBWATCH_REDIS_URL", format!("redis://127.0.0.1:{}/0", proxy.port())),
        ("SUBWATCH_REDIS_KEY_PREFIX", config.key_prefix.clone()),
    ];
    let mut cluster = Cluster::start_with(0, &settings).await;
    cluster.store = Store::connect(&config).await.unwrap();
    cluster.add_worker();
    cluster.wait_for_workers(1).await;
    let dataset = cluster.sample(128).await.display().to_string();
    cluster.workers[0].pause();
    let id = cluster.detach(&["embed", &dataset]).await;
    eventually("both jobs are published", || async { cluster.submission(id).await.jobs_published == 2 })
        .await;
    new.replicate(old.port).await;
    new.wait_until_replicated().await;

    new.command(&["replicaof", "no", "one"]).await;
    old.replicate(new.port).await;
    proxy.redirect(new.port);
    cluster.workers[0].resume();
    // This store only reads, which a replica allows; it must see the new primary.
    cluster.store = Store::connect(&config).await.unwrap();
    let ended = cluster.wait_for_end(id).await;
    assert_eq!((ended.state, ended.succeeded), (State::Succeeded, 128), "{ended:?}");
    let again = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    let again: SubmissionId = again["submission"].as_str().unwrap().parse().unwrap();
    assert_eq!(cluster.submission(again).await.cached, 128);

    // Neither commands nor subscriptions stay at the old primary; redis-cli is one client.
    eventually("the old primary has no clients", || async {
        old.clients("normal").await == 1 && old.clients("pubsub").await == 0
    })
    .await;
    assert!(new.clients("pubsub").await >= 1, "the coordinator listens for notifications");
    for program in [&cluster.coordinator, &cluster.workers[0]] {
        let log = program.log();
        assert!(log.contains("the Redis server cannot serve; connecting anew"), "{log}");
        assert!(log.contains("read only replica"), "{log}");
    }
    let doctor = cluster.json(&["doctor", "-o", "json"], &[0, 1, 3]).await;
    assert!(!doctor.to_string().contains("replica"), "{doctor}");
    cluster.finish().await;
}

#[tokio::test]
async fn connection_is_replaced_once_a_replica_has_lost_its_primary() {
    let (old, new) = (Redis::start().await, Redis::start().await);
    let proxy = FaultProxy::start(old.port).await;
    let store = Store::connect(&store_config(proxy.port())).await.unwrap();
    assert_eq!(store.dead_letter_count().await.unwrap(), 0);
    assert!(!store.server_info().await.unwrap().replica);
    old.command(&["config", "set", "replica-serve-stale-data", "no"]).await;
    // Nothing listens on port 1. Reads are refused with MASTERDOWN.
    old.replicate(1).await;
    eventually("reads are refused", || async { store.dead_letter_count().await.is_err() }).await;
    proxy.redirect(new.port);
    eventually("the store uses the new primary", || async { store.dead_letter_count().await.is_ok() }).await;
    assert!(store.set_active(SubmissionId::now()).await.is_ok());
    assert_eq!(new.command(&["scard", "failover:active"]).await.trim(), "1");
}
