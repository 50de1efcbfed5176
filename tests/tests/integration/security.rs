//! Who may do what, what is encrypted, what is bounded, and what is never shown.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use tests::{
    broker_admin::Vhost,
    cluster::{Cluster, eventually},
    environment::{EncryptedServers, Servers},
    http,
    process::{Process, binary},
    site::{Answer, Site},
};
use tokio::process::Command;
use uuid::Uuid;

/// An id that is well-formed and nobody's.
const UNKNOWN: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A file of tokens and what their holders present.
struct Tokens {
    folder: tempfile::TempDir,
    read: String,
    submit: String,
    admin: String,
}

impl Tokens {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = vec!["# tokens of a test".to_owned()];
        let mut secrets = Vec::new();
        for scope in ["read", "submit", "admin"] {
            let (secret, line) = new_token(scope, scope).await;
            lines.push(format!("{line}  # {scope}"));
            secrets.push(secret);
        }
        fs::write(folder.path().join("tokens"), lines.join("\n")).unwrap();
        let [read, submit, admin] = secrets.try_into().unwrap();
        Self { folder, read, submit, admin }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn setting(&self) -> (&'static str, String) {
        ("SUBWATCH_TOKENS_FILE", self.path().display().to_string())
    }
}

/// Makes a token with the command line; returns it and its line.
async fn new_token(name: &str, scope: &str) -> (String, String) {
    let arguments = ["token", "new", "--name", name, "--scope", scope, "-o", "json"];
    let made = Command::new(binary("subwatch")).args(arguments).output().await.unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    (made["token"].as_str().unwrap().to_owned(), made["line"].as_str().unwrap().to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends a request and returns status and body; whatever is refused must be a problem that says so.
async fn ask(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
    if status == StatusCode::UNAUTHORIZED || body["detail"].as_str().is_some_and(|d| d.contains("scope")) {
        assert!(headers[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Bearer"), "{headers:?}");
    }
    if status.is_client_error() {
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{status} {body}");
        assert_eq!(body["status"], status.as_u16());
        assert!(!body["detail"].as_str().unwrap().is_empty());
    }
    (status.as_u16(), body)
}

#[tokio::test]
async fn every_request_needs_a_token_of_its_scope() {
    let tokens = Tokens::make().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let (http, url) = (http(), cluster.url());
    let (read, submit, admin) =
        [&tokens.read, &tokens.submit, &tokens.admin].map(|token| format!("Bearer {token}")).into();
    let (stranger, _) = new_token("admin", "admin").await;
    let (stranger, cut) = (format!("Bearer {stranger}"), read[..read.len() - 1].to_owned());
    let cancel = format!("/v1/submissions/{UNKNOWN}/cancel");
    let expired = "Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE1MDAwMDAwMDB9.c2lnbmF0dXJl";
    let nobody: &[&str] = &[];
    let cases: &[(Method, &str, &[&str], u16)] = &[
        // Open to whoever runs the process.
        (Method::GET, "/healthz", nobody, 200),
        (Method::GET, "/readyz", nobody, 200),
        // No token, whatever is asked for, and whether it is there or not.
        (Method::GET, "/v1/status", nobody, 401),
        (Method::POST, "/v1/runs", nobody, 401),
        (Method::DELETE, "/v1/spaces/x", nobody, 401),
        (Method::GET, "/v1/nothing", nobody, 401),
        (Method::GET, "/", nobody, 401),
        (Method::GET, "/healthz/", nobody, 401),
        (Method::GET, "//healthz", nobody, 401),
        (Method::GET, "/v1/../healthz%2f", nobody, 401),
        // What is no token of ours.
        (Method::GET, "/v1/status", &["Bearer"], 401),
        (Method::GET, "/v1/status", &["Bearer "], 401),
        (Method::GET, "/v1/status", &["Bearer hunter2"], 401),
        (Method::GET, "/v1/status", &[expired], 401),
        (Method::GET, "/v1/status", &["Basic YWRtaW46YWRtaW4="], 401),
        (Method::GET, "/v1/status", &[&tokens.admin], 401),
        (Method::GET, "/v1/status", &[&cut], 401),
        (Method::GET, "/v1/status", &[&stranger], 401),
        (Method::GET, "/v1/status", &[&admin, &admin], 401),
        (Method::GET, "/v1/status", &[&stranger, &admin], 401),
        // Too small.
        (Method::POST, "/v1/submissions", &[&read], 403),
        (Method::POST, "/v1/runs", &[&read], 403),
        (Method::POST, "/v1/images", &[&read], 403),
        (Method::POST, "/v1/images/fetch", &[&read], 403),
        (Method::POST, &cancel, &[&read], 403),
        (Method::DELETE, "/v1/spaces/x", &[&read], 403),
        (Method::DELETE, "/v1/spaces/x", &[&submit], 403),
        (Method::PUT, "/v1/spaces/x", &[&submit], 403),
        // Enough: what is answered is about the request itself.
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
    tests::say(&format!("{} requests with and without tokens", cases.len()));
    for (method, path, authorization, want) in cases {
        let mut request = http.request(method.clone(), format!("{url}{path}"));
        for value in *authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let (status, body) = ask(request).await;
        assert_eq!(status, *want, "{method} {path} {authorization:?}: {body}");
    }
    let (_, body) = ask(http.post(format!("{url}/v1/runs")).bearer_auth(&tokens.read)).await;
    assert_eq!(
        body["detail"],
        "the token 'read' has the scope read, and this needs the scope submit: use another token"
    );
    // A page has no token, so with tokens any name and any origin may ask; a token is what counts.
    let named = |token: &str| {
        let request = http.get(format!("{url}/v1/runs")).header(header::HOST, "coordinator.subwatch.svc");
        request.header(header::ORIGIN, "https://page.example").bearer_auth(token)
    };
    assert_eq!(ask(named(&tokens.read)).await.0, 200);
    assert_eq!(ask(named("none")).await.0, 401);
    let log = cluster.coordinator.log();
    for secret in [&tokens.read, &tokens.submit, &tokens.admin] {
        assert!(!log.contains(secret.as_str()));
    }
    assert!(log.contains("\"token\":\"admin\""), "{log}");
    cluster.finish().await;
}

#[tokio::test]
async fn without_tokens_only_this_machine_is_served() {
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
        assert_eq!(ask(get(host)).await.0, want, "{host}");
    }
    let page = get("127.0.0.1").header(header::ORIGIN, "https://page.example");
    assert_eq!(ask(page).await.0, 403);
    cluster.finish().await;
}

#[tokio::test]
async fn the_command_line_sends_its_token_and_says_what_to_do_without() {
    let tokens = Tokens::make().await;
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
    check(&["status"], &[], 4, "asks for an access token: set SUBWATCH_TOKEN or SUBWATCH_TOKEN_FILE").await;
    check(&["status"], &[("SUBWATCH_TOKEN", "hunter2")], 4, "does not know the token of SUBWATCH_TOKEN")
        .await;
    check(&["doctor"], &[], 4, "").await;
    check(&["status"], &[("SUBWATCH_TOKEN", &tokens.read)], 0, "").await;
    check(&["status"], &[("SUBWATCH_TOKEN_FILE", &file)], 0, "").await;
    let reader = [("SUBWATCH_TOKEN", tokens.read.as_str())];
    let submitter = [("SUBWATCH_TOKEN", tokens.submit.as_str())];
    check(&["train", &folder], &reader, 4, "has the scope read, and this needs the scope submit").await;
    check(&["cancel", UNKNOWN], &submitter, 5, "there is no submission or run").await;
    check(&["spaces", "drop", "x"], &submitter, 4, "has the scope submit, and this needs the scope admin")
        .await;
    check(&["spaces", "drop", "x"], &[("SUBWATCH_TOKEN_FILE", &file)], 5, "there is no space").await;
    let both = [("SUBWATCH_TOKEN", "x"), ("SUBWATCH_TOKEN_FILE", &file)];
    check(&["status"], &both, 64, "it must be absent where SUBWATCH_TOKEN is given").await;
    check(&["status"], &[("SUBWATCH_TOKEN", "two\nlines")], 64, "SUBWATCH_TOKEN holds what is no token")
        .await;
    check(&["status"], &[("SUBWATCH_TOKEN_FILE", "/no/such/file")], 64, "SUBWATCH_TOKEN_FILE is").await;
    let shown = cluster.cli_with(&["config", "show"], &[("SUBWATCH_TOKEN", "hunter2")]).await;
    assert!(text(&shown.stdout).contains("***") && !text(&shown.stdout).contains("hunter2"));
    cluster.finish().await;
}

#[tokio::test]
async fn a_new_token_is_printed_once_apart_from_its_line() {
    let subwatch = |arguments: &[&str]| Command::new(binary("subwatch")).args(arguments).output();
    let made = subwatch(&["token", "new", "--name", "ops", "--scope", "admin"]).await.unwrap();
    let (stdout, stderr) = (text(&made.stdout), text(&made.stderr));
    let secret = stdout.trim_end();
    assert_eq!(stdout, format!("{secret}\n"));
    assert!(secret.starts_with("subwatch_") && secret.len() == 9 + 64, "{secret}");
    let line = stderr.lines().last().unwrap();
    let digest = common::ids::Digest::of(secret.as_bytes());
    assert_eq!(line, format!("ops admin {digest}"));
    assert!(!stderr.contains(secret));
    for (name, scope, want) in
        [("ops", "root", "invalid value 'root'"), ("o ps", "read", "a token's name is")]
    {
        let refused = subwatch(&["token", "new", "--name", name, "--scope", scope]).await.unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(want), "{}", text(&refused.stderr));
    }
}

#[tokio::test]
async fn a_changed_file_of_tokens_counts_at_once() {
    let tokens = Tokens::make().await;
    let cluster = Cluster::start_with(0, &[tokens.setting()]).await;
    let (http, url) = (http(), format!("{}/v1/runs", cluster.url()));
    let status = async |token: &str| ask(http.get(&url).bearer_auth(token)).await.0;
    let (late, line) = new_token("late", "read").await;
    assert_eq!((status(&tokens.read).await, status(&late).await), (200, 401));
    fs::write(tokens.path(), format!("{line}\n")).unwrap();
    assert_eq!((status(&tokens.read).await, status(&late).await), (401, 200));
    fs::write(tokens.path(), "late read\n").unwrap();
    assert_eq!(status(&late).await, 200);
    assert!(cluster.coordinator.log().contains("line 1: it has 2 words"), "{}", cluster.coordinator.log());
    cluster.finish().await;
}

/// Starts the coordinator with these settings where it must not start, and returns how it ended.
async fn refused(settings: &[(&str, &str)]) -> Output {
    let servers = Servers::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("subwatch"));
    command
        .arg("serve")
        .current_dir(folder.path())
        .env("SUBWATCH_URL", "http://127.0.0.1:0")
        .env("SUBWATCH_AMQP_URL", &servers.amqp_url)
        .env("SUBWATCH_REDIS_URL", &servers.redis_url)
        .env("SUBWATCH_LOG_FORMAT", "json")
        .envs(settings.iter().copied())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
    ended.unwrap_or_else(|_| panic!("the coordinator does not end: {settings:?}")).unwrap()
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
        let ended = refused(settings).await;
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{settings:?}: {stderr}");
        assert!(stderr.lines().last().unwrap().contains(want), "{settings:?}: {stderr}");
    };
    check(&[("SUBWATCH_URL", "http://0.0.0.0:0")], 1, "subwatch token new --name NAME --scope admin").await;
    check(&[("SUBWATCH_URL", "http://[::]:0")], 1, "is not loopback, and without access tokens").await;
    check(&[("SUBWATCH_URL", "https://127.0.0.1:0")], 1, "leaves https to a proxy").await;
    check(&[("SUBWATCH_URL", "http://me:hunter2@127.0.0.1:0")], 64, "http://me:***@127.0.0.1").await;
    for (name, text, want) in [
        ("none", String::new(), "it lists no token"),
        ("comments", "# nothing\n".to_owned(), "it lists no token"),
        ("words", "ops admin".to_owned(), "line 1: it has 2 words"),
        ("scope", format!("ops root {hash}"), "line 1: its second word is no scope"),
        ("hash", format!("# ops\nops admin {}", "0".repeat(63)), "line 2: its third word is no SHA-256"),
        ("twice", format!("ops admin {hash}\nops read {hash}"), "lines 1 and 2 have the same name or hash"),
    ] {
        check(&[("SUBWATCH_TOKENS_FILE", &file(name, &text))], 64, want).await;
    }
    check(&[("SUBWATCH_TOKENS_FILE", "/no/such/file")], 64, "SUBWATCH_TOKENS_FILE is '/no/such/file'").await;
}

#[tokio::test]
async fn with_tokens_any_address_is_listened_on() {
    let tokens = Tokens::make().await;
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
    eventually("the coordinator serves", || async {
        coordinator.logged("coordinator serves", "address").is_some()
    })
    .await;
    let address = coordinator.logged("coordinator serves", "address").unwrap();
    let port = address.as_str().unwrap().strip_prefix("0.0.0.0:").unwrap();
    let http = http();
    let get = |token: &str| http.get(format!("http://127.0.0.1:{port}/v1/runs")).bearer_auth(token);
    assert_eq!((ask(get(&tokens.read)).await.0, ask(get("none")).await.0), (200, 401));
    assert!(coordinator.terminate().await.success());
    vhost.delete().await;
}

/// Makes an authority of one's own and returns the file of its certificate.
fn make_authority(folder: &Path) -> String {
    let (key, pem) = (folder.join("ca.key"), folder.join("ca.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=somebody else", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    pem.display().to_string()
}

#[tokio::test]
async fn work_is_done_over_encrypted_connections() {
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
    // The cluster's own vhost is reached without TLS, so that nothing was declared in it shows that all went this way.
    assert!(cluster.vhost.queue_counts().await.is_empty());
    eventually("the queues are known", || async { !vhost.queue_counts().await.is_empty() }).await;
    cluster.finish().await;
    vhost.delete().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_ends_the_start_with_one_line() {
    let servers = EncryptedServers::from_environment();
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (servers.ca_file.as_str(), make_authority(folder.path()));
    let garbage = folder.path().join("garbage.pem");
    fs::write(&garbage, "no certificate").unwrap();
    let garbage = garbage.display().to_string();
    let localhost = |url: &str| url.replace("127.0.0.1", "localhost");
    let (amqps, rediss) = (servers.amqps_url.as_str(), servers.rediss_url.as_str());
    let (amqps_misnamed, rediss_misnamed) = (localhost(amqps), localhost(rediss));
    let check = async |settings: &[(&str, &str)], code: i32, want: &[&str]| {
        let ended = refused(settings).await;
        let stderr = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{settings:?}: {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(want.iter().all(|want| last.contains(want)), "{settings:?}: {stderr}");
        assert!(!stderr.contains("guest:guest"), "{stderr}");
        // The tests' own variables are complained of.
        let complaints = stderr.lines().filter(|line| {
            (line.contains("WARN") || line.contains("ERROR")) && !line.contains("is no setting")
        });
        assert_eq!(complaints.count(), 0, "{stderr}");
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
    check(&[("SUBWATCH_REDIS_URL", &insecure), (redis_ca, ours)], 1, &["the Redis URL is not usable"]).await;
    // Files and URLs that do not go together.
    check(&[("SUBWATCH_AMQP_URL", amqps), (amqp_ca, "/no/such/file")], 64, &["No such file"]).await;
    check(&[("SUBWATCH_AMQP_URL", amqps), (amqp_ca, &garbage)], 64, &["it holds no certificate"]).await;
    check(&[("SUBWATCH_REDIS_URL", rediss), (redis_ca, &garbage)], 64, &["it holds no certificate"]).await;
    check(&[(amqp_ca, ours)], 64, &["absent where SUBWATCH_AMQP_URL is not amqps://"]).await;
    check(&[(redis_ca, ours)], 64, &["absent where SUBWATCH_REDIS_URL is not rediss://"]).await;
}

#[tokio::test]
async fn passwords_are_not_printed_even_where_everything_is_logged() {
    let servers = EncryptedServers::from_environment();
    let amqp = Servers::from_environment().amqp_url.replace(":guest@", ":hunter2@");
    let amqps = servers.amqps_url.replace(":guest@", ":hunter2@");
    let redis = Servers::from_environment().redis_url.replace("redis://", "redis://me:hunter2@");
    let rediss = servers.rediss_url.replace("rediss://", "rediss://me:hunter2@");
    let (amqp_ca, redis_ca) = ("SUBWATCH_AMQP_CA_FILE", "SUBWATCH_REDIS_CA_FILE");
    for (settings, want) in [
        (vec![("SUBWATCH_AMQP_URL", amqp.as_str())], "refuses user 'guest'"),
        (vec![("SUBWATCH_AMQP_URL", amqps.as_str()), (amqp_ca, &servers.ca_file)], "refuses user 'guest'"),
        (vec![("SUBWATCH_REDIS_URL", redis.as_str())], "Redis refuses the credentials"),
        (
            vec![("SUBWATCH_REDIS_URL", rediss.as_str()), (redis_ca, &servers.ca_file)],
            "Redis refuses the credentials",
        ),
    ] {
        for log in ["trace", "lapin=trace"] {
            let mut settings = settings.clone();
            settings.push(("SUBWATCH_LOG", log));
            let ended = refused(&settings).await;
            let printed = text(&ended.stderr) + &text(&ended.stdout);
            assert!(printed.contains(want), "{settings:?}: {printed}");
            let shown: Vec<&str> = printed.lines().filter(|line| line.contains("hunter2")).collect();
            assert!(shown.is_empty(), "{shown:#?}");
        }
    }
}

#[tokio::test]
async fn what_a_client_sends_is_bounded() {
    let cluster = Cluster::start_with(0, &[("SUBWATCH_MAX_IMAGE_BYTES", "100000".to_owned())]).await;
    let (http, url) = (http(), cluster.url());
    let post = |path: &str| http.post(format!("{url}{path}"));
    let large = json!({"kind": "embed", "dataset": "a".repeat(4 << 20)});
    assert_eq!(ask(post("/v1/submissions").json(&large)).await.0, 413);
    assert_eq!(ask(post("/v1/images").body(vec![0; 100_001])).await.0, 413);
    assert_eq!(ask(post("/v1/images").body(vec![0; 100_000])).await.0, 201);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = post("/v1/runs").header(header::CONTENT_TYPE, "application/json").body(deep);
    assert!([400, 422].contains(&ask(deep).await.0));
    let images: Vec<Value> =
        (0..10_001).map(|n| json!({"item": n.to_string(), "sha256": "0".repeat(64)})).collect();
    assert_eq!(ask(post("/v1/submissions").json(&json!({"kind": "embed", "images": images}))).await.0, 422);
    // What is wrong is repeated, but not at any length.
    let dataset = json!({"kind": "embed", "dataset": format!("ftp://{}", "a".repeat(1 << 20))});
    let (status, body) = ask(post("/v1/submissions").json(&dataset)).await;
    assert!(status == 422 && body["detail"].as_str().unwrap().len() < 3000, "{status}");
    let get = |path: &str| http.get(format!("{url}{path}"));
    assert_eq!(ask(get(&format!("/v1/runs/{}", "a".repeat(9000)))).await.0, 414);
    assert_eq!(ask(get(&format!("/v1/runs?cursor={}", "a".repeat(9000)))).await.0, 414);
    assert_eq!(ask(get(&format!("/v1/runs/{}", "a".repeat(7000)))).await.0, 404);
    assert_eq!(ask(get("/v1/runs").header("x-large", "a".repeat(17_000))).await.0, 431);
    assert_eq!(ask(get("/v1/similar?video_id=x&k=100000")).await.0, 422);
    // More than the connection itself takes, in one header, in many, and in the path.
    for head in [
        format!("GET /v1/runs HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(100_000)),
        format!("GET /v1/runs HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200)),
        format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000)),
    ] {
        let answer = send_raw(url, head.as_bytes());
        let refused = answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414");
        assert!(refused || answer.is_empty(), "{answer}");
    }
    assert_eq!(ask(get("/v1/runs")).await.0, 200);
    cluster.finish().await;
}

/// Sends bytes and returns the answer; the server may close while it is still being sent to.
fn send_raw(url: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(bytes @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..bytes]);
    }
    text(&answer)
}

#[tokio::test]
async fn what_a_site_sends_is_bounded() {
    let settings =
        [("SUBWATCH_FETCH_ALLOW", "localhost".to_owned()), ("SUBWATCH_MAX_IMAGE_BYTES", "100000".to_owned())];
    let cluster = Cluster::start_with(0, &settings).await;
    let gzip = gzip_of_zeros();
    let long = format!("/{}", "a".repeat(5000));
    let site = Site::start(vec![
        ("/gzip.jpg", Answer::image(gzip.clone()).with_header("content-encoding: gzip")),
        ("/large.jpg", Answer::image(vec![0; 100_001])),
        ("/long.jpg", Answer::redirect(&long)),
        ("/headers.jpg", Answer::image(vec![0; 9]).with_header(&format!("x: {}", "a".repeat(1 << 20)))),
        ("/file.jpg", Answer::redirect("file:///etc/passwd")),
        ("/user.jpg", Answer::redirect("http://me:hunter2@localhost/")),
    ])
    .await;
    let http = http();
    let fetch = async |target: &str| {
        let body = json!({"url": target});
        ask(http.post(format!("{}/v1/images/fetch", cluster.url())).json(&body)).await
    };
    let at = |path: &str| format!("http://localhost:{}{path}", site.port());
    // Kept as it came: nothing was unpacked.
    let (status, stored) = fetch(&at("/gzip.jpg")).await;
    assert_eq!((status, &stored["bytes"]), (201, &gzip.len().into()));
    for (target, status, want) in [
        (at("/large.jpg"), 422, "more than the allowed 100000 bytes"),
        (at("/long.jpg"), 403, "the limit is 4096"),
        (at("/headers.jpg"), 422, "cannot be fetched"),
        (at("/file.jpg"), 403, "the scheme 'file'"),
        (at("/user.jpg"), 403, "a URL with credentials is not fetched"),
        (format!("http://localhost/{}", "a".repeat(1 << 20)), 403, "the limit is 4096"),
    ] {
        let (found, body) = fetch(&target).await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(found, status, "{detail}");
        assert!(detail.contains(want) && !detail.contains("hunter2") && detail.len() < 3000, "{detail}");
    }
    cluster.finish().await;
}

/// RFC 1952 and 1951: a header, one stored block of a thousand zeros, and a check sum that nobody gets to.
fn gzip_of_zeros() -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend([1, 0xe8, 0x03, 0x17, 0xfc]);
    gzip.extend([0; 1000]);
    gzip.extend([0; 8]);
    gzip
}

#[tokio::test]
async fn names_from_datasets_do_not_steer_a_terminal() {
    let cluster = Cluster::start(1).await;
    let folder = cluster.folder().join("hostile");
    fs::create_dir(&folder).unwrap();
    let hostile = "a\x1b[2J\x1b]0;owned\x07\u{9b}31m\u{202e}\nforged.jpg";
    fs::write(folder.join(hostile), "no image").unwrap();
    let folder = folder.display().to_string();
    let is_bad = |c: char| common::harmless::steers(c) && c != '\n';
    for arguments in
        [vec!["embed", &folder], vec!["embed", &folder, "-o", "json"], vec!["dataset", "check", &folder]]
    {
        let done = cluster.cli(&arguments).await;
        for printed in [text(&done.stdout), text(&done.stderr)] {
            assert!(!printed.contains(is_bad), "{arguments:?}: {printed:?}");
            assert!(!printed.lines().any(|line| line.starts_with("forged")), "{arguments:?}: {printed}");
        }
        if arguments.contains(&"json") {
            assert_eq!(done.status.code(), Some(3));
            assert!(text(&done.stdout).contains("forged.jpg"), "{}", text(&done.stdout));
        }
    }
    for log in [cluster.coordinator.log(), cluster.workers[0].log()] {
        assert!(!log.contains(is_bad) && !log.lines().any(|line| !line.starts_with('{')), "{log}");
    }
    cluster.finish().await;
}
