//! A TCP proxy that harms what passes through it: cuts, black holes, slow replies, lost requests.
//!
//! Owns the connections between one program and one server. Does not own either end, nor understand what
//! they say. Invariant: what a harm does not touch passes unchanged and in order.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// Bytes read at a time.
const PIECE: usize = 1 << 16;

/// What the proxy does to what passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// Everything passes.
    Open,
    /// Nothing passes, in either direction, and nobody is told: a black hole. It is kept, and passes later.
    Stalled,
    /// Each piece of a reply rests this long first.
    SlowReplies(Duration),
    /// What the client sends is thrown away; replies pass.
    LostRequests,
}

/// A proxy before one server, on a port of its own.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _acceptor: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    passage: watch::Sender<Passage>,
    /// Counts the cuts: every change ends the connections of the moment.
    cuts: watch::Sender<u64>,
    open: AtomicUsize,
    opened: AtomicU64,
}

impl Proxy {
    /// Starts a proxy on loopback before the server at port `upstream`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let shared = Arc::new(Shared {
            upstream,
            passage: watch::Sender::new(Passage::Open),
            cuts: watch::Sender::new(0),
            open: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        });
        let serving = shared.clone();
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = serving.clone();
                // Subscribed before it is open, so that no cut is missed.
                let cuts = shared.cuts.subscribe();
                tokio::spawn(async move { shared.serve(client, cuts).await });
            }
        });
        Self { port, shared, _acceptor: AbortOnDropHandle::new(acceptor) }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection of the moment and returns how many there were; new ones are taken at once.
    pub fn cut(&self) -> usize {
        let open = self.open();
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// Changes what is done to what passes, on connections of the moment and later ones.
    pub fn set(&self, passage: Passage) {
        self.shared.passage.send_replace(passage);
    }

    /// How many connections there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How many connections there have ever been.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Shared {
    async fn serve(&self, mut client: TcpStream, mut cuts: watch::Receiver<u64>) {
        // A server that is down refuses, which the client sees as a connection closed at once.
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", self.upstream)).await else { return };
        self.open.fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let was_cut = {
            let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
            tokio::select! {
                _ = self.pump(Direction::Request, from_client, to_server) => false,
                _ = self.pump(Direction::Reply, from_server, to_client) => false,
                _ = cuts.changed() => true,
            }
        };
        if was_cut {
            // A reset, as from a router that forgot the connection, and not an orderly end.
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
        let mut passage = self.passage.subscribe();
        let mut piece = vec![0; PIECE];
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            let now = passage.wait_for(|passage| *passage != Passage::Stalled).await;
            let now = *now.expect("the sender lives as long as this proxy's state");
            match (now, direction) {
                (Passage::LostRequests, Direction::Request) => continue,
                (Passage::SlowReplies(rest), Direction::Reply) => tokio::time::sleep(rest).await,
                _ => {}
            }
            to.write_all(&piece[..length]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
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

    async fn connect(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
    }

    async fn exchange(connection: &mut TcpStream, byte: u8) -> io::Result<u8> {
        connection.write_u8(byte).await?;
        connection.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_ends_every_connection_and_takes_new_ones() {
        let proxy = Proxy::start(echo().await).await;
        let mut first = connect(&proxy).await;
        assert_eq!(exchange(&mut first, 1).await.unwrap(), 1);
        assert_eq!(proxy.cut(), 1);
        let error = first.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(exchange(&mut connect(&proxy).await, 2).await.unwrap(), 2);
        assert_eq!(proxy.opened(), 2);
    }

    #[tokio::test]
    async fn what_is_stalled_passes_later() {
        let proxy = Proxy::start(echo().await).await;
        let mut connection = connect(&proxy).await;
        proxy.set(Passage::Stalled);
        connection.write_u8(7).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), connection.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.set(Passage::Open);
        assert_eq!(connection.read_u8().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn lost_requests_never_arrive() {
        let proxy = Proxy::start(echo().await).await;
        let mut connection = connect(&proxy).await;
        assert_eq!(exchange(&mut connection, 1).await.unwrap(), 1);
        proxy.set(Passage::LostRequests);
        connection.write_u8(2).await.unwrap();
        let silence = tokio::time::timeout(Duration::from_millis(50), connection.read_u8()).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.set(Passage::Open);
        assert_eq!(exchange(&mut connection, 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_server_that_is_down_refuses() {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let proxy = Proxy::start(upstream).await;
        assert!(exchange(&mut connect(&proxy).await, 1).await.is_err());
    }
}
