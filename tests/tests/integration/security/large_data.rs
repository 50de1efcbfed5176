//! Long names, large pages, and a Redis without memory.

use std::{io::Write as _, net::TcpStream};

use common::{
    ids::SubmissionId,
    store::{Store, StoreConfig},
};
use serde_json::{Value, json};
use tests::{
    chaos::servers::{free_ports, server_command},
    cluster::{Cluster, eventually},
    http,
    process::Process,
};

use super::{send, text};

/// Uploads bytes that are not an image and submits them `count` times, under names of `bytes` bytes.
async fn submit_named(cluster: &Cluster, count: usize, bytes: usize) -> (u16, Value) {
    let stored = send(http().post(format!("{}/v1/images", cluster.url())).body("x")).await.1;
    let image = |n: usize| json!({"item": format!("{n:0>bytes$}"), "sha256": stored["sha256"]});
    submit(cluster, &(0..count).map(image).collect::<Vec<Value>>()).await
}

async fn submit(cluster: &Cluster, images: &[Value]) -> (u16, Value) {
    let submit = http().post(format!("{}/v1/submissions", cluster.url()));
    send(submit.json(&json!({"kind": "embed", "images": images}))).await
}

/// Requires that Redis does not keep the images in a submission's request.
async fn require_short_request(cluster: &Cluster, id: SubmissionId) {
    let request = async || cluster.store.submission(id).await.unwrap().unwrap().spec.to_string();
    eventually("the request has no images", async || request().await.len() < 256).await;
    let view: Value = send(http().get(format!("{}/v1/submissions/{id}", cluster.url()))).await.1;
    assert_eq!(view["subject"], json!("3000 images"), "{view}");
}

/// Follows a list to its end. Returns its items, and checks the size of each page.
async fn all_pages(cluster: &Cluster, path: &str, most_bytes: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut url = format!("{}{path}", cluster.url());
        if let Some(cursor) = cursor {
            url += &format!("{}cursor={cursor}", if path.contains('?') { "&" } else { "?" });
        }
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let body = answer.bytes().await.unwrap();
        assert!(body.len() < most_bytes, "{path}: a page of {} bytes", body.len());
        let page: Value = serde_json::from_slice(&body).unwrap();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return items;
        }
    }
}

