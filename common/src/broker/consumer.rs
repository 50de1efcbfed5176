//! Consuming: deliveries of several queues as one stream that outlives its connections.
//!
//! Owns the consuming connection and its replacement. Does not own what is done with a delivery.
//! Invariants: every connect sets each queue's prefetch before it consumes; a stream that ends unasked is
//! a lost consumer; after cancellation nothing more is delivered, and the connection stays open until
//! what was delivered is answered.

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

/// A queue to consume, and how many unanswered deliveries of it may be held at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The queue; it is declared on every connect.
    pub queue: Queue,
    /// Unanswered deliveries at once; 0 counts as 1, since to the broker it would mean no limit.
    pub prefetch: u16,
}

/// A stream of deliveries.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    cancel: CancellationToken,
    consuming: Arc<AtomicBool>,
    queues: Vec<String>,
    reconnect: ReconnectHandle,
    task: JoinHandle<()>,
}

/// A way to have a consumer's connection replaced though it does not look lost. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReconnectHandle {
    requested: Arc<Notify>,
}

impl ReconnectHandle {
    /// Replaces the connection soon; what it delivered and is not answered comes again.
    pub fn request(&self) {
        self.requested.notify_one();
    }
}

impl Consumer {
    /// Connects, declares the topology and consumes `subscriptions` until `cancel`, waiting for a broker
    /// that is down and saying so.
    ///
    /// # Errors
    /// When waiting would not help: a bad URL, refused credentials, a missing virtual host, a queue that
    /// exists with other properties.
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

    /// Returns the names of the queues it consumes.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(String::as_str)
    }

    /// Returns a way to have the connection replaced.
    #[must_use]
    pub fn reconnect(&self) -> ReconnectHandle {
        self.reconnect.clone()
    }

    /// Returns a flag that is set while every queue is consumed: not while the connection is lost, nor
    /// once consuming has ended.
    #[must_use]
    pub fn consuming(&self) -> Arc<AtomicBool> {
        self.consuming.clone()
    }

    /// Returns the next delivery, or nothing once consuming is cancelled. Deliveries that were waiting
    /// here are released then. Dropping the future loses nothing.
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
            // What a lost connection brought is delivered again by its successor.
            if delivery.receipt.is_usable() {
                return Some(delivery);
            }
        }
    }

    /// Waits until every delivery is answered or dropped and the connection is closed. Call it after
    /// cancelling; it does not cancel by itself.
    pub async fn closed(mut self) {
        self.cancel.cancelled().await;
        self.release_waiting();
        drop(self.deliveries);
        // The task neither panics nor is it aborted; either would close the connection as well.
        let _ = self.task.await;
    }

    fn release_waiting(&mut self) {
        self.deliveries.close();
        // A delivery that is dropped releases itself.
        while self.deliveries.try_recv().is_ok() {}
    }
}

/// The task that keeps a consumer connected.
struct ConsumerTask {
    endpoint: Endpoint,
    subscriptions: Vec<Subscription>,
    ready: mpsc::Sender<Delivery>,
    cancel: CancellationToken,
    consuming: Arc<AtomicBool>,
    reconnect: ReconnectHandle,
}

/// One connection that consumes every subscription, a channel each.
struct Session {
    link: Link,
    consumers: Vec<(Channel, ShortString)>,
    incoming: SelectAll<BoxStream<'static, Incoming>>,
}

/// What a consumer's stream yields: a delivery with its queue, or the reason why there are no more.
type Incoming = Result<(lapin::message::Delivery, Arc<str>), String>;

enum End {
    Lost(String),
    Cancelled,
}

