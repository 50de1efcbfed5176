//! TLS connections, untrusted servers, and passwords in logs.

use std::{fs, path::Path};

use tests::{
    broker_admin::Vhost,
    cluster::{Cluster, eventually},
    environment::{EncryptedServers, Servers},
};
use uuid::Uuid;

use super::{run_refused, text};

/// Creates a CA and returns the path of its certificate.
fn create_ca(folder: &Path) -> String {
    let (key, pem) = (folder.join("ca.key"), folder.join("ca.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=another CA", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    pem.display().to_string()
}

#[tokio::test]
async fn jobs_run_over_tls_connections() {
    let servers = EncryptedServers::from_environment();
    let vhost =
        Vhost::create(&Servers::from_environment(), &format!("tls-{}", Uuid::now_v7().simple())).await;
    let plain = vhost.amqp_url();
    let amqps = format!("{}{}", servers.amqps_url, &plain[plain.rfind('/').unwrap()..]);
    let cluster = Cluster::start_with(
        1,
        &[
            ("SUBWATCH_AMQP_URL", amqps),
            ("SUBWATCH_AMQP_CA_FILE", servers.ca_file.clone()),
            ("SUBWATCH_REDIS_URL", servers.rediss_url.clone()),
            ("SUBWATCH_REDIS_CA_FILE", servers.ca_file.clone()),
        ],
    )
    .await;
    let dataset = cluster.sample(70).await.display().to_string();
    let embedded = cluster.json(&["embed", &dataset, "-o", "json"], &[0]).await;
    assert_eq!(embedded["succeeded"], 70);
    // The cluster's default vhost has a non-TLS URL; it must stay empty.
    assert!(cluster.vhost.queue_counts().await.is_empty());
    eventually("the queues are listed", || async { !vhost.queue_counts().await.is_empty() }).await;
    cluster.finish().await;
    vhost.delete().await;
}

#[tokio::test]
async fn untrusted_server_fails_startup_with_one_line() {
    let servers = EncryptedServers::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (servers.ca_file.as_str(), create_ca(folder.path()));
    let garbage = folder.path().join("garbage.pem");
    fs::write(&garbage, "not a certificate").unwrap();
    let garbage = garbage.display().to_string();
    let localhost = |url: &str| url.replace("127.0.0.1", "localhost");
    let (amqps, rediss) = (servers.amqps_url.as_str(), servers.rediss_url.as_str());
    let (amqps_misnamed, rediss_misnamed) = (localhost(amqps), localhost(rediss));
    let check = async |settings: &[(&str, &str)], code: i32, want: &[&str]| {
        let ended = run_refused(settings).await;
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{settings:?}: {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(want.iter().all(|want| last.contains(want)), "{settings:?}: {stderr}");
        assert!(!stderr.contains("guest:guest"), "{stderr}");
        // The tests' own variables cause warnings.
        let warnings = stderr.lines().filter(|line| {
            (line.contains("WARN") || line.contains("ERROR")) && !line.contains("does not name a setting")
        });
        assert_eq!(warnings.count(), 0, "{stderr}");
    };
    let untrusted = ["is not trusted", "UnknownIssuer"];
    let misnamed = ["is not trusted", "not valid for name \"localhost\""];
    let (amqp_ca, redis_ca) = ("SUBWATCH_AMQP_CA_FILE", "SUBWATCH_REDIS_CA_FILE");
    check(&[("SUBWATCH_AMQP_URL", amqps)], 1, &[untrusted[0], untrusted[1], amqp_ca]).await;
    check(&[("SUBWATCH_AMQP_URL", amqps), (amqp_ca, &other)], 1, &untrusted).await;
    check(&[("SUBWATCH_AMQP_URL", &amqps_misnamed), (amqp_ca, ours)], 1, &misnamed).await;
    check(&[("SUBWATCH_REDIS_URL", rediss)], 1, &[untrusted[0], untrusted[1], redis_ca]).await;
    check(&[("SUBWATCH_REDIS_URL", rediss), (redis_ca, &other)], 1, &untrusted).await;
    check(&[("SUBWATCH_REDIS_URL", &rediss_misnamed), (redis_ca, ours)], 1, &misnamed).await;
    // A server that does not speak TLS at all.
    let plain = Servers::from_environment().amqp_url.replace("amqp://", "amqps://");
    check(&[("SUBWATCH_AMQP_URL", &plain), (amqp_ca, ours)], 1, &["is not trusted", "corrupt message"]).await;
    let insecure = format!("{rediss}#insecure");
    check(&[("SUBWATCH_REDIS_URL", &insecure), (redis_ca, ours)], 1, &["the Redis URL is invalid"]).await;
    // CA files that are invalid or do not fit the URL.
    check(&[("SUBWATCH_AMQP_URL", amqps), (amqp_ca, "/no/such/file")], 64, &["No such file"]).await;
    check(&[("SUBWATCH_AMQP_URL", amqps), (amqp_ca, &garbage)], 64, &["the file contains no certificate"])
        .await;
    check(&[("SUBWATCH_REDIS_URL", rediss), (redis_ca, &garbage)], 64, &["the file contains no certificate"])
        .await;
    check(&[(amqp_ca, ours)], 64, &["unset unless SUBWATCH_AMQP_URL starts with amqps://"]).await;
    check(&[(redis_ca, ours)], 64, &["unset unless SUBWATCH_REDIS_URL starts with rediss://"]).await;
}

#[tokio::test]
async fn passwords_are_never_logged() {
    let servers = EncryptedServers::from_environment();
    let amqp = Servers::from_environment().amqp_url.replace(":guest@", ":hunter2@");
    let amqps = servers.amqps_url.replace(":guest@", ":hunter2@");
    let redis = Servers::from_environment().redis_url.replace("redis://", "redis://me:hunter2@");
    let rediss = servers.rediss_url.replace("rediss://", "rediss://me:hunter2@");
    let (amqp_ca, redis_ca) = ("SUBWATCH_AMQP_CA_FILE", "SUBWATCH_REDIS_CA_FILE");
    for (settings, want) in [
        (vec![("SUBWATCH_AMQP_URL", amqp.as_str())], "rejected user 'guest'"),
        (vec![("SUBWATCH_AMQP_URL", amqps.as_str()), (amqp_ca, &servers.ca_file)], "rejected user 'guest'"),
        (vec![("SUBWATCH_REDIS_URL", redis.as_str())], "Redis rejected the credentials"),
        (
            vec![("SUBWATCH_REDIS_URL", rediss.as_str()), (redis_ca, &servers.ca_file)],
            "Redis rejected the credentials",
        ),
    ] {
        for log in ["trace", "lapin=trace"] {
            let mut settings = settings.clone();
            settings.push(("SUBWATCH_LOG", log));
            let ended = run_refused(&settings).await;
            let printed = text(&ended.stderr) + &text(&ended.stdout);
            assert!(printed.contains(want), "{settings:?}: {printed}");
            let shown: Vec<&str> = printed.lines().filter(|line| line.contains("hunter2")).collect();
            assert!(shown.is_empty(), "{shown:#?}");
        }
    }
}
