//! Connections: accepting them, and bounding what one may cost before a request is whole.
//!
//! Owns the number of connections, the size and the time of a request's head, and the end of them all. Does
//! not own what a request asks for.

use std::{error::Error, io, sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// Largest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Pause after a connection could not be accepted, as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long open requests may go on after the end was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What the connections of a listener may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Most connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take to arrive: one that trickles in holds a connection.
    pub head: Duration,
}

/// Serves until `stop`, then lets open requests end.
pub async fn serve<S, B>(listener: TcpListener, service: S, bounds: Bounds, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MAX_HEAD_BYTES);
    let room = Arc::new(Semaphore::new(bounds.connections));
    let open = GracefulShutdown::new();
    loop {
        let permit = room.clone().acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (permit.await, accept(&listener).await) } => accepted,
            () = stop.cancelled() => break,
        };
        let (Ok(permit), stream) = accepted else { unreachable!("the semaphore is never closed") };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // A connection that breaks off concerns only its client.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::warn!("open requests were cut off after {DRAIN_LIMIT:?}");
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a client went away before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
