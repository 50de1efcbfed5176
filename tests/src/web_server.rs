//! A small HTTP server with fixed responses and a request log, for tests of code that fetches from the web.

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

/// Chunk written repeatedly in an endless response.
static CHUNK: [u8; 1 << 16] = [0; 1 << 16];

/// The response to requests for one path.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
    endless: bool,
}

impl Response {
    /// Returns status 200 with `body` as `image/jpeg`.
    #[must_use]
    pub fn image(body: Vec<u8>) -> Self {
        let headers = format!("content-type: image/jpeg\r\ncontent-length: {}\r\n", body.len());
        Self { status: 200, headers, body, endless: false }
    }

    /// Returns a 302 redirect.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let headers = format!("location: {location}\r\ncontent-length: 0\r\n");
        Self { status: 302, headers, body: Vec::new(), endless: false }
    }

    /// Returns a response with an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: "content-length: 0\r\n".to_owned(), body: Vec::new(), endless: false }
    }

    /// Adds a header line, without its line end.
    #[must_use]
    pub fn with_header(mut self, line: &str) -> Self {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }

    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Returns a response whose body never ends.
    #[must_use]
    pub fn endless() -> Self {
        Self { status: 200, headers: String::new(), body: Vec::new(), endless: true }
    }
}

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// Path and query.
    pub path: String,
    /// Header lines as received.
    pub head: String,
    pub body: Vec<u8>,
    /// When the request had been read, before any of the response was sent.
    pub at: Instant,
    /// Requests in flight at that moment, including this one.
    pub in_flight: usize,
}

/// The server; dropping it stops it.
#[derive(Debug)]
pub struct WebServer {
    port: u16,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    responses: Mutex<HashMap<String, Response>>,
    requests: Mutex<RequestLog>,
    /// Whether responses are held back.
    held: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct RequestLog {
    all: Vec<ReceivedRequest>,
    in_flight: usize,
}

impl WebServer {
    /// Starts a server on loopback. A path without a response returns 404.
    pub async fn start(responses: Vec<(&'static str, Response)>) -> Self {
        let responses = responses.into_iter().map(|(path, response)| (path.to_owned(), response)).collect();
        let state = Arc::new(State {
            responses: Mutex::new(responses),
            requests: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move { state.serve(connection).await });
            }
        });
        Self { port, state, server }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the response for `path`.
    pub fn set(&self, path: &str, response: Response) {
        self.state.responses.lock().expect("no holder panics").insert(path.to_owned(), response);
    }

    /// Holds responses back while `held` is true.
    pub fn hold_responses(&self, held: bool) {
        self.state.held.send_replace(held);
    }

    /// Returns all requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.requests.lock().expect("no holder panics").all.clone()
    }

    /// Returns the number of requests without a response.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.requests.lock().expect("no holder panics").in_flight
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    async fn serve(&self, connection: TcpStream) {
        let mut connection = BufReader::new(connection);
        let Some(path) = self.receive(&mut connection).await else { return };
        // An error means that the server was dropped.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let found = self.responses.lock().expect("no holder panics").get(&path).cloned();
        let response = found.unwrap_or_else(|| Response::status(404));
        self.requests.lock().expect("no holder panics").in_flight -= 1;
        let head =
            format!("HTTP/1.1 {} Status\r\n{}connection: close\r\n\r\n", response.status, response.headers);
        // The client may have closed the connection.
        let _ = connection.write_all(head.as_bytes()).await;
        let _ = connection.write_all(&response.body).await;
        while response.endless && connection.write_all(&CHUNK).await.is_ok() {}
        let _ = connection.shutdown().await;
    }

    /// Reads a request, logs it and returns its path.
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
        let mut requests = self.requests.lock().expect("no holder panics");
        requests.in_flight += 1;
        let (at, in_flight) = (Instant::now(), requests.in_flight);
        requests.all.push(ReceivedRequest { path: path.clone(), head, body, at, in_flight });
        Some(path)
    }
}
