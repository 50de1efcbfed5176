//! moto, a local S3 server with one bucket.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use crate::{cluster::eventually, process::Process, python::project};

const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
];

/// A running S3 server with the bucket `bucket`.
pub struct S3 {
    pub endpoint: String,
    client: reqwest::Client,
    _process: Process,
}

impl S3 {
    /// Starts the server.
    pub async fn start(log: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port is free").port();
        let mut command = Command::new(project().join(".local/test-venv/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdin(Stdio::null());
        let process = Process::start(command, log.to_path_buf());
        let s3 =
            Self { endpoint: format!("http://127.0.0.1:{port}"), client: crate::http(), _process: process };
        eventually("the S3 server is available", || async {
            s3.client.get(&s3.endpoint).send().await.is_ok()
        })
        .await;
        s3.put("", Vec::new()).await;
        s3
    }

    /// Returns the settings of a cluster with its datasets in `sets` and its artifacts in `artifacts`.
    #[must_use]
    pub fn settings<'a>(&self, more: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
        let locations = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("SUBWATCH_ARTIFACTS", "s3://bucket/artifacts"),
            ("SUBWATCH_DATASET_ROOTS", "s3://bucket/sets"),
        ];
        let settings = [&locations[..], &CREDENTIALS, more].concat();
        settings.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
    }

    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        let url = format!("{}/bucket/{key}", self.endpoint);
        let answer = self.client.put(url).body(bytes).send().await.expect("the S3 server answers");
        assert!(answer.status().is_success(), "{key}: {}", answer.status());
    }

    /// Puts the files of a folder and of its folders below `prefix`.
    pub async fn put_folder(&self, prefix: &str, folder: &Path) {
        let mut folders = vec![folder.to_path_buf()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).expect("the folder exists") {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(folder).expect("it is in the folder").display().to_string();
                self.put(&format!("{prefix}/{name}"), std::fs::read(&path).expect("the file can be read"))
                    .await;
            }
        }
    }

    /// Reads an object with boto3.
    pub async fn get(&self, key: &str) -> Vec<u8> {
        const SCRIPT: &str = "import boto3, sys; \
            body = boto3.client('s3', endpoint_url=sys.argv[1]).get_object(Bucket='bucket', Key=sys.argv[2])['Body']; \
            sys.stdout.buffer.write(body.read())";
        let mut command = Command::new(project().join(".local/test-venv/bin/python"));
        command.args(["-c", SCRIPT, &self.endpoint, key]).envs(CREDENTIALS);
        let output = command.output().await.expect("Python starts");
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}
