//! Consuming: the deliveries of several queues as one stream, across reconnects.
//!
//! Owns the consuming connection and its replacement. Invariants:
//! - Every connect sets each queue's prefetch before it consumes.
//! - The end of a lapin stream counts as a lost consumer and leads to a reconnect.
//! - After cancellation nothing more is delivered, and the connection stays open until every delivery is acked,
//!   released or dropped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use lapin::{
    Channel,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerConfig, BrokerError,
    connection::{Endpoint, Purpose, ReconnectPolicy, wait_before_reconnecting},
    delivery::Delivery,
    link::Link,
};
use crate::topology::Queue;

/// A queue to consume, with its prefetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Declared on every connect.
    pub queue: Queue,
    /// Maximum number of unacknowledged deliveries. 0 counts as 1: to RabbitMQ, 0 means unlimited.
    pub prefetch: u16,
}

#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    cancel: CancellationToken,
    consuming: Arc<AtomicBool>,
    queues: Vec<String>,
    reconnect: ReconnectHandle,
    task: JoinHandle<()>,
}

/// Requests a new connection for a consumer whose connection does not look lost. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReconnectHandle {
    requested: Arc<Notify>,
}

impl ReconnectHandle {
    /// Requests a new connection. The broker redelivers what was not acknowledged on the old one.
    pub fn request(&self) {
        self.requested.notify_one();
    }
}

impl Consumer {
    /// Connects, declares the topology and consumes `subscriptions` until `cancel`. Retries while RabbitMQ is
    /// unreachable.
    ///
    /// # Errors
    /// If the error is permanent: an invalid URL, rejected credentials, a missing virtual host, a queue that exists
    /// with other arguments.
    pub async fn connect(
        config: &BrokerConfig,
        subscriptions: Vec<Subscription>,
        cancel: CancellationToken,
    ) -> Result<Self, BrokerError> {
        let capacity =
            subscriptions.iter().map(|subscription| usize::from(subscription.prefetch.max(1))).sum();
        let (ready, deliveries) = mpsc::channel(std::cmp::max(capacity, 1));
        let consuming = Arc::new(AtomicBool::new(false));
        let reconnect = ReconnectHandle::default();
        let queues = subscriptions.iter().map(|subscription| subscription.queue.name.clone()).collect();
        let task = ConsumerTask {
            endpoint: Endpoint::new(config)?,
            subscriptions,
            ready,
            cancel: cancel.clone(),
            consuming: consuming.clone(),
            reconnect: reconnect.clone(),
        };
        let session = task.open(ReconnectPolicy::ReturnPermanent).await?;
        Ok(Self { deliveries, cancel, consuming, queues, reconnect, task: tokio::spawn(task.run(session)) })
    }

    /// Names of the subscribed queues.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(String::as_str)
    }

    #[must_use]
    pub fn reconnect(&self) -> ReconnectHandle {
        self.reconnect.clone()
    }

    /// A flag that is set while every queue is consumed: it is cleared while reconnecting and after cancellation.
    #[must_use]
    pub fn consuming(&self) -> Arc<AtomicBool> {
        self.consuming.clone()
    }

    /// Returns the next delivery, or `None` after cancellation, when deliveries that are still buffered are released.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    self.release_waiting();
                    return None;
                }
                delivery = self.deliveries.recv() => delivery?,
            };
            // Skip a delivery of a lost connection: the broker redelivers it.
            if delivery.receipt.is_usable() {
                return Some(delivery);
            }
        }
    }

    /// Waits for the cancellation, then until every delivery is acked, released or dropped and the connection is
    /// closed.
    pub async fn closed(mut self) {
        self.cancel.cancelled().await;
        self.release_waiting();
        drop(self.deliveries);
        // A panic of the task would have closed the connection too.
        let _ = self.task.await;
    }

    fn release_waiting(&mut self) {
        self.deliveries.close();
        // A dropped delivery is released.
        while self.deliveries.try_recv().is_ok() {}
    }
}

/// Keeps a consumer connected.
struct ConsumerTask {
    endpoint: Endpoint,
    subscriptions: Vec<Subscription>,
    ready: mpsc::Sender<Delivery>,
    cancel: CancellationToken,
    consuming: Arc<AtomicBool>,
    reconnect: ReconnectHandle,
}

/// One connection that consumes every subscription, each on its own channel.
struct Session {
    link: Link,
    consumers: Consumers,
    incoming: Deliveries,
}

/// Channels with the tags of their consumers.
type Consumers = Vec<(Channel, ShortString)>;
type Deliveries = SelectAll<BoxStream<'static, Incoming>>;

/// Item of a consumer's stream: a delivery with its queue, or why the stream ended.
type Incoming = Result<(lapin::message::Delivery, Arc<str>), String>;

enum SessionEnd {
    Lost(String),
    Cancelled,
}

