//! An HTTP/1 listener with limits on connections, request headers and slow clients.
//!
//! Owns accepting connections, the limits and the graceful shutdown. The service handles the requests.

use std::{
    collections::HashMap,
    convert::Infallible,
    error::Error,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{Service, service_fn},
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
/// Requests after which a connection is closed, so that one with many pipelined requests ends.
const MAX_REQUESTS: u32 = 1000;
/// At most one warning of refused connections in this time.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// At most this many concurrent connections.
    pub connections: usize,
    /// At most this many of them from one peer.
    pub per_peer: usize,
    /// What happens to a connection beyond these limits.
    pub excess: Excess,
    /// How long a request's headers may take to arrive after the connection was opened or the last response was sent.
    pub head: Duration,
    /// How long a client may read nothing of a response before its connection is closed.
    pub write: Duration,
    /// Whether a connection may carry several requests.
    pub keep_alive: bool,
}

/// What happens to a connection beyond the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Excess {
    /// It is closed if its peer has too many, and otherwise waits: requests in progress matter more.
    Refused,
    /// It replaces the oldest connection whose request is not being handled, or else the oldest: requests take
    /// milliseconds, so an old connection is stuck.
    ReplacesOldest,
}

/// Serves until `stop`, then waits up to 5 s for open requests to finish.
pub async fn serve<S, B>(listener: TcpListener, service: S, bounds: Bounds, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
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
    let mut warned = None::<Instant>;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.cancelled() => break,
        };
        let Some(place) = peers.admit(peer, &bounds) else {
            if warned.is_none_or(|warned| warned.elapsed() > WARNING_INTERVAL) {
                warned = Some(Instant::now());
                tracing::warn!(%peer, limit = bounds.per_peer, "refused a connection: the peer has too many");
            }
            continue;
        };
        if bounds.excess == Excess::ReplacesOldest && slots.available_permits() == 0 {
            peers.replace_one(place.number);
        }
        let permit = tokio::select! {
            permit = slots.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            () = stop.cancelled() => break,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.write));
        let connection = open.watch(http.serve_connection(
            TokioIo::new(Box::pin(stream)),
            limited(service.clone(), place.is_busy.clone()),
        ));
        tokio::spawn(async move {
            tokio::select! {
                // A broken connection is the client's problem, not worth a log line.
                _ = connection => {}
                () = place.replaced.cancelled() => {}
            }
            drop((permit, place));
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, open.shutdown()).await.is_err() {
        tracing::warn!("closed connections whose requests did not finish within {DRAIN_LIMIT:?}");
    }
}

