//! Publishing: persistent, mandatory, confirmed, with a bounded number in flight.
//!
//! Invariant: `Ok` means that the message is on disk in its queue. After an error it may be in the queue or not.
//! The connection is maintained in `confirms`.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use lapin::{
    Channel, Connection,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BrokerConfig, BrokerError, PublishError,
    confirms::{CurrentConnection, Publication, PublisherTask, Session},
    connection::{Endpoint, ReconnectPolicy, declare_queue, is_not_found},
    dead_letter::DeadLetterInfo,
    message::Message,
};
use crate::{
    job::envelope::{Envelope, MAX_BODY_BYTES},
    topology::{
        self, DEAD_LETTER_EXCHANGE, DEAD_LETTER_ROUTING_KEY, DelayTier, MAX_QUEUE_BYTES, Policy, Queue, Route,
    },
};

/// Time limit of a queue-depth request.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The work in a queue.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct QueueLoad {
    /// Messages that are ready for delivery.
    pub ready: u32,
    pub consumers: u32,
}

/// A handle for publishing. Clones share one connection, which is replaced when it is lost and closed when the last
/// clone is dropped.
#[derive(Clone, Debug)]
pub struct Publisher {
    publications: mpsc::UnboundedSender<Publication>,
    window: Arc<Semaphore>,
    current: CurrentConnection,
    policies: Arc<Mutex<BTreeSet<(Policy, String)>>>,
    /// The channel on which loads are requested.
    loads: Arc<tokio::sync::Mutex<Option<Channel>>>,
    app_id: Arc<str>,
    timeout: Duration,
    /// Stops the task behind this handle when the last clone is dropped.
    _stop: Arc<DropGuard>,
}

impl Publisher {
    /// Connects and declares the topology. Retries while RabbitMQ is unreachable.
    ///
    /// # Errors
    /// If the error is permanent: an invalid URL, rejected credentials, a missing virtual host, a queue that exists
    /// with other arguments.
    pub async fn connect(config: &BrokerConfig) -> Result<Self, BrokerError> {
        let endpoint = Endpoint::new(config)?;
        let session = Session::open(&endpoint, ReconnectPolicy::ReturnPermanent).await?;
        let (publications, queue) = mpsc::unbounded_channel();
        let (current, stop) = (CurrentConnection::default(), CancellationToken::new());
        let task = PublisherTask { endpoint, queue, current: current.clone(), stop: stop.clone() };
        tokio::spawn(task.run(session));
        Ok(Self {
            _stop: Arc::new(stop.drop_guard()),
            publications,
            window: Arc::new(Semaphore::new(config.publish_window.max(1))),
            current,
            policies: Arc::default(),
            loads: Arc::default(),
            app_id: config.name.as_str().into(),
            timeout: config.publish_timeout,
        })
    }

    /// Declares the queue of a route that not every process declares. Returns whether it exists now.
    pub async fn declare_queue_of(&self, route: &Route) -> bool {
        // Asking costs one round trip, declaring three.
        matches!(self.declared_load(&route.queue_name()).await, Some(Ok(_)))
            || self.declare(&route.queue()).await
    }

    /// Deletes the queue of a route with its jobs, unless it has consumers.
    pub async fn delete_queue_of(&self, route: &Route) {
        let (queue, Some(connection)) = (route.queue_name(), self.connection()) else { return };
        // RabbitMQ has no `if-unused` for quorum queues.
        if !matches!(self.declared_load(&queue).await, Some(Ok(QueueLoad { consumers: 0, .. }))) {
            return;
        }
        let deletion = async {
            let channel = connection.create_channel().await?;
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
            channel.close(200, "OK".into()).await
        };
        if !matches!(timeout(REPLY_TIMEOUT, deletion).await, Ok(Ok(()))) {
            tracing::warn!(queue, "cannot delete the queue");
        }
    }

    /// Publishes a job and waits for the broker's confirm.
    pub async fn publish(&self, envelope: &Envelope, route: &Route) -> Result<(), PublishError> {
        self.send(self.encode(envelope)?, route.exchange().to_owned(), route.routing_key()).await
    }

    /// Publishes a job that is routed by `routing_key` after the tier's delay. For a retry, the caller increments the
    /// attempt and passes the key of the delivery.
    pub async fn delay(
        &self,
        envelope: &Envelope,
        tier: DelayTier,
        routing_key: &str,
    ) -> Result<(), PublishError> {
        self.send(self.encode(envelope)?, tier.name(), routing_key.to_owned()).await
    }

    /// Policies of RabbitMQ that this publisher has noticed, with the queue: of a refused job or of a queue that was gone.
    #[must_use]
    pub fn policies(&self) -> BTreeSet<(Policy, String)> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Dead-letters a received message, whether or not it is a job. The caller acknowledges it afterwards.
    pub async fn dead_letter(&self, message: &Message, info: &DeadLetterInfo) -> Result<(), PublishError> {
        self.send(
            message.to_dead_letter(info),
            DEAD_LETTER_EXCHANGE.to_owned(),
            DEAD_LETTER_ROUTING_KEY.to_owned(),
        )
        .await
    }

