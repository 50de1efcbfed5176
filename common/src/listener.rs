//! An HTTP/1 listener with limits on connections and request headers.
//!
//! Owns accepting connections, the limits and the graceful shutdown. The service handles the requests.

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

/// Largest request line and headers.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Wait after a failed accept, for example when the process is out of file descriptors.
const ACCEPT_RETRY_WAIT: Duration = Duration::from_millis(200);
/// How long open requests may take to finish after shutdown began.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Limits of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// At most this many concurrent connections; more wait to be accepted.
    pub connections: usize,
    /// How long a request's headers may take to arrive, so that slow clients do not block connections.
    pub head: Duration,
}

/// Serves until `stop`, then waits up to 5 s for open requests to finish.
pub async fn serve<S, B>(listener: TcpListener, service: S, bounds: Bounds, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(MAX_HEAD_BYTES);
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let open = GracefulShutdown::new();
    loop {
        let permit = slots.clone().acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (permit.await, accept(&listener).await) } => accepted,
            () = stop.cancelled() => break,
        };
        let (Ok(permit), stream) = accepted else { unreachable!("the semaphore is never closed") };
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // A broken connection is the client's problem, not worth a log line.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests did not finish within {DRAIN_LIMIT:?}");
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_client_error(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_WAIT).await;
            }
        }
    }
}

/// Whether the client disconnected before it was accepted.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