impl ConsumerTask {
    async fn run(self, mut session: Session) {
        loop {
            let since = Instant::now();
            // Every unanswered delivery of this session has a clone of `guard`; `all_answered` closes with the last.
            let (guard, all_answered) = mpsc::channel(1);
            self.consuming.store(true, Ordering::Relaxed);
            let end = self.forward_deliveries(&mut session, &guard).await;
            self.consuming.store(false, Ordering::Relaxed);
            let SessionEnd::Lost(reason) = end else { return session.shut_down(guard, all_answered).await };
            tracing::warn!(%reason, "consuming connection to RabbitMQ lost; reconnecting");
            session.link.close().await;
            let reopening = async {
                wait_before_reconnecting(since.elapsed()).await;
                self.open(ReconnectPolicy::RetryAll).await
            };
            session = tokio::select! {
                opened = reopening => match opened {
                    Ok(session) => session,
                    Err(error) => return tracing::error!(%error, "cannot reconnect to RabbitMQ; consuming stopped"),
                },
                () = self.cancel.cancelled() => return,
            };
        }
    }

    async fn open(&self, policy: ReconnectPolicy) -> Result<Session, BrokerError> {
        let queues: Vec<Queue> =
            self.subscriptions.iter().map(|subscription| subscription.queue.clone()).collect();
        loop {
            let link = self.endpoint.connect(Purpose::Consume, &queues, policy).await?;
            let consumed = self.endpoint.answered(&link, Session::consume(&link, &self.subscriptions)).await;
            match consumed.and_then(|consumed| consumed.map_err(|error| self.endpoint.classify(&error))) {
                Ok((consumers, incoming)) => return Ok(Session { link, consumers, incoming }),
                Err(error) => self.endpoint.wait_after_refusal(error, policy).await?,
            }
        }
    }

    async fn forward_deliveries(&self, session: &mut Session, guard: &mpsc::Sender<()>) -> SessionEnd {
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return SessionEnd::Cancelled,
                // The `Consumer` was dropped.
                () = self.ready.closed() => return SessionEnd::Cancelled,
                () = session.link.lost() => return SessionEnd::Lost(session.link.reason()),
                () = self.reconnect.requested.notified() => return SessionEnd::Lost("a reconnect was requested".to_owned()),
                incoming = session.incoming.next() => incoming,
            };
            let (delivery, queue) = match incoming {
                Some(Ok(delivery)) => delivery,
                Some(Err(reason)) => return SessionEnd::Lost(reason),
                None => unreachable!("every stream ends with a reason"),
            };
            let delivery = Delivery::new(delivery, queue, guard.clone());
            // The channel has room for every prefetch, so only deliveries of lost connections can fill it.
            tokio::select! {
                biased;
                sent = self.ready.send(delivery) => if sent.is_err() { return SessionEnd::Cancelled },
                () = self.cancel.cancelled() => return SessionEnd::Cancelled,
                () = session.link.lost() => return SessionEnd::Lost(session.link.reason()),
            }
        }
    }
}

impl Session {
    async fn consume(link: &Link, subscriptions: &[Subscription]) -> lapin::Result<(Consumers, Deliveries)> {
        let (mut consumers, mut incoming) = (Vec::new(), SelectAll::new());
        for Subscription { queue, prefetch } in subscriptions {
            let channel = link.channel().await?;
            channel.basic_qos((*prefetch).max(1), BasicQosOptions { global: false }).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer =
                channel.basic_consume(queue.name.as_str().into(), "".into(), options, arguments).await?;
            consumers.push((channel, consumer.tag()));
            incoming.push(with_queue(consumer, queue.name.as_str().into()));
        }
        if subscriptions.is_empty() {
            incoming.push(stream::pending().boxed());
        }
        Ok((consumers, incoming))
    }

    /// Cancels the consumers, releases what was not handed out, waits until the rest is answered, and closes.
    async fn shut_down(mut self, guard: mpsc::Sender<()>, mut all_answered: mpsc::Receiver<()>) {
        let shutting_down = async {
            for (channel, tag) in &self.consumers {
                if channel.basic_cancel(tag.clone(), BasicCancelOptions::default()).await.is_err() {
                    return;
                }
            }
            let mut open = self.consumers.len();
            while open > 0 {
                match self.incoming.next().await {
                    Some(Ok((delivery, queue))) => drop(Delivery::new(delivery, queue, guard.clone())),
                    Some(Err(_)) => open -= 1,
                    None => break,
                }
            }
            drop(guard);
            let _ = all_answered.recv().await;
        };
        tokio::select! {
            () = shutting_down => {}
            () = self.link.lost() => {}
        }
        self.link.close().await;
    }
}

/// Adds the queue to each delivery, and an item for the stream's end, which [`SelectAll`] does not report.
fn with_queue(consumer: lapin::Consumer, queue: Arc<str>) -> BoxStream<'static, Incoming> {
    let end = format!("RabbitMQ cancelled the consumer of {queue}");
    consumer
        .map(move |delivery| {
            delivery.map(|delivery| (delivery, queue.clone())).map_err(|error| error.to_string())
        })
        .chain(stream::once(async { Err(end) }))
        .boxed()
}