/// Closes the connection after [`MAX_REQUESTS`], and marks it as busy while one is handled.
fn limited<S, B>(
    service: S,
    is_busy: Arc<AtomicBool>,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    B: Body + Send,
{
    let requests = AtomicU32::new(0);
    service_fn(move |request| {
        let is_last = requests.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_REQUESTS;
        is_busy.store(true, Ordering::Relaxed);
        let (response, is_busy) = (service.call(request), is_busy.clone());
        async move {
            let response = response.await;
            is_busy.store(false, Ordering::Relaxed);
            let mut response = response?;
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
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

/// The open connections by peer.
#[derive(Clone, Default)]
struct Peers(Arc<Mutex<OpenConnections>>);

#[derive(Default)]
struct OpenConnections {
    /// Oldest first.
    by_peer: HashMap<IpAddr, Vec<Connection>>,
    next: u64,
}

#[derive(Clone)]
struct Connection {
    number: u64,
    /// Whether a request of it is being handled.
    is_busy: Arc<AtomicBool>,
    /// Cancelled when a newer connection takes its place.
    replaced: CancellationToken,
}

/// The place of an open connection; dropping it makes room for another.
struct Place {
    peers: Peers,
    peer: IpAddr,
    number: u64,
    is_busy: Arc<AtomicBool>,
    replaced: CancellationToken,
}

impl Connection {
    /// The connection with the lowest rank is replaced first.
    fn rank(&self) -> (bool, u64) {
        (self.is_busy.load(Ordering::Relaxed), self.number)
    }
}

impl Peers {
    /// Makes a place for a connection; `None` if the peer has too many and none is replaced.
    fn admit(&self, address: IpAddr, bounds: &Bounds) -> Option<Place> {
        let peer = network_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.next;
        open.next += 1;
        let connections = open.by_peer.entry(peer).or_default();
        if connections.len() >= bounds.per_peer {
            match bounds.excess {
                Excess::Refused => return None,
                Excess::ReplacesOldest => {
                    let first =
                        connections.iter().enumerate().min_by_key(|(_, connection)| connection.rank());
                    let first = first.map_or(0, |(at, _)| at);
                    connections.remove(first).replaced.cancel();
                }
            }
        }
        let (is_busy, replaced) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        connections.push(Connection { number, is_busy: is_busy.clone(), replaced: replaced.clone() });
        Some(Place { peers: self.clone(), peer, number, is_busy, replaced })
    }

    /// Closes a connection of any peer for connection number `newest`, as [`Excess::ReplacesOldest`] says.
    fn replace_one(&self, newest: u64) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.by_peer.values().flatten();
        let open = open.filter(|other| other.number != newest && !other.replaced.is_cancelled());
        let oldest = open.min_by_key(|connection| connection.rank());
        if let Some(oldest) = oldest {
            oldest.replaced.cancel();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(connections) = open.by_peer.get_mut(&self.peer) else { return };
        connections.retain(|connection| connection.number != self.number);
        if connections.is_empty() {
            open.by_peer.remove(&self.peer);
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

    fn bounds(per_peer: usize, excess: Excess) -> Bounds {
        let limit = Duration::from_secs(1);
        Bounds { connections: 9, per_peer, excess, head: limit, write: limit, keep_alive: true }
    }

    #[test]
    fn a_peer_has_a_limited_number_of_connections() {
        let (peers, one, other) =
            (Peers::default(), "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let bounds = bounds(2, Excess::Refused);
        let mut open: Vec<Place> = (0..3).filter_map(|_| peers.admit(one, &bounds)).collect();
        assert_eq!(open.len(), 2);
        assert!(peers.admit("::ffff:10.0.0.1".parse().unwrap(), &bounds).is_none());
        assert!(peers.admit(other, &bounds).is_some());
        open.pop();
        assert!(peers.admit(one, &bounds).is_some());
        drop(open);
        assert!(peers.0.lock().unwrap().by_peer.is_empty());
    }

    #[test]
    fn a_connection_of_a_full_peer_replaces_its_oldest() {
        let (peers, one, other) =
            (Peers::default(), "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let bounds = bounds(2, Excess::ReplacesOldest);
        let foreign = peers.admit(other, &bounds).unwrap();
        let open: Vec<Place> = (0..3).filter_map(|_| peers.admit(one, &bounds)).collect();
        let replaced = |places: &[Place]| places.iter().map(|place| place.replaced.is_cancelled()).collect();
        let of_one: Vec<bool> = replaced(&open);
        assert_eq!((of_one, foreign.replaced.is_cancelled()), (vec![true, false, false], false));
        peers.replace_one(open[2].number);
        assert!(foreign.replaced.is_cancelled());
    }

    #[test]
    fn a_connection_whose_request_is_handled_is_replaced_last() {
        let (peers, one) = (Peers::default(), "10.0.0.1".parse().unwrap());
        let bounds = bounds(2, Excess::ReplacesOldest);
        let probe = peers.admit(one, &bounds).unwrap();
        probe.is_busy.store(true, Ordering::Relaxed);
        let others: Vec<Place> = (0..4).filter_map(|_| peers.admit(one, &bounds)).collect();
        assert!(!probe.replaced.is_cancelled());
        assert!(others[..3].iter().all(|other| other.replaced.is_cancelled()));
        // Only the newest, which has sent nothing yet, and the probe are left.
        peers.replace_one(others[3].number);
        assert_eq!((probe.replaced.is_cancelled(), others[3].replaced.is_cancelled()), (true, false));
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
