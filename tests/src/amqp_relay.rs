//! An AMQP relay that can drop deliveries while connections stay open, which simulates a stalled consumer.
//!
//! All other frames, including heartbeats and publisher confirms, are forwarded unchanged.

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

/// The relay; dropping it stops it.
pub struct AmqpRelay {
    url: String,
    state: Arc<State>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    /// Connections accepted so far.
    accepted: AtomicU64,
    /// Connections numbered below this receive no deliveries.
    drop_below: AtomicU64,
}

impl AmqpRelay {
    /// Starts a relay to the broker at `amqp_url`.
    pub async fn start(amqp_url: &str) -> Self {
        let mut url = Url::parse(amqp_url).expect("the broker's URL is valid");
        let broker =
            format!("{}:{}", url.host_str().expect("the URL has a host"), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let SocketAddr::V4(address) = listener.local_addr().expect("a bound listener has an address") else {
            unreachable!("the relay listens on IPv4")
        };
        url.set_host(Some("127.0.0.1"))
            .and_then(|()| url.set_port(Some(address.port())).map_err(|()| url::ParseError::InvalidPort))
            .expect("an address fits an AMQP URL");
        let state = Arc::<State>::default();
        let accepting = AbortOnDropHandle::new(tokio::spawn(accept(listener, broker, state.clone())));
        Self { url: url.to_string(), state, _accepting: accepting }
    }

    /// Returns the AMQP URL of the relay.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Drops all deliveries on the connections accepted so far and on the next `more`.
    pub fn drop_deliveries(&self, more: u64) {
        let accepted = self.state.accepted.load(Ordering::SeqCst);
        self.state.drop_below.store(accepted + more, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, broker: String, state: Arc<State>) {
    // Dropping the set ends all connections with the relay.
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
                relayed = forward(from_broker, to_client, number, &state) => relayed,
            }
        });
    }
}

/// Forwards the broker's frames, except deliveries on connections that drop them.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    state: &State,
) -> io::Result<()> {
    // Channels whose last delivery was dropped: its header and body frames follow and must be dropped too.
    let mut dropping = HashSet::new();
    loop {
        let mut frame = vec![0; 7];
        from.read_exact(&mut frame).await?;
        let (kind, channel) = (frame[0], u16::from_be_bytes([frame[1], frame[2]]));
        let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
        // The payload and the frame-end octet.
        frame.resize(7 + size + 1, 0);
        from.read_exact(&mut frame[7..]).await?;
        if kind == METHOD && frame[7..].starts_with(&DELIVER) {
            if number < state.drop_below.load(Ordering::SeqCst) {
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
