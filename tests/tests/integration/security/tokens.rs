//! Access tokens: required scopes, and access without tokens.

use std::fs;

use reqwest::{Method, header};
use tests::{
    broker_admin::Vhost,
    cluster::{Cluster, eventually},
    environment::Servers,
    http,
    process::{Process, binary},
};
use tokio::process::Command;
use uuid::Uuid;

use super::{Tokens, new_token, run_refused, send, text};

/// A well-formed ID that does not exist.
const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn every_request_needs_a_token_of_its_scope() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let (http, url) = (http(), cluster.url());
    let (read, submit, admin) =
        [&tokens.read, &tokens.submit, &tokens.admin].map(|token| format!("Bearer {token}")).into();
    let (foreign, _) = new_token("admin", "admin").await;
    let (foreign, truncated) = (format!("Bearer {foreign}"), read[..read.len() - 1].to_owned());
    let cancel = format!("/v1/submissions/{UNKNOWN}/cancel");
    let expired = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE1MDAwMDAwMDB9.c2lnbmF0dXJl";
    let anonymous: &[&str] = &[];
    let cases: &[(Method, &str, &[&str], u16)] = &[
        // Probes need no token.
        (Method::GET, "/healthz", anonymous, 200),
        (Method::GET, "/readyz", anonymous, 200),
        // Everything else needs one, even if the path does not exist.
        (Method::GET, "/v1/status", anonymous, 401),
        (Method::POST, "/v1/runs", anonymous, 401),
        (Method::DELETE, "/v1/spaces/x", anonymous, 401),
        (Method::GET, "/v1/nothing", anonymous, 401),
        (Method::GET, "/", anonymous, 401),
        (Method::GET, "/healthz/", anonymous, 401),
        (Method::GET, "//healthz", anonymous, 401),
        (Method::GET, "/v1/../healthz%2f", anonymous, 401),
        // Invalid tokens.
        (Method::GET, "/v1/status", &["Bearer"], 401),
        (Method::GET, "/v1/status", &["Bearer "], 401),
        (Method::GET, "/v1/status", &["Bearer hunter2"], 401),
        (Method::GET, "/v1/status", &[expired], 401),
        (Method::GET, "/v1/status", &["Basic YWRtaW46YWRtaW4="], 401),
        (Method::GET, "/v1/status", &[&tokens.admin], 401),
        (Method::GET, "/v1/status", &[&truncated], 401),
        (Method::GET, "/v1/status", &[&foreign], 401),
        (Method::GET, "/v1/status", &[&admin, &admin], 401),
        (Method::GET, "/v1/status", &[&foreign, &admin], 401),
        // Insufficient scope.
        (Method::POST, "/v1/submissions", &[&read], 403),
        (Method::POST, "/v1/runs", &[&read], 403),
        (Method::POST, "/v1/images", &[&read], 403),
        (Method::POST, "/v1/images/fetch", &[&read], 403),
        (Method::POST, &cancel, &[&read], 403),
        (Method::DELETE, "/v1/spaces/x", &[&read], 403),
        (Method::DELETE, "/v1/spaces/x", &[&submit], 403),
        (Method::PUT, "/v1/spaces/x", &[&submit], 403),
        // Sufficient scope: the request itself is answered.
        (Method::GET, "/v1/status", &[&read], 200),
        (Method::HEAD, "/v1/status", &[&read], 200),
        (Method::GET, "/v1/runs", &[&submit], 200),
        (Method::GET, "/v1/workers", &[&admin], 200),
        (Method::GET, "/v1/nothing", &[&read], 404),
        (Method::POST, "/v1/submissions", &[&submit], 415),
        (Method::POST, "/v1/runs", &[&admin], 415),
        (Method::POST, "/v1/images", &[&submit], 422),
        (Method::POST, &cancel, &[&submit], 404),
        (Method::DELETE, "/v1/spaces/x", &[&admin], 404),
    ];
    tests::print_line(&format!("{} requests with and without tokens", cases.len()));
    for (method, path, authorization, want) in cases {
        let mut request = http.request(method.clone(), format!("{url}{path}"));
        for value in *authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let (status, body) = send(request).await;
        assert_eq!(status, *want, "{method} {path} {authorization:?}: {body}");
    }
    let (_, body) = send(http.post(format!("{url}/v1/runs")).bearer_auth(&tokens.read)).await;
    assert_eq!(
        body["detail"],
        "token 'read' has scope read, but this request requires scope submit: use another token"
    );
    // A web page has no token, so with tokens any Host and Origin is accepted.
    let named = |token: &str| {
        let request = http.get(format!("{url}/v1/runs")).header(header::HOST, "coordinator.subwatch.svc");
        request.header(header::ORIGIN, "https://page.example").bearer_auth(token)
    };
    assert_eq!(send(named(&tokens.read)).await.0, 200);
    assert_eq!(send(named("none")).await.0, 401);
    let log = cluster.coordinator.log();
    for secret in [&tokens.read, &tokens.submit, &tokens.admin] {
        assert!(!log.contains(secret.as_str()));
    }
    assert!(log.contains("\"token\":\"admin\""), "{log}");
    cluster.finish().await;
}

