//! A small web site: images, redirects and faults, for tests of what fetches from the web.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Bytes written at a time where an answer has no end.
static PIECE: [u8; 1 << 16] = [0; 1 << 16];

/// What the site answers at one path.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    endless: bool,
}

impl Answer {
    /// An image.
    #[must_use]
    pub fn image(body: Vec<u8>) -> Self {
        let headers = format!("content-type: image/jpeg\r\ncontent-length: {}\r\n", body.len());
        Self { status: 200, headers, body, endless: false }
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let headers = format!("location: {location}\r\ncontent-length: 0\r\n");
        Self { status: 302, headers, body: Vec::new(), endless: false }
    }

    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: "content-length: 0\r\n".to_owned(), body: Vec::new(), endless: false }
    }

    /// The same with one more line of headers.
    #[must_use]
    pub fn with_header(mut self, line: &str) -> Self {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }

    /// Bytes without an end.
    #[must_use]
    pub fn endless() -> Self {
        Self { status: 200, headers: String::new(), body: Vec::new(), endless: true }
    }
}

/// The site; it ends with its handle.
#[derive(Debug)]
pub struct Site {
    port: u16,
    server: JoinHandle<()>,
}

impl Site {
    /// Starts a site on loopback.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(answers: Vec<(&'static str, Answer)>) -> Self {
        let answers: Arc<HashMap<&str, Answer>> = Arc::new(answers.into_iter().collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let answers = answers.clone();
                tokio::spawn(async move { answer(connection, &answers).await });
            }
        });
        Self { port, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(connection: TcpStream, answers: &HashMap<&str, Answer>) {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    if connection.read_line(&mut request).await.is_err() {
        return;
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut header = String::new();
    while connection.read_line(&mut header).await.is_ok_and(|bytes| bytes > 2) {
        header.clear();
    }
    let answer = answers.get(path.as_str()).cloned().unwrap_or_else(|| Answer::status(404));
    let head = format!("HTTP/1.1 {} Answer\r\n{}connection: close\r\n\r\n", answer.status, answer.headers);
    // Whoever asked may have gone away, which is all right.
    let _ = connection.write_all(head.as_bytes()).await;
    let _ = connection.write_all(&answer.body).await;
    while answer.endless && connection.write_all(&PIECE).await.is_ok() {}
    let _ = connection.shutdown().await;
}