impl ConsumerTask {
    async fn run(self, mut session: Session) {
        loop {
            let since = Instant::now();
            // Every delivery of this session holds a clone; when the last is gone, all are answered.
            let (held, answered) = mpsc::channel(1);
            self.consuming.store(true, Ordering::Relaxed);
            let end = self.pump(&mut session, &held).await;
            self.consuming.store(false, Ordering::Relaxed);
            let End::Lost(reason) = end else { return session.wind_down(held, answered).await };
            tracing::warn!("consuming from RabbitMQ is interrupted ({reason}), connecting again");
            session.link.close().await;
            let reopening = async {
                wait_before_reconnecting(since.elapsed()).await;
                self.open(ReconnectPolicy::RetryAll).await
            };
            session = tokio::select! {
                opened = reopening => match opened {
                    Ok(session) => session,
                    Err(error) => return tracing::error!("consuming from RabbitMQ ends: {error}"),
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
            match Session::consume(link, &self.subscriptions).await {
                Ok(session) => return Ok(session),
                Err(error) => self.endpoint.wait_after_refusal(&error, policy).await?,
            }
        }
    }

    async fn pump(&self, session: &mut Session, held: &mpsc::Sender<()>) -> End {
        loop {
            let incoming = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return End::Cancelled,
                // Nobody reads any more.
                () = self.ready.closed() => return End::Cancelled,
                () = session.link.lost() => return End::Lost(session.link.reason()),
                () = self.reconnect.requested.notified() => return End::Lost("its reconnect was requested for".to_owned()),
                incoming = session.incoming.next() => incoming,
            };
            let (delivery, queue) = match incoming {
                Some(Ok(delivery)) => delivery,
                Some(Err(reason)) => return End::Lost(reason),
                None => unreachable!("every stream ends with the reason why"),
            };
            let delivery = Delivery::new(delivery, queue, held.clone());
            // The channel has room for every prefetch, so it is full only of what lost connections left.
            tokio::select! {
                biased;
                sent = self.ready.send(delivery) => if sent.is_err() { return End::Cancelled },
                () = self.cancel.cancelled() => return End::Cancelled,
                () = session.link.lost() => return End::Lost(session.link.reason()),
            }
        }
    }
}

impl Session {
    async fn consume(link: Link, subscriptions: &[Subscription]) -> lapin::Result<Self> {
        let (mut consumers, mut incoming) = (Vec::new(), SelectAll::new());
        for Subscription { queue, prefetch } in subscriptions {
            let channel = link.channel().await?;
            channel.basic_qos((*prefetch).max(1), BasicQosOptions { global: false }).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer =
                channel.basic_consume(queue.name.as_str().into(), "".into(), options, arguments).await?;
            consumers.push((channel, consumer.tag()));
            incoming.push(label(consumer, queue.name.as_str().into()));
        }
        if subscriptions.is_empty() {
            incoming.push(stream::pending().boxed());
        }
        Ok(Self { link, consumers, incoming })
    }

    /// Stops consuming, releases what nobody has seen, waits for the answers to the rest, and closes.
    async fn wind_down(mut self, held: mpsc::Sender<()>, mut answered: mpsc::Receiver<()>) {
        let winding_down = async {
            for (channel, tag) in &self.consumers {
                if channel.basic_cancel(tag.clone(), BasicCancelOptions::default()).await.is_err() {
                    return;
                }
            }
            let mut open = self.consumers.len();
            while open > 0 {
                match self.incoming.next().await {
                    Some(Ok((delivery, queue))) => drop(Delivery::new(delivery, queue, held.clone())),
                    Some(Err(_)) => open -= 1,
                    None => break,
                }
            }
            drop(held);
            let _ = answered.recv().await;
        };
        tokio::select! {
            () = winding_down => {}
            () = self.link.lost() => {}
        }
        self.link.close().await;
    }
}

/// Names each delivery's queue, and makes the stream's end an item: [`SelectAll`] would not mention it.
fn label(consumer: lapin::Consumer, queue: Arc<str>) -> BoxStream<'static, Incoming> {
    let end = format!("the consumer of {queue} was cancelled by the broker");
    consumer
        .map(move |delivery| {
            delivery.map(|delivery| (delivery, queue.clone())).map_err(|error| error.to_string())
        })
        .chain(stream::once(async { Err(end) }))
        .boxed()
}
