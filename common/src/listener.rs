//! An HTTP/1 listener with limits on connections, request headers and slow clients.
//!
//! Owns accepting connections, the limits and the graceful shutdown. The service handles the requests.

use std::{
    collections::HashMap,
    error::Error,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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
use tokio_io_timeout::TimeoutStream;
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
    /// At most this many of them from one peer; more are closed.
    pub per_peer: usize,
    /// How long a request's headers may take to arrive after the connection was opened or the last response was sent.
    pub head: Duration,
    /// How long a client may read nothing of a response before its connection is closed.
    pub write: Duration,
    /// Whether a connection may carry several requests.
    pub keep_alive: bool,
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
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .keep_alive(bounds.keep_alive)
        .max_buf_size(MAX_HEAD_BYTES);
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let peers = Peers::default();
    let open = GracefulShutdown::new();
    loop {
        let permit = slots.clone().acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (permit.await, accept(&listener).await) } => accepted,
            () = stop.cancelled() => break,
        };
        let (Ok(permit), (stream, peer)) = accepted else { unreachable!("the semaphore is never closed") };
        let Some(place) = peers.admit(peer, bounds.per_peer) else { continue };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.write));
        let connection = open.watch(http.serve_connection(TokioIo::new(Box::pin(stream)), service.clone()));
        tokio::spawn(async move {
            // A broken connection is the client's problem, not worth a log line.
            let _ = connection.await;
            drop((permit, place));
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests did not finish within {DRAIN_LIMIT:?}");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip()),
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

/// The number of open connections by peer.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One of a peer's connections; dropping it makes room for another.
struct PeerConnection {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    /// Counts a connection; `None` if the peer has `limit` connections already.
    fn admit(&self, address: IpAddr, limit: usize) -> Option<PeerConnection> {
        let peer = network_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(PeerConnection { peers: self.clone(), peer })
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = open.get_mut(&self.peer) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(&self.peer);
        }
    }
}

/// Returns what counts as one peer: an IPv4 address or, since a host usually has all of its addresses, an IPv6 /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_limited_number_of_connections() {
        let (peers, one, other) =
            (Peers::default(), "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut open: Vec<PeerConnection> = (0..3).filter_map(|_| peers.admit(one, 2)).collect();
        assert_eq!(open.len(), 2);
        assert!(peers.admit("::ffff:10.0.0.1".parse().unwrap(), 2).is_none());
        assert!(peers.admit(other, 2).is_some());
        open.pop();
        assert!(peers.admit(one, 2).is_some());
        drop(open);
        assert!(peers.0.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