    /// Dead-letters a job that was not received from a queue.
    pub async fn discard(&self, envelope: &Envelope, info: &DeadLetterInfo) -> Result<(), PublishError> {
        self.dead_letter(&self.encode(envelope)?, info).await
    }

    /// Number of ready messages in a queue; `None` if the queue does not exist or the broker does not answer.
    pub async fn queue_depth(&self, queue: &str) -> Option<u32> {
        Some(self.declared_load(queue).await?.ok()?.ready)
    }

    /// Load of a queue, which is zero if the queue does not exist: publishing to it declares it. `None` if the broker
    /// does not answer.
    pub async fn queue_load(&self, queue: &str) -> Option<QueueLoad> {
        match self.declared_load(queue).await? {
            Ok(load) => Some(load),
            Err(error) if is_not_found(&error) => Some(QueueLoad::default()),
            Err(_) => None,
        }
    }

    async fn declared_load(&self, queue: &str) -> Option<lapin::Result<QueueLoad>> {
        let connection = self.connection()?;
        let request = async {
            // On a channel of its own, since a passive declaration of a missing queue closes its channel. It is kept: a new
            // one costs more than the request.
            let mut kept = self.loads.lock().await;
            let channel = match kept.take().filter(|channel| channel.status().connected()) {
                Some(channel) => channel,
                None => connection.create_channel().await?,
            };
            let options = QueueDeclareOptions::durable().passive();
            let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
            *kept = Some(channel);
            Ok(QueueLoad { ready: declared.message_count(), consumers: declared.consumer_count() })
        };
        timeout(REPLY_TIMEOUT, request).await.ok()
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection().is_some_and(|connection| connection.status().connected())
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn encode(&self, envelope: &Envelope) -> Result<Message, PublishError> {
        Message::encode(envelope, &self.app_id, SystemTime::now()).map_err(PublishError::Oversized)
    }

    /// Sends a message. If no queue is there for it, one of the fixed topology was deleted meanwhile, as a policy does with
    /// queues that have no consumer: declares it and sends the message again.
    async fn send(
        &self,
        message: Message,
        exchange: String,
        routing_key: String,
    ) -> Result<(), PublishError> {
        let queue = topology::queue_of(&exchange, &routing_key);
        let sent = self.send_once(message.clone(), exchange.clone(), routing_key.clone()).await;
        match (sent, queue) {
            (Err(PublishError::Unroutable { .. }), Some(queue)) if self.declare(&queue).await => {
                self.notice(Policy::Expires, &queue.name);
                self.send_once(message, exchange, routing_key).await
            }
            (Err(PublishError::Full { exchange, routing_key }), Some(queue)) => {
                // Below this number, jobs do not fill a queue to its declared limit, however large they are.
                let least_full = (MAX_QUEUE_BYTES as u64 / MAX_BODY_BYTES as u64) / 2;
                let is_known = self.policies().contains(&(Policy::MaxLength, queue.name.clone()));
                if !is_known
                    && self.queue_depth(&queue.name).await.is_some_and(|depth| u64::from(depth) < least_full)
                {
                    self.notice(Policy::MaxLength, &queue.name);
                }
                Err(PublishError::Full { exchange, routing_key })
            }
            (sent, _) => sent,
        }
    }

    /// Declares a queue. Returns whether it exists now.
    async fn declare(&self, queue: &Queue) -> bool {
        let Some(connection) = self.connection() else { return false };
        let declaring = async {
            let channel = connection.create_channel().await?;
            declare_queue(&channel, queue).await?;
            channel.close(200, "OK".into()).await
        };
        matches!(timeout(REPLY_TIMEOUT, declaring).await, Ok(Ok(())))
    }

    fn notice(&self, policy: Policy, queue: &str) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if policies.insert((policy, queue.to_owned())) {
            tracing::warn!(
                queue,
                "a policy of RabbitMQ seems to set {policy} on a queue of jobs: exclude the queue from it"
            );
        }
    }

    async fn send_once(
        &self,
        message: Message,
        exchange: String,
        routing_key: String,
    ) -> Result<(), PublishError> {
        let sending = async {
            let slot = self.window.clone().acquire_owned().await.expect("the window is never closed");
            let (reply, confirmed) = oneshot::channel();
            let publication = Publication { message, exchange, routing_key, reply, _slot: slot };
            self.publications.send(publication).map_err(|_| PublishError::Disconnected)?;
            confirmed.await.unwrap_or(Err(PublishError::Disconnected))
        };
        timeout(self.timeout, sending).await.unwrap_or(Err(PublishError::Timeout(self.timeout)))
    }
}
