//! A TCP proxy between one program and one server that injects faults: resets, black holes, slow responses,
//! lost requests.
//!
//! It does not interpret the protocol. Bytes that a fault does not affect are forwarded unchanged and in
//! order.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// Read buffer in bytes.
const BUFFER_BYTES: usize = 1 << 16;

/// A fault that the proxy injects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Bytes are forwarded.
    None,
    /// A black hole: bytes in both directions are held back until the fault ends.
    Stalled,
    /// Each read from the server is delayed by this long.
    SlowResponses(Duration),
    /// Bytes from the client are discarded; responses are forwarded.
    LostRequests,
}

/// A proxy on loopback; dropping it stops it from accepting connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    _acceptor: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: AtomicU16,
    fault: watch::Sender<Fault>,
    /// Number of resets so far: a change resets all open connections.
    resets: watch::Sender<u64>,
    open: AtomicUsize,
    opened: AtomicU64,
}

impl FaultProxy {
    /// Starts a proxy for the server at loopback port `upstream`.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let shared = Arc::new(Shared {
            upstream: AtomicU16::new(upstream),
            fault: watch::Sender::new(Fault::None),
            resets: watch::Sender::new(0),
            open: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        });
        let serving = shared.clone();
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = serving.clone();
                // Subscribed before the task starts, so that it sees every reset.
                let resets = shared.resets.subscribe();
                tokio::spawn(async move { shared.serve(client, resets).await });
            }
        });
        Self { port, shared, _acceptor: AbortOnDropHandle::new(acceptor) }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets all open connections and returns their number. New connections are still accepted.
    pub fn reset_connections(&self) -> usize {
        let open = self.open();
        self.shared.resets.send_modify(|resets| *resets += 1);
        open
    }

    /// Injects a fault into current and later connections.
    pub fn inject(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// Leads later connections to another server. Open ones stay, as after a change of DNS or of a Kubernetes Service.
    pub fn redirect(&self, upstream: u16) {
        self.shared.upstream.store(upstream, Ordering::Relaxed);
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Returns the number of connections accepted so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

impl Shared {
    async fn serve(&self, mut client: TcpStream, mut resets: watch::Receiver<u64>) {
        let upstream = self.upstream.load(Ordering::Relaxed);
        // If the server is down, the client sees its connection closed immediately.
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
        self.open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let was_reset = {
            let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
            tokio::select! {
                _ = self.pump(Direction::Request, from_client, to_server) => false,
                _ = self.pump(Direction::Response, from_server, to_client) => false,
                _ = resets.changed() => true,
            }
        };
        if was_reset {
            // Zero linger sends RST instead of FIN.
            let _ = client.set_zero_linger().and(server.set_zero_linger());
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    async fn pump(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let mut fault = self.fault.subscribe();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let now = fault.wait_for(|fault| *fault != Fault::Stalled).await;
            let now = *now.expect("the sender lives as long as the proxy's state");
            match (now, direction) {
                (Fault::LostRequests, Direction::Request) => continue,
                (Fault::SlowResponses(delay), Direction::Response) => tokio::time::sleep(delay).await,
                _ => {}
            }
            to.write_all(&buffer[..length]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts an echo server and returns its port.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        port
    }

    async fn connect(proxy: &FaultProxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
    }

    async fn exchange(connection: &mut TcpStream, byte: u8) -> io::Result<u8> {
        connection.write_u8(byte).await?;
        connection.read_u8().await
    }

    #[tokio::test]
    async fn cut_resets_every_connection_and_accepts_new_ones() {
        let proxy = FaultProxy::start(echo().await).await;
        let mut first = connect(&proxy).await;
        assert_eq!(exchange(&mut first, 1).await.unwrap(), 1);
        assert_eq!(proxy.reset_connections(), 1);
        let error = first.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(exchange(&mut connect(&proxy).await, 2).await.unwrap(), 2);
        assert_eq!(proxy.opened(), 2);
    }

    #[tokio::test]
    async fn stalled_bytes_are_forwarded_later() {
        let proxy = FaultProxy::start(echo().await).await;
        let mut connection = connect(&proxy).await;
        proxy.inject(Fault::Stalled);
        connection.write_u8(7).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), connection.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.inject(Fault::None);
        assert_eq!(connection.read_u8().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn lost_requests_never_arrive() {
        let proxy = FaultProxy::start(echo().await).await;
        let mut connection = connect(&proxy).await;
        assert_eq!(exchange(&mut connection, 1).await.unwrap(), 1);
        proxy.inject(Fault::LostRequests);
        connection.write_u8(2).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), connection.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.inject(Fault::None);
        assert_eq!(exchange(&mut connection, 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn redirect_leaves_open_connections_alone() {
        let proxy = FaultProxy::start(echo().await).await;
        let mut connection = connect(&proxy).await;
        assert_eq!(exchange(&mut connection, 1).await.unwrap(), 1);
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        proxy.redirect(closed);
        assert!(exchange(&mut connect(&proxy).await, 2).await.is_err());
        assert_eq!(exchange(&mut connection, 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn unavailable_server_refuses_connections() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let proxy = FaultProxy::start(upstream).await;
        assert!(exchange(&mut connect(&proxy).await, 1).await.is_err());
    }
}
