//! Access control, encryption, limits and secrets.

mod authorization;
mod bounds;
mod deletion;
mod encryption;
mod large_data;
mod proxies;
mod roots;
mod slow_clients;
mod tokens;

use std::{fs, path::PathBuf, process::Output, time::Duration};

use reqwest::{RequestBuilder, StatusCode, header};
use serde_json::Value;
use tests::{environment::Servers, process::binary};
use tokio::process::Command;

/// A tokens file with the secret of each scope.
struct Tokens {
    folder: tempfile::TempDir,
    read: String,
    submit: String,
    admin: String,
}

impl Tokens {
    async fn generate() -> Self {
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

/// Creates a token with the command line; returns the secret and the line for the tokens file.
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

/// Sends a request and returns status and body. A refusal must be a problem document.
async fn send(request: RequestBuilder) -> (u16, Value) {
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

/// Starts the coordinator with settings that it must refuse, and returns its output.
async fn run_refused(settings: &[(&str, &str)]) -> Output {
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
    ended.unwrap_or_else(|_| panic!("the coordinator did not exit: {settings:?}")).unwrap()
}