#[tokio::test]
async fn without_tokens_only_loopback_requests_are_served() {
    let cluster = Cluster::start(0).await;
    let (http, url) = (http(), cluster.url());
    let get = |host: &str| http.get(format!("{url}/v1/runs")).header(header::HOST, host);
    for (host, want) in [
        ("127.0.0.1:8470", 200),
        ("localhost", 200),
        ("rebound.example", 403),
        ("127.0.0.1.page.example", 403),
        ("coordinator:8470", 403),
        ("[fe80::1]", 403),
        ("user@", 403),
    ] {
        assert_eq!(send(get(host)).await.0, want, "{host}");
    }
    let page = get("127.0.0.1").header(header::ORIGIN, "https://page.example");
    assert_eq!(send(page).await.0, 403);
    cluster.finish().await;
}

#[tokio::test]
async fn cli_sends_its_token_and_explains_a_missing_one() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let file = tokens.folder.path().join("mine");
    fs::write(&file, format!("{}\n", tokens.admin)).unwrap();
    let (file, folder) = (file.display().to_string(), cluster.folder().display().to_string());
    let check = async |arguments: &[&str], settings: &[(&str, &str)], code: i32, want: &str| {
        let done = cluster.cli_with(arguments, settings).await;
        let stderr = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{arguments:?} {settings:?}: {stderr}");
        assert!(stderr.contains(want), "{arguments:?}: {stderr}");
        assert!(code == 0 || stderr.lines().count() <= 1, "{stderr}");
    };
    check(&["status"], &[], 4, "requires an access token: set SUBWATCH_TOKEN or SUBWATCH_TOKEN_FILE").await;
    check(&["status"], &[("SUBWATCH_TOKEN", "hunter2")], 4, "does not accept the token in SUBWATCH_TOKEN")
        .await;
    check(&["doctor"], &[], 4, "").await;
    check(&["status"], &[("SUBWATCH_TOKEN", &tokens.read)], 0, "").await;
    check(&["status"], &[("SUBWATCH_TOKEN_FILE", &file)], 0, "").await;
    let reader = [("SUBWATCH_TOKEN", tokens.read.as_str())];
    let submitter = [("SUBWATCH_TOKEN", tokens.submit.as_str())];
    check(&["train", &folder], &reader, 4, "has scope read, but this request requires scope submit").await;
    check(&["cancel", UNKNOWN], &submitter, 5, "does not exist or has expired").await;
    check(&["spaces", "drop", "x"], &submitter, 4, "has scope submit, but this request requires scope admin")
        .await;
    check(
        &["spaces", "drop", "x"],
        &[("SUBWATCH_TOKEN_FILE", &file)],
        5,
        "does not exist; `subwatch spaces list` lists all",
    )
    .await;
    let both = [("SUBWATCH_TOKEN", "x"), ("SUBWATCH_TOKEN_FILE", &file)];
    check(&["status"], &both, 64, "SUBWATCH_TOKEN_FILE and SUBWATCH_TOKEN are both set").await;
    check(&["status"], &[("SUBWATCH_TOKEN", "two\nlines")], 64, "SUBWATCH_TOKEN is not a token").await;
    check(&["status"], &[("SUBWATCH_TOKEN_FILE", "/no/such/file")], 64, "SUBWATCH_TOKEN_FILE is").await;
    let shown = cluster.cli_with(&["config", "show"], &[("SUBWATCH_TOKEN", "hunter2")]).await;
    assert!(text(&shown.stdout).contains("***") && !text(&shown.stdout).contains("hunter2"));
    cluster.finish().await;
}

#[tokio::test]
async fn new_token_is_printed_separately_from_its_file_line() {
    let subwatch = |arguments: &[&str]| Command::new(binary("subwatch")).args(arguments).output();
    let made = subwatch(&["token", "new", "--name", "ops", "--scope", "admin"]).await.unwrap();
    let (stdout, stderr) = (text(&made.stdout), text(&made.stderr));
    let secret = stdout.trim_end();
    assert_eq!(stdout, format!("{secret}\n"));
    assert!(secret.starts_with("subwatch_") && secret.len() == 9 + 64, "{secret}");
    let line = stderr.lines().last().unwrap();
    let digest = common::digest::Digest::of(secret.as_bytes());
    assert_eq!(line, format!("ops admin {digest}"));
    assert!(!stderr.contains(secret));
    for (name, scope, want) in
        [("ops", "root", "invalid value 'root'"), ("o ps", "read", "a token's name has")]
    {
        let refused = subwatch(&["token", "new", "--name", name, "--scope", scope]).await.unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(want), "{}", text(&refused.stderr));
    }
}