#[tokio::test]
async fn names_are_bounded_and_pages_end_by_bytes() {
    let cluster = Cluster::start(1).await;
    let (status, body) = submit_named(&cluster, 1, 1025).await;
    assert_eq!((status, body["detail"].as_str().unwrap().contains("over the limit of 1024")), (422, true));
    let (status, submitted) = submit_named(&cluster, 3000, 1024).await;
    assert_eq!(status, 202, "{submitted}");
    let id = submitted["submission"].as_str().unwrap().to_owned();
    let results = format!("/v1/submissions/{id}/results?limit=1000");
    assert_eq!(cluster.wait_for_end(id.parse().unwrap()).await.items, 3000);
    require_short_request(&cluster, id.parse().unwrap()).await;
    let (_, cancelled) = submit_named(&cluster, 3000, 1024).await;
    let cancelled = cancelled["submission"].as_str().unwrap();
    cluster.json(&["cancel", cancelled, "-o", "json"], &[0]).await;
    require_short_request(&cluster, cancelled.parse().unwrap()).await;
    let items = all_pages(&cluster, &results, (1 << 20) + (8 << 10)).await;
    assert_eq!(items.len(), 3000);
    let numbers: Vec<usize> =
        items.iter().map(|item| item["item"].as_str().unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..3000), "no item is left out or repeated");
    assert_eq!(all_pages(&cluster, "/v1/submissions", 1 << 20).await.len(), 2);
    assert_eq!(all_pages(&cluster, &format!("/v1/submissions/{id}/jobs"), 1 << 20).await.len(), 47);

    // A row with a long name is rejected without it.
    let folder = cluster.folder().join("long");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.jpg"), b"x").unwrap();
    let row = format!("{{\"file_name\":\"{}.jpg\"}}\n", "y".repeat(60_000));
    std::fs::write(folder.join("metadata.jsonl"), row).unwrap();
    let id = cluster.detach(&["embed", &folder.display().to_string()]).await;
    cluster.wait_for_end(id).await;
    let failed = all_pages(&cluster, &format!("/v1/submissions/{id}/results?failed=true"), 4096).await;
    let is_rejected = |item: &Value| item["error"].to_string().contains("file_name has 60004 bytes");
    assert!(failed.iter().any(is_rejected), "{failed:?}");

    // Clients that do not read keep neither memory nor others waiting.
    let request = format!("GET {results} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(50);
    let deaf: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(cluster.url().strip_prefix("http://").unwrap()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    eventually("others are answered", || async {
        http()
            .get(format!("{}/v1/runs", cluster.url()))
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let resident = cluster.coordinator.resident_bytes() >> 20;
    tests::print_line(&format!("{resident} MiB with 200 clients that do not read pages of 1 MiB"));
    assert!(resident < 600, "{resident} MiB");
    drop(deaf);
    cluster.finish().await;
}

#[tokio::test]
async fn a_redis_without_memory_is_reported_and_emptied() {
    let (port, folder) = (free_ports(1), tempfile::tempdir().unwrap());
    let mut command = server_command("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(folder.path());
    command.args(["--maxmemory", "24mb", "--maxmemory-policy", "noeviction"]);
    let _redis = Process::start(command, folder.path().join("redis.log"));
    let url = format!("redis://127.0.0.1:{port}/0");
    let key_prefix = "full:".to_owned();
    let config =
        StoreConfig { url: url.as_str().into(), ca_certificates: None, key_prefix: key_prefix.clone() };
    eventually("Redis serves", || async { Store::connect(&config).await.is_ok() }).await;
    let settings = [("SUBWATCH_REDIS_URL", url), ("SUBWATCH_REDIS_KEY_PREFIX", key_prefix)];
    let mut cluster = Cluster::start_with(0, &settings).await;
    cluster.store = Store::connect(&config).await.unwrap();
    let upload = async |byte: u8| {
        send(http().post(format!("{}/v1/images", cluster.url())).body(vec![byte; 2 << 20])).await
    };
    let ready =
        async || http().get(format!("{}/readyz", cluster.url())).send().await.unwrap().status().as_u16();
    assert_eq!(ready().await, 200);
    let doctor = text(&cluster.cli(&["doctor"]).await.stdout);
    assert!(doctor.contains("SUBWATCH_MAX_UPLOAD_BYTES"), "the budget exceeds half of maxmemory: {doctor}");
    for byte in 0..6 {
        assert_eq!(upload(byte).await.0, 201);
    }
    let redis_cli = async |arguments: &[&str]| {
        let mut command = server_command("redis-cli");
        command.args(["-p", &port.to_string()]).args(arguments);
        let output = command.output().await.unwrap();
        assert!(output.status.success());
        text(&output.stdout)
    };
    let limit = async |bytes: u64| _ = redis_cli(&["config", "set", "maxmemory", &bytes.to_string()]).await;
    // Redis keeps the buffers of large requests for seconds and counts them.
    eventually("the buffers of the uploads are freed", async || {
        let memory = redis_cli(&["info", "memory"]).await;
        let clients = memory.lines().find_map(|line| line.strip_prefix("mem_clients_normal:")).unwrap();
        clients.trim().parse::<u64>().unwrap() < 256 << 10
    })
    .await;
    // Nearly full: the rest is for submissions in progress.
    limit(cluster.store.server_info().await.unwrap().used_bytes * 21 / 20).await;
    let (status, problem) = submit(&cluster, &[json!({"item": "a", "sha256": "0".repeat(64)})]).await;
    assert_eq!(status, 429, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("90 %"), "{problem}");
    assert_eq!(ready().await, 200);
    assert!(text(&cluster.cli(&["doctor"]).await.stdout).contains("submissions and uploads are refused"));
    let (status, problem) = upload(6).await;
    assert_eq!(status, 429, "{problem}");
    limit(8 << 20).await;
    assert_eq!(upload(6).await.0, 429);
    assert_eq!(ready().await, 503);
    let doctor = cluster.cli(&["doctor"]).await;
    assert!(!doctor.status.success());
    assert!(text(&doctor.stdout).contains("maxmemory"), "{}", text(&doctor.stdout));
    let dropped = cluster.json(&["uploads", "drop", "-o", "json"], &[0]).await;
    assert!(dropped["dropped"].as_u64().unwrap() >= 6, "{dropped}");
    eventually("the coordinator is ready", async || ready().await == 200).await;
    assert_eq!(upload(0).await.0, 201);
    let (status, submitted) = submit_named(&cluster, 1, 8).await;
    assert_eq!(status, 202, "{submitted}");
    cluster.json(&["cancel", submitted["submission"].as_str().unwrap(), "-o", "json"], &[0]).await;
    cluster.finish().await;
}
