//! A small web site: images, redirects and faults, for tests of what fetches from the web.
//!
//! Owns a record of who asked for what, and when.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
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

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Bytes without an end.
    #[must_use]
    pub fn endless() -> Self {
        Self { status: 200, headers: String::new(), body: Vec::new(), endless: true }
    }
}

/// A request that reached the site.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Path and query.
    pub path: String,
    /// The request's headers, as they came.
    pub head: String,
    /// The request's body.
    pub body: Vec<u8>,
    /// When it had been read, which is before any of the answer is sent.
    pub at: Instant,
    /// Requests that had come and were not answered yet, this one included.
    pub under_way: usize,
}

/// The site; it ends with its handle.
#[derive(Debug)]
pub struct Site {
    port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    answers: Mutex<HashMap<String, Answer>>,
    visits: Mutex<Visits>,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Visits {
    all: Vec<Visit>,
    under_way: usize,
}

impl Site {
    /// Starts a site on loopback.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(answers: Vec<(&'static str, Answer)>) -> Self {
        let answers = answers.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        let state = Arc::new(State {
            answers: Mutex::new(answers),
            visits: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move { state.serve(connection).await });
            }
        });
        Self { port, state, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers so at `path` from now on.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn set(&self, path: &str, answer: Answer) {
        self.state.answers.lock().expect("no holder panics").insert(path.to_owned(), answer);
    }

    /// Holds answers back, or lets them go.
    pub fn hold(&self, held: bool) {
        self.state.held.send_replace(held);
    }

    /// Who has come so far, in order.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    #[must_use]
    pub fn visits(&self) -> Vec<Visit> {
        self.state.visits.lock().expect("no holder panics").all.clone()
    }

    /// How many requests are not answered yet.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.state.visits.lock().expect("no holder panics").under_way
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    async fn serve(&self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        let Some(path) = self.receive(&mut connection).await else { return };
        // An error is the end of the site.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let found = self.answers.lock().expect("no holder panics").get(&path).cloned();
        let answer = found.unwrap_or_else(|| Answer::status(404));
        self.visits.lock().expect("no holder panics").under_way -= 1;
        let head =
            format!("HTTP/1.1 {} Answer\r\n{}connection: close\r\n\r\n", answer.status, answer.headers);
        // Whoever asked may have gone away, which is all right.
        let _ = connection.write_all(head.as_bytes()).await;
        let _ = connection.write_all(&answer.body).await;
        while answer.endless && connection.write_all(&PIECE).await.is_ok() {}
        let _ = connection.shutdown().await;
    }

    /// Reads a request, notes it and returns its path.
    async fn receive(&self, connection: &mut BufReader<TcpStream>) -> Option<String> {
        let mut request = String::new();
        connection.read_line(&mut request).await.ok().filter(|bytes| *bytes > 0)?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut head, mut body_bytes) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await.ok()? <= 2 {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                body_bytes = value.trim().parse().ok()?;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; body_bytes];
        connection.read_exact(&mut body).await.ok()?;
        let mut visits = self.visits.lock().expect("no holder panics");
        visits.under_way += 1;
        let (at, under_way) = (Instant::now(), visits.under_way);
        visits.all.push(Visit { path: path.clone(), head, body, at, under_way });
        Some(path)
    }
}
