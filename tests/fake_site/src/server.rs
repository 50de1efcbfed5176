//! The HTTP server: reads requests and sends responses with their faults.
//!
//! Invariant: each request is logged, and counted by the rules, exactly once.

use std::{
    convert::Infallible,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{IF_NONE_MATCH, USER_AGENT},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    exchange::{Host, SiteRequest, SiteResponse},
    faults::Fault,
    journal::Entry,
    refusals::refusal,
    routes,
    site::Site,
};

const MAX_BODY_BYTES: usize = 1 << 20;
/// Chunks of a slow body.
const SLOW_CHUNKS: usize = 16;

type ChunkStream = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// Signals that the connection must be reset.
#[derive(Debug)]
struct Reset;

impl fmt::Display for Reset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is reset")
    }
}

impl std::error::Error for Reset {}

/// Serves until dropped, which also closes all connections.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Accept fails only for clients that have already disconnected.
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, site.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, site: Arc<Site>) {
    let is_reset = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request| {
        let (site, is_reset) = (site.clone(), is_reset.clone());
        Box::pin(async move {
            let response = respond(site, request).await;
            is_reset.store(response.is_err(), Ordering::Relaxed);
            response
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Errors such as early disconnects concern only the client.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    if is_reset.load(Ordering::Relaxed) {
        // Zero linger sends RST on close.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn respond(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<StreamBody<ChunkStream>>, Reset> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|_| Reset)?.to_bytes();
    let path = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
    let query = head.uri.query().unwrap_or_default().as_bytes();
    // The API key may also be in a header.
    let key = head.headers.get("x-goog-api-key").and_then(|key| key.to_str().ok());
    let key = key.map(|key| ("key".to_owned(), key.to_owned()));
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = SiteRequest {
        method: head.method,
        query: url::form_urlencoded::parse(query).into_owned().chain(key).collect(),
        known: header(IF_NONE_MATCH),
        agent: header(USER_AGENT).unwrap_or_default(),
        path,
        body,
    };
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let host = Host::of(&request.path);
    let channel = routes::channel_of(&site, &request);
    let fault = site.faults.choose(host, &request.path, channel.as_deref());
    let entry = site.journal.enter(host, &request, target, channel.as_deref());
    tokio::time::sleep(site.world.latency).await;
    if fault == Some(Fault::Reset) {
        return Err(Reset);
    }
    let refused = fault.and_then(|fault| refusal(fault, host, target));
    let answer = match refused {
        Some(answer) => answer,
        // Drawing an image takes milliseconds, so it must not block other requests.
        None => tokio::task::spawn_blocking(move || routes::answer(&site, &request, fault))
            .await
            .expect("routes do not panic"),
    };
    entry.answered(answer.status);
    Ok(deliver(answer, fault, entry))
}

fn deliver(
    mut answer: SiteResponse,
    fault: Option<Fault>,
    entry: Entry,
) -> Response<StreamBody<ChunkStream>> {
    let half = answer.body.len() / 2;
    if fault == Some(Fault::Truncated) {
        answer.body.truncate(half);
    }
    let mut response = Response::builder().status(answer.status);
    if answer.status != 304 {
        response = response.header("content-length", answer.body.len());
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let (first, ending) = match fault {
        Some(Fault::CutOff) => (half, Ending::Early),
        Some(Fault::Stalled) => (half, Ending::Never),
        Some(Fault::Slow(pause)) => {
            let chunk = answer.body.len().div_ceil(SLOW_CHUNKS).max(1);
            return response
                .body(StreamBody::new(slow(answer.body, chunk, pause, entry)))
                .expect("headers are valid");
        }
        _ => (answer.body.len(), Ending::Whole),
    };
    response
        .body(StreamBody::new(chunks(answer.body.slice(..first), ending, entry)))
        .expect("headers are valid")
}

/// How a body ends.
#[derive(Clone, Copy)]
enum Ending {
    Whole,
    /// The connection closes before the announced length.
    Early,
    /// The connection stays open without the rest.
    Never,
}

/// Returns `bytes` followed by the ending. The log entry ends before the last byte is sent.
fn chunks(bytes: Bytes, ending: Ending, entry: Entry) -> ChunkStream {
    let mut entry = Some(entry);
    let whole = match ending {
        Ending::Whole => {
            return Box::pin(stream::once(async move {
                drop(entry.take());
                Ok(Frame::data(bytes))
            }));
        }
        Ending::Early | Ending::Never => stream::once(async move { Ok(Frame::data(bytes)) }),
    };
    let rest = stream::once(async move {
        // Lets hyper send the first bytes before the body ends.
        tokio::task::yield_now().await;
        if matches!(ending, Ending::Never) {
            std::future::pending::<()>().await;
        }
        drop(entry.take());
        Ok(Frame::data(Bytes::new()))
    });
    Box::pin(stream::StreamExt::chain(whole, rest))
}

fn slow(bytes: Bytes, chunk: usize, pause: Duration, entry: Entry) -> ChunkStream {
    Box::pin(stream::unfold((bytes, Some(entry)), move |(mut bytes, mut entry)| async move {
        if bytes.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let next = bytes.split_to(chunk.min(bytes.len()));
        if bytes.is_empty() {
            drop(entry.take());
        }
        Some((Ok(Frame::data(next)), (bytes, entry)))
    }))
}
