//! Deletion of submissions and runs by an admin.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tests::{
    cluster::{Cluster, eventually},
    http,
};

use super::{Tokens, send};

#[tokio::test]
async fn an_admin_deletes_what_a_token_submitted() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let dataset = cluster.sample(5).await;
    let at = |path: &str| format!("{}{path}", cluster.url());
    let submit = async |path: &str, request: Value| -> String {
        let request = http().post(at(path)).bearer_auth(&tokens.submit).json(&request);
        let (status, created) = send(request).await;
        assert_eq!(status, 202, "{created}");
        created["run"].as_str().or_else(|| created["submission"].as_str()).unwrap().to_owned()
    };
    let run = submit("/v1/runs", json!({"dataset": dataset, "name": "one"})).await;
    let embed = json!({"kind": "embed", "dataset": dataset});
    let (ended, open) =
        (submit("/v1/submissions", embed.clone()).await, submit("/v1/submissions", embed).await);
    for id in [&run, &ended] {
        let cancel = http().post(at(&format!("/v1/submissions/{id}/cancel"))).bearer_auth(&tokens.submit);
        assert_eq!(send(cancel).await.0, 200);
    }

    let all = at("/v1/submissions?submitted_by=submit");
    let (status, _) = send(http().delete(&all).bearer_auth(&tokens.submit)).await;
    assert_eq!(status, 403);
    let other = at("/v1/submissions?submitted_by=read");
    let (_, deleted) = send(http().delete(other).bearer_auth(&tokens.admin)).await;
    assert_eq!(deleted, json!({"deleted": 0, "unfinished": 0}));
    // The leader may still be occupied with what was just cancelled.
    let count = AtomicU64::new(0);
    eventually("two are deleted", async || {
        let (status, deleted) = send(http().delete(&all).bearer_auth(&tokens.admin)).await;
        assert_eq!(status, 200, "{deleted}");
        count.fetch_add(deleted["deleted"].as_u64().unwrap(), Ordering::Relaxed);
        count.load(Ordering::Relaxed) == 2 && deleted["unfinished"] == json!(1)
    })
    .await;
    for path in [format!("/v1/runs/{run}"), format!("/v1/submissions/{ended}"), "/v1/runs/one".to_owned()] {
        assert_eq!(send(http().get(at(&path)).bearer_auth(&tokens.read)).await.0, 404, "{path}");
    }

    let one = at(&format!("/v1/submissions/{open}"));
    let delete = async || send(http().delete(&one).bearer_auth(&tokens.admin)).await;
    let (status, problem) = delete().await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("cancel it"), "{problem}");
    assert_eq!(send(http().post(format!("{one}/cancel")).bearer_auth(&tokens.submit)).await.0, 200);
    eventually("the third is deleted", async || delete().await.0 == 200).await;
    assert_eq!(delete().await.0, 404);
    let (_, list) = send(http().get(at("/v1/submissions")).bearer_auth(&tokens.read)).await;
    let left = list["items"].as_array().unwrap().iter();
    let left: Vec<&str> = left.map(|item| item["submission"].as_str().unwrap()).collect();
    assert!(!left.contains(&ended.as_str()) && !left.contains(&open.as_str()), "{list}");
    cluster.finish().await;
}
