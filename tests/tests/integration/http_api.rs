//! What the HTTP API does with parameters and bodies that a client got wrong.

use reqwest::RequestBuilder;
use serde_json::Value;
use tests::{cluster::Cluster, http};

async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn unknown_and_invalid_query_parameters_are_refused() {
    let cluster = Cluster::start(0).await;
    let (http, url) = (http(), cluster.url());
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (path, want) in [
        ("/v1/submissions?after=x".to_owned(), "unknown field `after`, expected `cursor` or `limit`"),
        ("/v1/submissions?limit=0".to_owned(), "limit is 0: it must be between 1 and 100"),
        ("/v1/submissions?limit=101".to_owned(), "limit is 101: it must be between 1 and 100"),
        ("/v1/runs?limit=-1".to_owned(), "invalid digit"),
        ("/v1/dead-letters?limit=0".to_owned(), "limit is 0"),
        (format!("/v1/submissions/{id}/results?limit=1001"), "limit is 1001: it must be between 1 and 1000"),
        (format!("/v1/submissions/{id}/results?faild=true"), "unknown field `faild`"),
        (format!("/v1/submissions/{id}/jobs?limit=10"), "unknown field `limit`, expected `cursor`"),
        (format!("/v1/submissions/{id}/embeddings?limit=10"), "unknown field `limit`"),
        (format!("/v1/runs/{id}/split?limit=10"), "unknown field `limit`"),
        (format!("/v1/runs/{id}?verbose"), "unknown field `verbose`"),
        (format!("/v1/runs/{id}/head?verbose"), "has no query parameters"),
        ("/v1/status?workers=all".to_owned(), "has no query parameters"),
        ("/v1/similar?video=x".to_owned(), "unknown field `video`"),
    ] {
        let (status, body) = send(http.get(format!("{url}{path}"))).await;
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(want), "{path}: {status} {detail}");
    }
    cluster.finish().await;
}

#[tokio::test]
async fn pages_of_results_have_the_requested_size() {
    let cluster = Cluster::start(1).await;
    let dataset = cluster.sample(150).await;
    std::fs::write(dataset.join("thumbnails/s0-000003.jpg"), b"").unwrap();
    let id = cluster.detach(&["embed", &dataset.display().to_string()]).await;
    cluster.wait_for_end(id).await;
    let (http, url) = (http(), cluster.url());
    let page = async |query: &str| {
        let (status, body) = send(http.get(format!("{url}/v1/submissions/{id}/results{query}"))).await;
        assert_eq!(status, 200, "{query}: {body}");
        let names: Vec<String> = body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["item"].as_str().unwrap().to_owned())
            .collect();
        (names, body["next"].as_str().map(str::to_owned))
    };
    let (all, next) = page("?limit=1000").await;
    assert_eq!((all.len(), next), (150, None));
    assert_eq!(page("").await.0, all[..100]);
    for limit in [1, 7, 64, 100, 149, 150] {
        let mut names = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let query = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let (items, next) = page(&format!("?limit={limit}{query}")).await;
            assert!(items.len() == limit || next.is_none(), "{limit}: {}", items.len());
            names.extend(items);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, all, "limit {limit}");
    }
    assert_eq!(page("?failed=true&limit=5").await.0, ["thumbnails/s0-000003.jpg"]);
    assert_eq!(page("?cursor=99999").await, (Vec::new(), None));
    cluster.finish().await;
}

#[tokio::test]
async fn a_form_is_not_stored_as_an_image() {
    let cluster = Cluster::start(0).await;
    let upload = || http().post(format!("{}/v1/images", cluster.url()));
    // What `curl --form` sends.
    let form =
        upload().header("content-type", "multipart/form-data; boundary=x").body("--x\r\n\r\nimage\r\n--x--");
    let (status, body) = send(form).await;
    assert_eq!(status, 415);
    assert!(body["detail"].as_str().unwrap().contains("use --data-binary @FILE"), "{body}");
    // What `curl --data-binary` sends.
    let binary = upload().header("content-type", "application/x-www-form-urlencoded").body("image");
    assert_eq!(send(binary).await.0, 201);
    cluster.finish().await;
}