#[tokio::test]
async fn changed_tokens_file_is_reloaded() {
    let tokens = Tokens::generate().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let (http, url) = (http(), format!("{}/v1/runs", cluster.url()));
    let status = async |token: &str| send(http.get(&url).bearer_auth(token)).await.0;
    let (late, line) = new_token("late", "read").await;
    assert_eq!((status(&tokens.read).await, status(&late).await), (200, 401));
    fs::write(tokens.path(), format!("{line}\n")).unwrap();
    assert_eq!((status(&tokens.read).await, status(&late).await), (401, 200));
    // An invalid line costs itself alone, and a file without a valid token locks everyone out.
    fs::write(tokens.path(), format!("ops read\n{line}\n")).unwrap();
    assert_eq!((status(&tokens.admin).await, status(&late).await), (401, 200));
    for rest in ["late read\n", "# none\n", ""] {
        fs::write(tokens.path(), rest).unwrap();
        assert_eq!((status(&tokens.admin).await, status(&late).await), (401, 401), "{rest:?}");
    }
    fs::write(tokens.path(), format!("{line}\n")).unwrap();
    assert_eq!(status(&late).await, 200);
    fs::remove_file(tokens.path()).unwrap();
    assert_eq!(status(&late).await, 401);
    assert!(
        cluster.coordinator.log().contains("line 1: expected 3 fields, NAME SCOPE SHA256, found 2"),
        "{}",
        cluster.coordinator.log()
    );
    cluster.finish().await;
}

#[tokio::test]
async fn settings_that_would_leave_the_api_open_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let hash = "0".repeat(64);
    let check = async |settings: &[(&str, &str)], code: i32, want: &str| {
        let ended = run_refused(settings).await;
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{settings:?}: {stderr}");
        assert!(stderr.lines().last().unwrap().contains(want), "{settings:?}: {stderr}");
    };
    check(&[("SUBWATCH_URL", "http://0.0.0.0:0")], 1, "subwatch token new --name NAME --scope admin").await;
    check(&[("SUBWATCH_URL", "http://[::]:0")], 1, "is not loopback, and without access tokens").await;
    check(&[("SUBWATCH_URL", "https://127.0.0.1:0")], 1, "for https, put a TLS proxy in front of it").await;
    check(&[("SUBWATCH_URL", "http://me:hunter2@127.0.0.1:0")], 64, "http://me:***@127.0.0.1").await;
    for (name, text, want) in [
        ("none", String::new(), "it has no tokens"),
        ("comments", "# empty\n".to_owned(), "it has no tokens"),
        ("words", "ops admin".to_owned(), "line 1: expected 3 fields, NAME SCOPE SHA256, found 2"),
        ("scope", format!("ops root {hash}"), "line 1: invalid SCOPE"),
        ("hash", format!("# ops\nops admin {}", "0".repeat(63)), "line 2: invalid SHA256"),
    ] {
        check(&[("SUBWATCH_TOKENS_FILE", &file(name, &text))], 64, want).await;
    }
    check(&[("SUBWATCH_TOKENS_FILE", "/no/such/file")], 64, "SUBWATCH_TOKENS_FILE is '/no/such/file'").await;
}

#[tokio::test]
async fn with_tokens_the_api_may_listen_on_any_address() {
    let tokens = Tokens::generate().await;
    let servers = Servers::from_environment();
    let name = format!("test-{}", Uuid::now_v7().simple());
    let vhost = Vhost::create(&servers, &name).await;
    let mut command = Command::new(binary("subwatch"));
    command
        .arg("serve")
        .current_dir(tokens.folder.path())
        .env("SUBWATCH_URL", "http://0.0.0.0:0")
        .env("SUBWATCH_AMQP_URL", vhost.amqp_url())
        .env("SUBWATCH_REDIS_URL", &servers.redis_url)
        .env("SUBWATCH_REDIS_KEY_PREFIX", format!("{name}:"))
        .env("SUBWATCH_LOG_FORMAT", "json")
        .env("SUBWATCH_TOKENS_FILE", tokens.path());
    let mut coordinator = Process::start(command, tokens.folder.path().join("log"));
    eventually("the coordinator is listening", || async {
        coordinator.logged("coordinator is listening", "address").is_some()
    })
    .await;
    let address = coordinator.logged("coordinator is listening", "address").unwrap();
    let port = address.as_str().unwrap().strip_prefix("0.0.0.0:").unwrap();
    let http = http();
    let get = |token: &str| http.get(format!("http://127.0.0.1:{port}/v1/runs")).bearer_auth(token);
    assert_eq!((send(get(&tokens.read)).await.0, send(get("none")).await.0), (200, 401));
    assert!(coordinator.terminate().await.success());
    vhost.delete().await;
}
