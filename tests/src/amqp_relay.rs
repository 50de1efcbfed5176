//! A way to RabbitMQ that can go deaf: connections stay open and well, and deliveries vanish in it.
//!
//! Owns the relaying of AMQP frames between one client and the broker. Forges nothing: what it does not
//! drop is passed on as it came, heartbeats and confirms included.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::task::AbortOnDropHandle;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
/// Class and method of `basic.deliver`.
const DELIVER: [u8; 4] = [0, 60, 0, 60];

/// The relay; it ends when it is dropped.
pub struct AmqpRelay {
    url: String,
    state: Arc<State>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    /// Connections accepted so far.
    accepted: AtomicU64,
    /// Connections below this number are deaf.
    deaf_below: AtomicU64,
}

impl AmqpRelay {
    /// Relays to the broker of `amqp_url`.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub async fn start(amqp_url: &str) -> Self {
        let mut url = Url::parse(amqp_url).expect("the broker's URL is one");
        let broker = format!("{}:{}", url.host_str().expect("it has a host"), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let SocketAddr::V4(address) = listener.local_addr().expect("it listens") else {
            unreachable!("it listens on IPv4")
        };
        url.set_host(Some("127.0.0.1"))
            .and_then(|()| url.set_port(Some(address.port())).map_err(|()| url::ParseError::InvalidPort))
            .expect("an address fits an AMQP URL");
        let state = Arc::<State>::default();
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, broker, state.clone())));
        Self { url: url.to_string(), state, _accepting: accepting }
    }

    /// Returns the URL that leads through it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Lets no delivery through on the connections that are open now and the next `more`.
    pub fn deafen(&self, more: u64) {
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        self.state.deaf_below.store(accepted + more, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, broker: String, state: Arc<State>) {
    // Ends the connections together with the relay.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = state.accepted.fetch_add(1, Ordering::SeqCst);
        let (broker, state) = (broker.clone(), state.clone());
        connections.spawn(async move {
            let broker = TcpStream::connect(broker).await?;
            let (from_broker, mut to_broker) = broker.into_split();
            let (mut from_client, to_client) = client.into_split();
            tokio::select! {
                copied = tokio::io::copy(&mut from_client, &mut to_broker) => copied.map(drop),
                relayed = deliver(from_broker, to_client, number, &state) => relayed,
            }
        });
    }
}

/// Passes the broker's frames on, but for deliveries while the connection is deaf.
async fn deliver(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    state: &State,
) -> io::Result<()> {
    // Channels whose last delivery was dropped: its content follows in frames of its own.
    let mut dropping = HashSet::new();
    loop {
        let mut frame = vec![0; 7];
        from.read_exact(&mut frame).await?;
        let (kind, channel) = (frame[0], u16::from_be_bytes([frame[1], frame[2]]));
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        // The payload and the octet that ends a frame.
        frame.resize(7 + size + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        if kind == METHOD && frame[7..].starts_with(&DELIVER) {
            if number < state.deaf_below.load(Ordering::SeqCst) {
                dropping.insert(channel);
                continue;
            }
            dropping.remove(&channel);
        }
        let content = matches!(kind, HEADER | BODY);
        if !(content && dropping.contains(&channel)) {
            to.write_all(&frame).await?;
        }
    }
}
